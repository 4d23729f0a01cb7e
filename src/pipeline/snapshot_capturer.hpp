// The capturer "snapshot", method `chunks`: a first or a fresh copy, the stream going on meanwhile.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/copy_source.hpp"

namespace headgate {

struct CopyOptions {
  std::size_t chunk_rows = 50'000;
  // The stream stands still while rows of one copy point are read: no longer than this, but for one
  // chunk; or as long as it has needed to come to the point. Where the source commits faster than
  // the stream is read, points come ever later, and the copy makes progress nevertheless.
  Duration round_max = std::chrono::seconds(1);
  // A point that was asked for is given up after this. On some sources the stream waits for it,
  // too.
  Duration point_wait_max = std::chrono::seconds(2);
  // A stream that is behind is given this long to catch up before the first point is asked for: it
  // would have to come to it first, and the source would keep old rows for us meanwhile.
  Duration catch_up_max = std::chrono::minutes(5);
  // Of the rows as they are held in memory; 0: as fast as it goes.
  std::uint64_t bytes_per_second_max = 0;
  // A table of which so many points in a row did not show the rows is told as one that waits.
  unsigned refusals_told = 5;
  // And after so many the others, once they are complete, come into their places without it.
  unsigned refusals_max = 10;
};

// Interleaves chunks with live changes, so that a chunk stands in the stream exactly at the
// position whose state its rows are:
//
//   1. It asks the source for a copy point, a position with a view of the database at it, and lets
//      the stream wait until the point is known, where it could pass it.
//   2. It hands over the stream's transactions at or before the point.
//   3. It reads chunks in that view and hands each over as a transaction at the point.
//   4. It lets the stream go on for a while, and begins again.
//
// So a sink needs to compare nothing: a row in its staging table is always what the source has at
// the sink's position, whether a chunk or a change has brought it, and a row that is not there is
// either none of the source's or still to be copied. See README.md, "Copying in chunks".
//
// A table that is altered meanwhile is copied from the start again, and a row that is moved in a
// way the sink may not follow is read again (alters() and moved_rows() in table_copies.hpp); the
// sink comes to the same conclusions by itself.
//
// All tables come into their places together. A table of which no point will show the rows does not
// keep the others from that for ever: it is left behind, and comes later by itself.
class SnapshotCapturer final : public Capturer {
 public:
  // All references must outlive the capturer. `cdc` reads the stream, and is ours while we are
  // open.
  SnapshotCapturer(CopySource& source, Capturer& cdc, const Clock& clock, CopyOptions options,
                   Logger log);

  std::string_view name() const override { return "snapshot"; }
  void open(const StartPoint& start) override;
  // This and keep_alive() throw Error{kReread} for what another capturer would call kTransient: the
  // sinks know how far the copy is.
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position& durable) override { cdc_.acknowledge(durable); }
  void keep_alive() override;
  void stop() noexcept override;
  LSN handed_over() const override { return cdc_.handed_over(); }
  std::map<std::string, std::string> progress() const override;
  void pause(bool paused) override;
  // A first copy is not cancelled: the wish is from before it was due.
  void cancel() override { cancelled_ = !start_.copy_needed; }

 private:
  struct Table {
    TableSchemaPtr schema;
    CopyProgress progress;
    std::uint64_t rows_estimate = 0;
    // Since the session began: what was read of it, and when that began.
    std::uint64_t rows_read = 0;
    std::uint64_t bytes_read = 0;
    TimePoint began{};
    bool described = false;         // `schema` is that of the present point
    bool left_out = false;          // the present point has not all of `progress.moved`
    bool refused = false;           // the present point does not show its rows
    unsigned refusals = 0;          // of points, one after the other
    CopySource::Refusal refusal{};  // the last of them

    bool finished() const { return progress.complete && progress.moved.empty(); }
  };

  void read(const FetchLimits& limits, TimePoint deadline, CaptureResult& result);
  bool begin_due() const;
  void begin(CaptureResult& result, TimePoint deadline);
  bool asked_for(const TableName& table) const;
  bool all_again() const;
  void stream(const FetchLimits& limits, TimePoint deadline, CaptureResult& result);
  bool is_recent(const Transaction& transaction) const;
  void observe(const Transaction& transaction);
  static void start_over(Table& table);
  void estimate_rows();
  std::string progress_of(const Table& table) const;
  void tell_progress();
  void look_for_point(TimePoint deadline);
  void give_point_up_when_late();
  void give_point_up();
  bool at_point() const;
  Duration round_length() const;
  bool too_fast() const;
  bool begin_chunk(CaptureResult& result);
  bool describe(Table& table, CaptureResult& result);
  void refuse(Table& table);
  bool leaves_behind() const;
  void read_chunk(const FetchLimits& limits, TimePoint deadline, CaptureResult& result);
  void end_chunk(Transaction& last);
  void end_round();
  void end_copy(CaptureResult& result);
  void end_without_late(CaptureResult& result);
  std::shared_ptr<Transaction> end_mark(const std::string& what);
  Table* next_table();
  Table* next_table_here();
  std::shared_ptr<Transaction> mark_of(Purpose purpose, const Position& position) const;

  CopySource& source_;
  Capturer& cdc_;
  const Clock& clock_;
  CopyOptions options_;
  Logger log_;

  StartPoint start_;
  std::string run_;  // from one open() to the next
  bool stream_open_ = false;
  bool paused_ = false;
  bool cancelled_ = false;
  bool begin_pending_ = false;  // the sinks do not know yet what is copied
  Position delivered_;          // end of the last transaction handed over
  bool within_transaction_ = false;

  std::vector<Table> tables_;
  bool point_asked_ = false;
  TimePoint point_asked_at_{};
  TimePoint next_point_{};    // not asked for before
  bool catching_up_ = false;  // and until then only because the stream is behind
  TimePoint next_attempt_{};  // nor before that, where a person is waited for
  bool late_points_told_ = false;
  std::optional<Position> point_;
  bool past_point_ = false;  // the stream has come to what was committed after it
  TimePoint point_came_at_{};
  TimePoint round_began_{};
  std::deque<TransactionPtr> held_;  // read from the stream, and behind the point

  Table* reading_ = nullptr;                            // whose chunk is read
  std::vector<std::vector<std::string>> reading_keys_;  // not a chunk but these rows
  std::uint64_t chunk_rows_ = 0;
  std::uint64_t copied_bytes_ = 0;
  std::uint64_t copied_rows_ = 0;
  bool rows_estimated_ = false;
  TimePoint copy_began_{};
  TimePoint progress_told_{};
};

}  // namespace headgate
