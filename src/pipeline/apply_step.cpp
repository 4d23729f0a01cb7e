#include "pipeline/apply_step.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/deliberate_break.hpp"

namespace headgate {
namespace {

// Belongs to a copy in chunks.
bool of_copy(const Transaction& transaction) {
  return transaction.purpose != Purpose::kChanges && transaction.purpose != Purpose::kInitialCopy;
}

}  // namespace

ApplyStep::ApplyStep(std::string sink, SinkDriver& driver, Transformer& transformer,
                     DeliveryQueue& queue, SinkProgress& progress, const Clock& clock,
                     ApplyOptions options, Logger log)
    : sink_(std::move(sink)),
      driver_(driver),
      transformer_(transformer),
      queue_(queue),
      progress_(progress),
      clock_(clock),
      options_(options),
      log_(std::move(log)),
      backoff_(options.backoff),
      context_{sink_},
      tables_(sink_, driver, log_),
      copies_(sink_, driver, tables_, log_) {}

StepOutcome ApplyStep::step() {
  if (draining_ && paused_) {
    return StepOutcome::finished();  // it waits for a person, and the process shall end
  }
  if (retry_at_ && clock_.now() < *retry_at_) {
    return StepOutcome::waiting(*retry_at_);
  }
  retry_at_.reset();
  try {
    if (!connected_) {
      connect();
      return StepOutcome::worked();
    }
    if (!batch_.empty() || take_batch()) {
      apply_batch();
      return StepOutcome::worked();
    }
    if (flush_due()) {
      flush();
      return StepOutcome::worked();
    }
    return wait();
  } catch (const Error& error) {
    return failed(error);
  }
}

StepOutcome ApplyStep::wait() {
  if (draining_ && queue_.empty()) {
    if (in_transaction_) {
      driver_.rollback();
      in_transaction_ = false;
      earlier_portions_gone_ = false;
      return StepOutcome::worked();  // what was committed before it may not be durable yet
    }
    return StepOutcome::finished();
  }
  if (in_transaction_) {
    if (clock_.now() >= last_keep_alive_ + options_.keep_alive_interval) {
      driver_.keep_alive();
      last_keep_alive_ = clock_.now();
    }
    return StepOutcome::waiting(last_keep_alive_ + options_.keep_alive_interval);
  }
  const TimePoint next_flush = last_flush_ + options_.flush_interval;
  return StepOutcome::waiting(dirty_ ? next_flush : clock_.now() + std::chrono::seconds(1));
}

void ApplyStep::connect() {
  const SinkPosition found = driver_.connect();
  connected_ = true;
  prepared_.clear();
  copying_.clear();
  tables_.connected();
  copies_.connected();
  if (was_connected_) {
    settle_batch(found.position);
  } else {
    was_connected_ = true;
  }
  position_ = found.position;
  durable_ = found.position;  // connect() committed durably, and with it all that was before
  dirty_ = false;
  copies_stand_ = copies_.stand();
  last_flush_ = clock_.now();
  log_->info("sink connected sink={} position={} epoch={}", sink_,
             position_.empty() ? "(none)" : position_.to_string(), found.epoch);
  warn_of_paused_tables();
  if (batch_.empty()) {
    recovered();  // otherwise only when the batch is through: it may be what fails
  }
  progress_.update([&](SinkStatus& status) {
    status.state = streaming_state();
    status.applied = position_;
    status.durable = durable_;
    status.error.clear();
  });
  report_tables();
}

// Fails between the steps, where nobody counts attempts: what may pass begins a new session, in
// which step() counts. Whether a COMMIT in doubt was done, that session sees.
Error ApplyStep::failed_between_steps(const Error& error) const {
  const bool begins_again =
      error.kind() == ErrorKind::kInDoubt || error.kind() == ErrorKind::kSystemic;
  return Error{begins_again ? ErrorKind::kTransient : error.kind(), error.what(), error.hint()}
      .with_context("sink " + sink_);
}

void ApplyStep::confirm() {
  try {
    driver_.begin();
  } catch (const Error& error) {
    throw failed_between_steps(error);
  }
  driver_.rollback();
}

void ApplyStep::adopt(const History& history) {
  if (position_.empty() || position_.history == history) {
    return;
  }
  const Position adopted{position_.lsn, history};
  try {
    driver_.begin();
    driver_.commit({adopted, {}});
    // A power cut must not take it back: then the sink would stand where nobody had left it.
    driver_.flush();
  } catch (const Error& error) {
    throw failed_between_steps(error);
  }
  log_->warn("sink follows another history sink={} position={} was={} is={}", sink_,
             adopted.to_string(), position_.history.text, history.text);
  position_ = adopted;
  durable_ = adopted;
  dirty_ = false;
  progress_.update([&](SinkStatus& status) {
    status.applied = position_;
    status.durable = durable_;
  });
}

// After a reconnect the sink's own position says what became of the batch that was under way.
void ApplyStep::settle_batch(const Position& found) {
  // Portions before the last have no end.
  const bool may_be_committed = !batch_.empty() && ends(batch_.back()->portion);
  if (broken(Break::kGuessLostReply) && may_be_committed) {
    finish_batch();
    return;
  }
  if (found == position_) {
    // What belongs to a copy may be committed without a new position: done with the reply lost, or
    // lost with the sink's power, it cannot be applied again as if nothing had happened.
    if (copies_.stand() != copies_stand_) {
      throw Error{ErrorKind::kReread,
                  fmt::format("sink {}: its copies are not where this process left them", sink_)};
    }
    if (earlier_portions_gone_) {
      ask_paused_table();
      throw Error{
          ErrorKind::kReread,
          fmt::format("sink {}: a large transaction was rolled back with the connection and "
                      "is read again from the source",
                      sink_)};
    }
    return;  // nothing of it was committed: it is applied again
  }
  if (may_be_committed && found == batch_.back()->end_position) {
    log_->info("commit confirmed sink={} position={} reply=lost", sink_, found.to_string());
    finish_batch();
    return;
  }
  // An empty position is that of a sink that lost all.
  if (found.empty() || (found.history == position_.history && found.lsn < position_.lsn)) {
    throw Error{ErrorKind::kReread,
                fmt::format("sink {} went back from {} to {}: what follows is read again", sink_,
                            position_.to_string(), found.to_string())};
  }
  throw Error{ErrorKind::kFenced,
              fmt::format("sink {} stands at {} although this process left it at {}", sink_,
                          found.to_string(), position_.to_string()),
              "another headgate process of this pipeline has taken over; stop one of the two"};
}

// A pause within a large transaction: it is worth reading again only when the table that a person
// must look at would be taken. Until then that is asked alone, of the sink as it was before.
void ApplyStep::ask_paused_table() {
  if (preparing_) {
    driver_.begin();
    tables_.prepare(preparing_, missing_table());
    driver_.rollback();
  }
}

bool ApplyStep::wants(const Transaction& transaction) const {
  if (transaction.purpose == Purpose::kInitialCopy) {
    return position_.empty();
  }
  if (of_copy(transaction)) {
    return copies_.wants(transaction, position_);
  }
  if (broken(Break::kApplyTwice)) {
    return true;
  }
  // Also behind what waits in the batch: the same transaction twice must not be applied twice.
  const Position& reached = batch_.empty() ? position_ : batch_.back()->end_position;
  // Of changes before its copy begins, a sink has no use.
  return !reached.empty() && !is_contained(transaction, reached);
}

// Fills batch_ with whole transactions that wait, or with the next portion of a large one. False
// when nothing is there to apply.
bool ApplyStep::take_batch() {
  const std::size_t transactions_max =
      std::min(options_.batch_transactions_max, driver_.batch_transactions_wanted());
  std::size_t bytes = 0;
  std::uint64_t skipped = 0;
  const auto fits = [&](const TransactionPtr& next, std::size_t cost) {
    if (batch_.empty()) {
      return true;
    }
    // A portion is a batch of its own: its transaction may not share one with what stands before
    // it, since only the source could bring that back after a failure.
    return next->portion == Portion::kWhole && next->purpose == batch_.back()->purpose &&
           !of_copy(*next) && batch_.back()->portion == Portion::kWhole &&
           !transformer_.alters_tables(*next) && batch_.size() < transactions_max &&
           bytes + cost <= options_.batch_bytes_max;
  };
  while (auto transaction = queue_.try_pop_if(fits)) {
    const Portion portion = (*transaction)->portion;
    if (begins(portion)) {
      HEADGATE_CHECK(!in_transaction_, "a transaction began before the one before it had ended");
      skipping_portions_ = !wants(**transaction);
    }
    if (skipping_portions_) {
      skipped += ends(portion) ? 1U : 0U;
      continue;
    }
    bytes += (*transaction)->memory_bytes();
    batch_.push_back(std::move(*transaction));
  }
  if (broken(Break::kReorder) && batch_.size() > 1) {
    std::swap(batch_[0], batch_[1]);
  }
  if (skipped > 0) {
    progress_.update([&](SinkStatus& status) { status.skipped += skipped; });
  }
  return !batch_.empty();
}

void ApplyStep::apply_batch() {
  const Portion portion = batch_.back()->portion;
  if (!in_transaction_) {
    batch_context_ = BatchContext::make({}, clock_.wall_now());
    batch_changes_ = 0;
    driver_.begin();
    in_transaction_ = true;
    if (position_.empty()) {
      driver_.forget_tables();
      tables_.forget();
    }
  }
  try {
    write_batch();
  } catch (const TablePaused& pause) {
    if (position_.empty()) {
      throw;  // there is no state in which it could stay
    }
    pause_table(pause);
    return;  // what is left of the batch comes next
  }
  if (ends(portion)) {
    commit_batch();
    finish_batch();
  } else {
    earlier_portions_gone_ = true;
    last_keep_alive_ = clock_.now();
    batch_.clear();
  }
}

// That a table stays as it is from here on is committed by itself, and first: whatever becomes of
// the batch, also if it is read again, its changes are then skipped as a whole.
void ApplyStep::pause_table(const TablePaused& pause) {
  driver_.rollback();
  in_transaction_ = false;
  prepared_.clear();
  copying_.clear();
  preparing_.reset();
  tables_.connected();
  driver_.begin();
  in_transaction_ = true;
  tables_.keep_paused(pause, position_);
  driver_.commit({position_, {}});
  in_transaction_ = false;
  copies_.connected();
  copies_stand_ = copies_.stand();
  dirty_ = !driver_.commits_are_durable();
  last_flush_ = {};  // soon: what a person does rests on it
  const TablePause& kept = *tables_.record_for(*pause.table())->paused;
  log_->warn(
      "table paused alone: its changes are skipped from here on sink={} table={} since={} "
      "reason=\"{}\" remedy=\"{}\"",
      sink_, pause.table()->output.name.to_string(), kept.since, kept.reason, kept.remedy);
  report_tables();
  if (earlier_portions_gone_) {
    throw Error{ErrorKind::kReread,
                fmt::format("sink {}: a large transaction was rolled back for a table that pauses, "
                            "and is read again from the source",
                            sink_)};
  }
}

// A table is made ready where its first operation of a new description stands, and not before: what
// the source altered within a transaction is then altered between the same rows here.
void ApplyStep::write_batch() {
  DataSet data;
  data.operations.reserve(std::accumulate(
      batch_.begin(), batch_.end(), std::size_t{0},
      [](std::size_t sum, const TransactionPtr& each) { return sum + each->changes().size(); }));
  for (const TransactionPtr& transaction : batch_) {
    transformer_.transform(context_, *transaction, batch_context_, data);
  }
  if (of_copy(*batch_.front())) {
    write_copy(*batch_.front(), data);
    batch_changes_ += data.operations.size();
    return;
  }
  const bool copying = batch_.front()->purpose == Purpose::kInitialCopy;
  if (!copying) {
    copies_.route(data);
  }
  if (broken(Break::kDropRow) && data.operations.size() > 2) {
    data.operations.pop_back();
  }
  std::span<const Sink> operations = data.operations;
  std::vector<SinkConfigPtr> unprepared;
  for (const SinkConfigPtr& table : data.configs) {
    if (!is_prepared(table, copying) &&
        std::find(unprepared.begin(), unprepared.end(), table) == unprepared.end()) {
      unprepared.push_back(table);
    }
  }
  for (std::size_t i = 0; i < operations.size() && !unprepared.empty();) {
    const auto table = std::find_if(
        unprepared.begin(), unprepared.end(),
        [&](const SinkConfigPtr& candidate) { return candidate.get() == operations[i].config; });
    if (table == unprepared.end()) {
      ++i;
      continue;
    }
    write_operations(operations.first(i), copying);
    operations = operations.subspan(i);
    i = 0;
    prepare(*table, copying);
    unprepared.erase(table);
  }
  write_operations(operations, copying);
  // Tables that are only described: empty ones of a first copy, and altered ones without new rows.
  for (const SinkConfigPtr& table : unprepared) {
    if (copying || tables_.knows(*table)) {
      prepare(table, copying);
    }
  }
  batch_changes_ += data.operations.size();
}

void ApplyStep::write_operations(std::span<const Sink> operations, bool copying) {
  if (operations.empty()) {
    return;
  }
  operations = tables_.narrow(operations);
  if (broken(Break::kSplitTransaction) && !copying && operations.size() > 1) {
    driver_.write(operations.first(operations.size() / 2));
    driver_.commit({position_, {}});
    driver_.begin();
    operations = operations.subspan(operations.size() / 2);
  }
  if (copying) {
    driver_.copy(operations);
  } else {
    driver_.write(operations);
  }
}

bool ApplyStep::is_prepared(const SinkConfigPtr& table, bool copying) const {
  return prepared_.contains(table) && (!copying || copying_.contains(table));
}

void ApplyStep::write_copy(const Transaction& transaction, const DataSet& data) {
  switch (transaction.purpose) {
    case Purpose::kCopyBegin:
      for (const SinkConfigPtr& table : data.configs) {
        refuse_captured(*table);
        copies_.begin(table, options_.existing_rows, transaction.copy.missing);
      }
      return;
    case Purpose::kCopyChunk:
      copies_.write_chunk(transaction, data);
      return;
    case Purpose::kCopyEnd:
      copies_.end(transaction, data.configs, batch_end(), options_.existing_rows);
      return;
    case Purpose::kChanges:
    case Purpose::kInitialCopy:
      break;
  }
  HEADGATE_CHECK(false, "this belongs to no copy in chunks");
}

void ApplyStep::refuse_captured(const SinkConfig& table) const {
  if (is_captured_ && is_captured_(table.output.name)) {
    throw Error{ErrorKind::kOperator,
                fmt::format("table {} is captured from this very database: what is written to it "
                            "would come back as a change",
                            table.output.name.to_string()),
                "mirror into a schema that is not captured (`mirror: { schema: … }`) or into "
                "another database"};
  }
}

void ApplyStep::prepare(const SinkConfigPtr& table, bool copying) {
  refuse_captured(*table);
  if (!prepared_.contains(table)) {
    preparing_ = table;
    tables_.prepare(table, missing_table());
    preparing_.reset();
    prepared_.insert(table);
  }
  if (copying && copying_.insert(table).second) {
    driver_.prepare_copy(*table, options_.existing_rows);
  }
}

void ApplyStep::commit_batch() {
  const Transaction& last = *batch_.back();
  HEADGATE_CHECK(of_copy(last) || position_.empty() || position_.lsn < last.end_position.lsn,
                 "a sink's position only moves forward");
  driver_.commit({batch_end(), last.commit_time()});
}

// What belongs to a copy may stand where the sink is, or even before it: other sinks are behind.
Position ApplyStep::batch_end() const {
  const Position& end = batch_.back()->end_position;
  return of_copy(*batch_.back()) && end.lsn < position_.lsn ? position_ : end;
}

void ApplyStep::report_tables() {
  auto tables = std::make_shared<std::vector<TableStatus>>();
  const TableRecords records = tables_.records();
  // A paused table is told of in place of the one whose rows are still under its name.
  const auto gives_way = [&](const TableRecord& record) {
    return !record.paused &&
           std::any_of(records.begin(), records.end(), [&](const TableRecord& other) {
             return other.paused && other.target == record.target;
           });
  };
  for (const TableRecord& record : records) {
    if (gives_way(record)) {
      continue;
    }
    TableStatus& table = tables->emplace_back();
    table.table = record.target;
    table.state = record.paused        ? "paused"
                  : !record.copy       ? "streaming"
                  : record.copy->again ? "copied again"
                                       : "copying";
    table.copied = record.copy ? record.copy->rows : 0;
    table.consistent_from = record.consistent_from;
    table.paused = record.paused;
  }
  progress_.update([&](SinkStatus& status) { status.tables = tables; });
}

void ApplyStep::warn_of_paused_tables() const {
  for (const TableRecord& record : tables_.records()) {
    if (record.paused) {
      log_->warn("table is paused sink={} table={} since={} reason=\"{}\" remedy=\"{}\"{}", sink_,
                 record.target.to_string(), record.paused->since, record.paused->reason,
                 record.paused->remedy,
                 record.paused->refused.empty()
                     ? ""
                     : fmt::format(" copy_refused=\"{}\"", record.paused->refused));
    }
  }
}

std::string ApplyStep::streaming_state() const {
  return position_.empty() || copies_.any() ? "copying" : "streaming";
}

// The batch is committed in the sink.
void ApplyStep::finish_batch() {
  const Transaction& last = *batch_.back();
  position_ = batch_end();
  copies_stand_ = copies_.stand();
  dirty_ = !driver_.commits_are_durable();
  if (!dirty_) {
    durable_ = position_;
  } else if (last.purpose == Purpose::kCopyBegin || last.purpose == Purpose::kCopyEnd) {
    last_flush_ = {};  // soon: nobody else remembers it
  }
  std::uint64_t transactions = 0;
  for (const TransactionPtr& transaction : batch_) {
    transactions += !of_copy(*transaction) && transaction->next_ordinal() > 0 ? 1U : 0U;
  }
  log_->debug("batch applied sink={} batch={} transactions={} changes={} position={}", sink_,
              batch_context_.batch_id, transactions, batch_changes_, position_.to_string());
  progress_.update([&](SinkStatus& status) {
    status.state = streaming_state();
    status.applied = position_;
    status.durable = durable_;
    status.transactions += transactions;
    status.changes += batch_changes_;
    ++status.batches;
    if (transactions > 0) {
      status.last_commit_time = last.commit_time();
      status.applied_at = clock_.wall_now();
    }
  });
  if (of_copy(last)) {
    report_tables();
  }
  batch_.clear();
  batch_changes_ = 0;
  in_transaction_ = false;
  earlier_portions_gone_ = false;
  copying_.clear();
  recovered();
}

void ApplyStep::recovered() {
  if (backoff_.attempts() > 0) {
    log_->info("sink recovered sink={} after={} attempts position={}", sink_, backoff_.attempts(),
               position_.to_string());
  }
  backoff_.reset();
  systemic_attempts_ = 0;
  paused_ = false;
}

bool ApplyStep::flush_due() const {
  if (!dirty_ || in_transaction_) {
    return false;
  }
  return draining_ || clock_.now() >= last_flush_ + options_.flush_interval;
}

void ApplyStep::flush() {
  if (!broken(Break::kSkipFlush)) {
    driver_.flush();
  }
  durable_ = position_;
  dirty_ = false;
  last_flush_ = clock_.now();
  progress_.update([&](SinkStatus& status) { status.durable = durable_; });
}

StepOutcome ApplyStep::failed(const Error& error) {
  driver_.rollback();
  driver_.disconnect();
  connected_ = false;
  in_transaction_ = false;

  const Reaction reaction = reaction_to(error.kind());
  systemic_attempts_ += reaction == Reaction::kRetryBudget ? 1U : 0U;
  const bool retries = reaction == Reaction::kRetry || reaction == Reaction::kAskSink ||
                       (reaction == Reaction::kRetryBudget && !earlier_portions_gone_ &&
                        systemic_attempts_ < options_.systemic_attempts_max);
  if (!retries) {
    stopped(error);
    throw error.with_context("sink " + sink_);
  }
  if (error.kind() == ErrorKind::kLocked && was_connected_) {
    // Taken while our connection was lost. Whoever has it may be waiting for our other sinks, so
    // they must not wait for this one.
    stopped(error);
    throw Error{ErrorKind::kReread, error.what(), error.hint()}.with_context("sink " + sink_);
  }
  const bool paused = error.kind() == ErrorKind::kPaused;
  paused_ = paused;
  if (earlier_portions_gone_ && reaction == Reaction::kRetry && !paused) {
    // They were rolled back and are no longer in memory. (A COMMIT in doubt may have saved them.)
    stopped(error);
    throw Error{ErrorKind::kReread, error.what(), error.hint()}.with_context("sink " + sink_);
  }

  const Duration delay = backoff_.next();
  retry_at_ = clock_.now() + delay;
  log_->warn(
      "{} sink={} attempt={} retry_in={}ms error=\"{}\"",
      paused ? "table paused, and what follows it" : "sink unavailable", sink_, backoff_.attempts(),
      std::chrono::duration_cast<std::chrono::milliseconds>(delay).count(), error.describe());
  progress_.update([&](SinkStatus& status) {
    status.state = paused ? "paused" : "retrying";
    status.error = error.describe();
  });
  return StepOutcome::waiting(*retry_at_);
}

void ApplyStep::stopped(const Error& error) {
  progress_.update([&](SinkStatus& status) {
    status.state = "stopped";
    status.error = error.describe();
  });
}

void ApplyStep::close() noexcept {
  driver_.rollback();
  driver_.disconnect();
  connected_ = false;
  in_transaction_ = false;
  progress_.update([](SinkStatus& status) { status.state = "stopped"; });
}

}  // namespace headgate
