// The capturer "cdc" of a SQL Server source: change tables, merged, behind the gate.

#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "base/log.hpp"
#include "gate/transaction_buffer.hpp"
#include "pipeline/capturer.hpp"
#include "source/sqlserver/change_table_reader.hpp"
#include "source/sqlserver/log_window.hpp"
#include "source/sqlserver/row_joiner.hpp"
#include "source/sqlserver/session.hpp"

namespace headgate::source::sqlserver {

// Reads one window of the log after the other: of all captured tables, page by page, in the order
// in which the source did it. The gate lets a transaction go when every table has been read past
// its commit; nothing leaves before the instances were looked at once more behind the last page, so
// that a clean-up which ran meanwhile is not taken for an empty stretch (sqlserver-cdc 3.3).
//
// Where a newer instance of a table begins, a window ends: what stands before it comes from the
// older one, what follows from the newer. Instances that are made, altered or dropped while we read
// are noticed before the next window, or when it turns out behind one that it was read from under
// our feet; then it is read again, before anything of it has left.
class CdcCapturer final : public Capturer {
 public:
  // `session` must outlive the capturer.
  CdcCapturer(Session& session, const Clock& clock, Logger log);

  std::string_view name() const override { return "cdc"; }
  void open(const StartPoint& start) override;
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  // The server cleans up on its own schedule; how near that is depends on this.
  void acknowledge(const Position& durable) override { durable_ = durable.lsn; }
  LSN handed_over() const override { return ready_.empty() ? ready_to_ : handed_over_; }
  void keep_alive() override {}  // nothing is open between two statements
  void stop() noexcept override;

  // What is behind it some sink still needs. Empty before the first open().
  const LSN& durable() const { return durable_; }

 private:
  struct Table {
    Reading reading;
    RowJoiner joiner;
    std::optional<ChangeTableReader> reader;  // while a window is read
    LSN marked;                               // for the gate

    Table(Reading read, QueryMode mode)
        : reading(std::move(read)),
          joiner(reading.instance, reading.schema,
                 mode == QueryMode::kDirect && reading.instance.has_command_id) {}
    const CaptureInstance& instance() const { return reading.instance; }
  };

  bool begin_window();
  bool must_choose_again(const InstanceFloors& floors) const;
  void choose_instances(InstanceFloors floors);
  void announce(const Reading& before, const Reading& now) const;
  bool read_window(TimePoint deadline);
  void give_window_up();
  void open_gate();
  void begin_reading();
  bool read_some(TimePoint deadline);
  bool pages_are_here(TimePoint deadline);
  Table* next_table();
  void begin_transaction(const LSN& commit);
  void hand_to_gate();
  void mark(Table& table, const LSN& read_to);
  bool end_window();
  std::vector<Reading> readings() const;
  void take(const FetchLimits& limits, CaptureResult& result);
  void finish(Transaction& transaction) const;
  TransactionPtr advance();

  Session& session_;
  const Clock& clock_;
  Logger log_;

  std::vector<std::unique_ptr<Table>> tables_;  // where they are, they stay: readers point at them
  InstanceFloors floors_;  // as they were when the tables' instances were chosen
  std::unique_ptr<SpillSpace> spill_space_;
  std::unique_ptr<TransactionBuffer> gate_;

  LSN durable_;  // of the oldest sink
  // Reads the tables' pages: after them, since it must end before them.
  std::unique_ptr<PageReaders> pages_;

  LSN position_;  // everything up to it has been handed over or was no change
  std::optional<LogWindow> window_;
  bool begun_ = false;  // the window's readers are there
  // Changes of one transaction on their way to the gate.
  std::unique_ptr<Transaction> gathering_;
  std::uint64_t next_ordinal_ = 0;

  std::deque<ReleasedTransaction> ready_;
  LSN ready_to_;  // where the sinks may move once ready_ is empty
  LSN handed_over_;
  TimePoint next_poll_{};
  TimePoint last_advance_{};
};

}  // namespace headgate::source::sqlserver
