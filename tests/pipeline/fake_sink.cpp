#include "fake_sink.hpp"

#include <algorithm>

namespace headgate::pipeline_test {

void FakeSink::fail(Call call, ErrorKind kind, unsigned times) {
  failures_[call].insert(failures_[call].end(), times, kind);
}

void FakeSink::lose_commit_reply(bool done) {
  lost_reply_done_ = done;
}

void FakeSink::cut_power() {
  commits_.resize(durable_count_);
  cut_ = true;
}

void FakeSink::take_over(const std::optional<Position>& end) {
  ++epoch_;
  if (end) {
    move_to(*end);
  }
}

void FakeSink::move_to(const Position& position) {
  commits_.push_back({{position, {}}, {}});
  durable_count_ = commits_.size();
}

Position FakeSink::current() const {
  return commits_.empty() ? start_ : commits_.back().mark.position;
}

Position FakeSink::durable() const {
  return durable_count_ == 0 ? start_ : commits_[durable_count_ - 1].mark.position;
}

std::vector<std::string> FakeSink::rows() const {
  std::vector<std::string> all;
  for (const Commit& commit : commits_) {
    all.insert(all.end(), commit.rows.begin(), commit.rows.end());
  }
  return all;
}

std::vector<std::size_t> FakeSink::commit_sizes() const {
  std::vector<std::size_t> sizes;
  for (const Commit& commit : commits_) {
    sizes.push_back(commit.rows.size());
  }
  return sizes;
}

std::size_t FakeSink::count(Call call) const {
  return static_cast<std::size_t>(std::count(calls.begin(), calls.end(), call));
}

void FakeSink::expect(bool holds, const std::string& rule) {
  if (!holds) {
    misuse_.push_back(rule);
  }
}

void FakeSink::lost() {
  throw Error{ErrorKind::kTransient, "connection lost"};
}

void FakeSink::enter(Call call, bool needs_transaction) {
  const std::size_t number = calls.size();
  calls.push_back(call);
  if (call != Call::kConnect) {
    expect(connected_, "a call without a connection");
    expect(!broken_, "a call after one that threw");
    expect(in_transaction_ == needs_transaction, "a call outside, or inside, a transaction");
  }
  if (cut_) {  // the first call to notice
    cut_ = false;
    broken_ = true;
    lost();
  }
  if (const auto strike = strikes_.find(number); strike != strikes_.end()) {
    if (strike->second == Fault::kPowerCut) {
      cut_power();
      cut_ = false;
    } else if (call == Call::kCommit && strike->second == Fault::kReplyLostDone) {
      lost_reply_done_ = true;
      return;
    } else if (call == Call::kCommit && strike->second == Fault::kReplyLostNotDone) {
      lost_reply_done_ = false;
      return;
    }
    broken_ = true;
    lost();
  }
  auto& failures = failures_[call];
  if (!failures.empty()) {
    const ErrorKind kind = failures.front();
    failures.pop_front();
    broken_ = true;
    throw Error{kind, "scripted failure"};
  }
}

void FakeSink::check_fence() const {
  if (own_epoch_ != epoch_ || last_seen_ != current()) {
    throw Error{ErrorKind::kFenced, "the position row is another process's"};
  }
}

SinkPosition FakeSink::check(Findings&) {
  return {current(), epoch_};
}

SinkPosition FakeSink::connect() {
  expect(!connected_, "connect() while connected");
  broken_ = false;
  cut_ = false;
  enter(Call::kConnect, false);
  connected_ = true;
  in_transaction_ = false;
  prepared_.clear();
  copying_.clear();
  own_epoch_ = ++epoch_;
  durable_count_ = commits_.size();  // raising the epoch commits durably
  last_seen_ = current();
  return {current(), epoch_};
}

void FakeSink::begin() {
  enter(Call::kBegin, false);
  check_fence();
  in_transaction_ = true;
  written_.clear();
}

void FakeSink::prepare_table(const SinkConfigPtr& table, MissingTable missing) {
  enter(Call::kPrepareTable, true);
  missing_tables_.push_back(missing);
  prepared_.insert(table.get());
}

void FakeSink::prepare_copy(const SinkConfig& table, ExistingRows existing) {
  enter(Call::kPrepareCopy, true);
  expect(prepared_.count(&table) == 1, "prepare_copy() before prepare_table()");
  expect(copying_.count(&table) == 0, "prepare_copy() twice: it would remove copied rows");
  copying_.insert(&table);
  existing_rows_.push_back(existing);
}

void FakeSink::keep_alive() {
  expect(in_transaction_, "keep_alive() without an open transaction");
  ++keep_alives_;
}

void FakeSink::write(std::span<const Sink> operations) {
  enter(Call::kWrite, true);
  keep(operations, prepared_);
}

void FakeSink::copy(std::span<const Sink> operations) {
  enter(Call::kCopy, true);
  keep(operations, copying_);
}

void FakeSink::keep(std::span<const Sink> operations, const std::set<const SinkConfig*>& ready) {
  expect(!operations.empty(), "a call without operations");
  for (const Sink& operation : operations) {
    expect(ready.count(operation.config) == 1, "a row of a table that is not prepared");
    written_.emplace_back(operation.data.front().bytes());
  }
}

void FakeSink::commit(const CommitMark& mark) {
  enter(Call::kCommit, true);
  const bool done = lost_reply_done_.value_or(true);
  in_transaction_ = false;
  if (done) {
    expect(current().empty() || current().lsn < mark.position.lsn, "a position that does not move");
    commits_.push_back({mark, std::move(written_)});
    last_seen_ = mark.position;
    if (durable_commits) {
      durable_count_ = commits_.size();
    }
    copying_.clear();
  }
  written_.clear();
  if (lost_reply_done_) {
    lost_reply_done_.reset();
    broken_ = true;
    throw Error{ErrorKind::kInDoubt, "the reply to COMMIT was lost"};
  }
}

void FakeSink::rollback() noexcept {
  in_transaction_ = false;
  written_.clear();
  prepared_.clear();  // tables created in the transaction are gone with it
  copying_.clear();
}

void FakeSink::flush() {
  enter(Call::kFlush, false);
  check_fence();
  durable_count_ = commits_.size();
}

void FakeSink::disconnect() noexcept {
  connected_ = false;
  in_transaction_ = false;
}

void PassOn::transform(const TransformContext& context, const Transaction& transaction,
                       const BatchContext&, DataSet& out) {
  const auto failure = failures.find(transaction.end_position.lsn.to_postgres());
  if (failure != failures.end()) {
    throw Error{failure->second, "scripted failure"};
  }
  for (const TableSchemaPtr& table : transaction.involved_tables()) {
    SinkConfigPtr& config = configs_[table->name];
    if (!config) {
      auto made = std::make_shared<SinkConfig>();
      made->name = table->name.to_string();
      made->database = context.sink;
      made->output = *table;
      config = std::move(made);
    }
    out.configs.push_back(config);
  }
  for (const Change& change : transaction.changes()) {
    out.operations.push_back({configs_.at(change.table->name).get(), change.operation, change.data,
                              change.before, change.key_only});
  }
}

}  // namespace headgate::pipeline_test
