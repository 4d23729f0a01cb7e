// What a copy in chunks needs from a source.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "core/position.hpp"
#include "core/schema.hpp"
#include "core/transaction.hpp"

namespace headgate {

// A table as it is at a copy point.
struct CopyTable {
  TableSchemaPtr schema;
  // As the source's statistics have them; 0 where they say nothing.
  std::uint64_t rows_estimate = 0;
  std::uint64_t bytes_estimate = 0;
};

// Reads rows at copy points. A copy point is a position together with a view of the database that
// holds exactly the transactions at or before it: what was committed later comes with the stream.
//
// One point at a time. Not thread-safe; belongs to the capture step's thread. All calls may throw
// as Capturer::fetch(); close() and request_point() may follow.
class CopySource {
 public:
  virtual ~CopySource() = default;

  // The tables of which the points that are asked for next have to show rows, by their ids and in
  // the order in which they are read; null: all. For a source that has to do something at the point
  // for each of them.
  virtual void want(const std::vector<std::uint32_t>* /*tables*/) {}

  // Lets go of the point that is there, and asks for a new one. Does not wait for it.
  virtual void request_point() = 0;

  // The point that was asked for, once the source has it; waits for it until `deadline`.
  virtual std::optional<Position> point(TimePoint deadline) = 0;

  // What a point that was asked for waits for, in words for the log, and whether the stream must
  // wait with it, since it would pass the point before that is known. Otherwise a point is never
  // before what was captured when it came, so the stream goes on until then.
  struct Waiting {
    bool holds_stream = true;
    std::string_view reason;
    std::string_view remedy;
    bool for_person = false;  // no point comes before somebody has done what `remedy` says
  };
  virtual Waiting waiting() const = 0;

  // The captured tables at the point, or as they are now where there is none; with `only` those of
  // them that have one of these ids.
  virtual std::vector<CopyTable> tables(const std::set<std::uint32_t>* only) = 0;

  // Begins to read the rows of `table` behind the key `after` (empty: from the start), in the key's
  // order and at most `rows_max`; all of them where the table has no key. False where the point
  // does not show the table's rows (it was rewritten since, or is locked): a later one will, and
  // other tables can be read at this one.
  // REQUIRES: point() has returned one, and `table` is from tables() since then.
  virtual bool begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                           std::size_t rows_max) = 0;

  // Begins to read the rows of these keys, those of them that are there. False as above.
  virtual bool begin_rows(const CopyTable& table,
                          const std::vector<std::vector<std::string>>& keys) = 0;

  struct Read {
    bool end = false;  // of the chunk
    // The point does not show the rows after all, as if begin_chunk() had been false: nothing was
    // appended, now or before.
    bool refused = false;
  };
  // Appends rows of the chunk to `portion` until that holds `bytes_max`, or `deadline`.
  virtual Read read(Transaction& portion, std::size_t bytes_max, TimePoint deadline) = 0;

  // Why the point did not show what was asked for last, in words for the log, and what a person can
  // do about it when that goes on. No reason: it was not the table's turn, which counts for
  // nothing.
  struct Refusal {
    std::string reason;
    std::string remedy;
    bool passes = true;  // false: not before a person has done something
  };
  virtual Refusal refusal() const { return {}; }

  // Of the chunk whose end was read: the key behind which the next one begins; nothing where it was
  // the table's last.
  virtual std::optional<std::vector<std::string>> next_cursor() const = 0;

  // Of the chunk, or the rows, whose end was read: keys of rows of which the point does not tell
  // what they are. They were not appended; another point will have them.
  virtual std::vector<std::vector<std::string>> left_out() const { return {}; }

  // Lets go of the point; its rows are no longer needed.
  virtual void release_point() noexcept = 0;

  // Lets go of everything. request_point() may follow.
  virtual void close() noexcept = 0;
};

}  // namespace headgate
