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
class CdcCapturer final : public Capturer {
 public:
  // `session` must outlive the capturer.
  CdcCapturer(Session& session, const Clock& clock, Logger log);

  std::string_view name() const override { return "cdc"; }
  void open(const StartPoint& start) override;
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position&) override {}  // the server cleans up on its own schedule
  void keep_alive() override {}                  // nothing is open between two statements
  void stop() noexcept override;

 private:
  struct Table {
    CaptureInstance instance;
    RowJoiner joiner;
    std::optional<ChangeTableReader> reader;  // while a window is read
    LSN marked;                               // for the gate

    explicit Table(CaptureInstance captured)
        : instance(std::move(captured)), joiner(instance, schema_of(instance)) {}
  };

  bool begin_window();
  void begin_reading();
  bool read_some(TimePoint deadline);
  Table* next_table();
  void begin_transaction(const LSN& commit);
  void hand_to_gate();
  void mark(Table& table, const LSN& read_to);
  void end_window();
  void take(const FetchLimits& limits, CaptureResult& result);
  void finish(Transaction& transaction) const;
  TransactionPtr advance();

  Session& session_;
  const Clock& clock_;
  Logger log_;

  std::vector<std::unique_ptr<Table>> tables_;  // where they are, they stay: readers point at them
  std::map<std::int64_t, LSN> first_lsns_;
  std::unique_ptr<SpillSpace> spill_space_;
  std::unique_ptr<TransactionBuffer> gate_;

  LSN position_;  // everything up to it has been handed over or was no change
  std::optional<LogWindow> window_;
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
