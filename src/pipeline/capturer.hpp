// What the pipeline needs from a source.

#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "core/batch_context.hpp"
#include "core/position.hpp"
#include "core/schema.hpp"
#include "pipeline/copy_control.hpp"
#include "pipeline/finding.hpp"
#include "pipeline/table_record.hpp"

namespace headgate {

// Bounds one fetch. Zero transactions: only answer the server, hand nothing over.
struct FetchLimits {
  std::size_t transactions_max = 1000;
  std::size_t bytes_max = std::size_t{4} * 1024 * 1024;
};

struct CaptureResult {
  // Whole transactions in commit order, or portions of one that is too large to hold.
  std::vector<TransactionPtr> transactions;
  // Of this fetch, as BatchContext's; empty when nothing came.
  std::string batch_id;
  // The capturer that goes on from here; empty: this one.
  std::string next_capturer;
  // Tables that have come to the source, and are to be copied before they are followed: behind
  // these transactions the snapshot capturer is opened with this. Said again for as long as nobody
  // does so, at the latest after the next open().
  std::optional<CopyRequest> copy{};
};

// Where reading begins.
struct StartPoint {
  // The oldest position of all sinks that hold one; empty when none does.
  Position resume;
  // Some sink holds no position: it needs the rows that are there already.
  bool copy_needed = false;
  // Tables whose copy in chunks is under way in some sink, each as the sink has it that is behind
  // the others.
  TableRecords copies{};
  // A copy that somebody has asked for. Tables that it names are followed from here on.
  std::optional<CopyRequest> requested{};
};

// A Capturer hands over one database's committed transactions, whole and in commit order.
//
// The pipeline pulls and a capturer never pushes, so back-pressure is simply a smaller limit.
// Delivery is at least once: after open(), everything past the start point is read again, and sinks
// skip what they have.
//
// Not thread-safe. One CaptureStep owns it and calls it from one thread.
class Capturer {
 public:
  virtual ~Capturer() = default;

  // "cdc", "snapshot" or "replay".
  virtual std::string_view name() const = 0;

  // Starts reading just after `start.resume`. May be called again after an error, and then drops
  // all that was half read.
  //
  // Throws Error{kPositionLost} when the source no longer has what follows, and Error{kReread} when
  // it has become another one since Source::prepare(), before reading anything.
  virtual void open(const StartPoint& start) = 0;

  // Returns what has completed, at once when there is something, and by `deadline` otherwise. Also
  // answers the server's keep-alives, so call it regularly.
  //
  // REQUIRES: open() succeeded and nothing has thrown since.
  virtual CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) = 0;

  // Lets the server discard its log up to and including `durable`, the oldest durable position of
  // all sinks. Cheap when called often: it is sent with the next status message.
  //
  // REQUIRES: `durable` ended a transaction or was handed over as an empty one, and is not behind
  // an earlier call.
  virtual void acknowledge(const Position& durable) = 0;

  // Every transaction that ends at or before it was handed over, or precedes the start point; may
  // be behind what is known. Empty: not known.
  virtual LSN handed_over() const { return {}; }

  // For people, how far it is; for a capturer that comes to an end.
  virtual std::map<std::string, std::string> progress() const { return {}; }

  // For a capturer that comes to an end: reads nothing but the stream while `paused`.
  virtual void pause(bool /*paused*/) {}
  // Ends before its time, at the next fetch().
  virtual void cancel() {}

  // Tells the server that we live while the sinks take nothing. Never blocks for long, reads no
  // data.
  virtual void keep_alive() = 0;

  // Ends reading: sends the last acknowledgement and closes. open() may follow.
  virtual void stop() noexcept = 0;
};

// open() while a session goes on: the start point is then older than the session's look at the
// sinks, and another process may have read on in its place. Throws Error{kReread} where open()
// would throw Error{kPositionLost}, so that the sinks are asked again before a person is.
void open_in_session(Capturer& capturer, const StartPoint& start);

// Where a sink that holds a position stands.
struct SinkStand {
  std::string sink;  // its name in the configuration, for messages
  Position position;
  TableRecords tables{};  // as it remembers them
};

// What the source's machinery says of itself; for `status`.
struct SourceHealth {
  std::string server_version;
  std::string slot;                  // PostgreSQL
  std::uint64_t retained_bytes = 0;  // log kept for us
  std::string wal_status;            // PostgreSQL: reserved, extended, unreserved, lost
  std::int64_t safe_wal_bytes = -1;  // until the server may discard it; -1: no limit
  Findings warnings;  // what costs data if it lasts, with what mends it; the source logs it, too
};

// One source: what must be there, and its capturers.
//
// Not thread-safe; belongs to the thread that runs the capture step, but for prepare(), which runs
// before that thread starts.
class Source {
 public:
  virtual ~Source() = default;

  // Checks what prepare() would, and changes nothing; for `headgate check`.
  virtual Findings check(const std::vector<SinkStand>& sinks) = 0;

  // Connects, checks what is needed, creates what is missing and may be created (publication,
  // slot), and says which history its positions belong to from now on. `sinks` are those that hold
  // one, each of that history or of one that it continues.
  //
  // Throws Error{kPositionLost} when one of them cannot be continued (I7), Error{kOperator} for a
  // setting, object or privilege that is missing, Error{kTransient} when the server is not there.
  virtual History prepare(const std::vector<SinkStand>& sinks) = 0;

  // The process ends: what waits for others in prepare() or in a capturer's open() gives up soon,
  // with Error{kTransient}, and so does whatever would begin to wait. From any thread.
  virtual void interrupt() noexcept {}

  // The pipeline stops before any sink holds a position: takes back what prepare() created and what
  // would cost the source something while nobody reads (the slot keeps its log).
  virtual void give_up() noexcept = 0;

  // The database it reads from, as SinkDriver::place() names those of sinks; empty when not known.
  // REQUIRES: prepare() succeeded.
  virtual std::string place() = 0;

  // The tables whose changes the stream has, under their names and ids at the source; empty where
  // tables that come later are not copied by themselves. REQUIRES: prepare() succeeded.
  virtual std::vector<TableSchema> captured_tables() { return {}; }

  // Whether changes of `table` would come back: a sink in the same place may not write to it.
  virtual bool captures(const TableName& table) const = 0;

  // Where the source's log ends now: every transaction committed before this call ends at or before
  // it.
  virtual LSN current_end() = 0;

  virtual Capturer& cdc() = 0;
  virtual Capturer& snapshot() = 0;

  // Asks the server; slow, so not more often than every few seconds.
  virtual SourceHealth health() = 0;
};

}  // namespace headgate
