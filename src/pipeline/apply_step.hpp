// The other half of the pipeline: from one sink's queue into that sink.

#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/step_outcome.hpp"
#include "core/batch_context.hpp"
#include "pipeline/capture_step.hpp"
#include "pipeline/progress.hpp"
#include "pipeline/schema_follower.hpp"
#include "pipeline/sink_driver.hpp"
#include "pipeline/table_copies.hpp"
#include "pipeline/transformer.hpp"

namespace headgate {

struct ApplyOptions {
  // One sink transaction holds at most this, and at most what the driver wants; less when less is
  // waiting, one transaction when idle.
  std::size_t batch_transactions_max = 10000;
  std::size_t batch_bytes_max = std::size_t{8} * 1024 * 1024;
  // Where commits are not durable by themselves, how often they are made so.
  Duration flush_interval = std::chrono::seconds(1);
  // While the next portion of a large transaction is awaited, how often the sink hears of us; far
  // below any limit on idle transactions.
  Duration keep_alive_interval = std::chrono::seconds(10);
  ExistingRows existing_rows = ExistingRows::kRefuse;
  // Attempts in a row against a sink that refuses everything, before the pipeline stops.
  unsigned systemic_attempts_max = 5;
  BackoffOptions backoff{};
};

// Tables of the sink that are tables of the source: writing to one would come back as a change.
using IsCaptured = std::function<bool(const TableName&)>;

// Takes what waits in the queue, up to a batch, and applies it in one transaction of the sink
// together with the position. What the sink already holds is skipped. A lost sink is connected
// again, and its own position decides what of the batch is still to be done: that alone settles a
// lost reply to COMMIT.
//
// Owns no thread and no clock; one thread calls it.
class ApplyStep {
 public:
  // All references must outlive the step. `sink` is the sink's name in the configuration.
  ApplyStep(std::string sink, SinkDriver& driver, Transformer& transformer, DeliveryQueue& queue,
            SinkProgress& progress, const Clock& clock, ApplyOptions options, Logger log);

  // Set once it is known that source and sink are one database; before the first batch.
  void refuse_tables(IsCaptured is_captured) { is_captured_ = std::move(is_captured); }

  // Does one round: connects, or applies one batch, or makes commits durable, or waits.
  //
  // Throws what a person must mend, what means that another process took over, and Error{kReread}
  // when transactions are needed again that only the source still has. What a person must do in the
  // sink first (kPaused) is waited for here, also within a large transaction; or its table alone
  // stays as it is (TablePaused), which is kept in the sink before anything behind it.
  StepOutcome step();

  // From now on, step() finishes once the queue is empty and everything applied is durable, or at
  // once while a person is waited for. A transaction whose last portion is missing is rolled back.
  void drain() { draining_ = true; }

  // Rolls back what is open and closes the sink.
  void close() noexcept;

  // True between attempts to reach a lost sink: nothing to do before the time that step() named,
  // whatever waits in the queue.
  bool backing_off() const { return retry_at_.has_value(); }

  // True from the first successful connect until the sink is lost.
  bool connected() const { return connected_; }

  // Asks the sink whether it still stands at position() and is still ours. Throws Error{kFenced}
  // when it is not, Error{kTransient} when it cannot say. REQUIRES: connected(), nothing is
  // applied.
  void confirm();

  // The source goes on under `history`, which holds all up to position(): a standby was promoted.
  // Writes the position anew where it names another one. Throws as confirm(). REQUIRES: as
  // confirm().
  void adopt(const History& history);

  // What the sink remembers of its tables. REQUIRES: connected().
  TableRecords known_tables() const { return tables_.records(); }

  // Where the sink stands; empty while it holds no finished copy. REQUIRES: connected().
  const Position& position() const { return position_; }

 private:
  void connect();
  void settle_batch(const Position& found);
  bool take_batch();
  void ask_paused_table();
  bool wants(const Transaction& transaction) const;
  void apply_batch();
  void pause_table(const TablePaused& pause);
  void write_batch();
  bool is_prepared(const SinkConfigPtr& table, bool copying) const;
  MissingTable missing_table() const {
    return position_.empty() ? MissingTable::kCreate : MissingTable::kRefuse;
  }
  void write_operations(std::span<const Sink> operations, bool copying);
  void write_copy(const Transaction& transaction, const DataSet& data);
  void refuse_captured(const SinkConfig& table) const;
  Position batch_end() const;
  std::string streaming_state() const;
  void report_tables();
  void warn_of_paused_tables() const;
  void prepare(const SinkConfigPtr& table, bool copying);
  void commit_batch();
  void finish_batch();
  void recovered();
  void flush();
  bool flush_due() const;
  StepOutcome wait();
  StepOutcome failed(const Error& error);
  Error failed_between_steps(const Error& error) const;
  void stopped(const Error& error);

  std::string sink_;
  SinkDriver& driver_;
  Transformer& transformer_;
  DeliveryQueue& queue_;
  SinkProgress& progress_;
  const Clock& clock_;
  ApplyOptions options_;
  Logger log_;
  Backoff backoff_;
  TransformContext context_;
  IsCaptured is_captured_;  // empty: none

  bool connected_ = false;
  bool was_connected_ = false;
  bool draining_ = false;
  bool paused_ = false;  // a person must act first
  std::optional<TimePoint> retry_at_;
  unsigned systemic_attempts_ = 0;  // since something last went through

  // What the sink is known to have committed, and what of it is known to survive a power cut.
  Position position_;
  Position durable_;
  bool dirty_ = false;        // something is committed that durable_ does not stand for
  CopiesStand copies_stand_;  // when the sink was at position_
  TimePoint last_flush_{};
  TimePoint last_keep_alive_{};

  // Taken from the queue and not yet known to be committed. Whole transactions, or one portion.
  std::vector<TransactionPtr> batch_;
  BatchContext batch_context_;
  std::size_t batch_changes_ = 0;       // row changes since begin()
  bool in_transaction_ = false;         // begin() succeeded; commit() or rollback() is due
  bool earlier_portions_gone_ = false;  // batch_ alone does not make up its transaction
  bool skipping_portions_ = false;      // the sink holds the transaction whose portions arrive

  SchemaFollower tables_;
  TableCopies copies_;
  // Output tables ready in the sink since the last connect(), and those that a copy has begun with.
  std::set<SinkConfigPtr> prepared_;
  std::set<SinkConfigPtr> copying_;
  SinkConfigPtr preparing_;  // being made ready, or not ready when that failed last; null: none
};

}  // namespace headgate
