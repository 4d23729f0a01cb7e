#include "gate/transaction_buffer.hpp"

#include <algorithm>
#include <numeric>
#include <unordered_map>
#include <utility>

#include "base/check.hpp"

namespace headgate {
namespace {

constexpr WallTime kNoTime{};

// The transaction with its changes in the order of `ordinals`, which are as they came.
Transaction in_order(Transaction transaction, const std::vector<std::uint64_t>& ordinals) {
  if (std::is_sorted(ordinals.begin(), ordinals.end())) {
    return transaction;
  }
  std::vector<std::size_t> order(ordinals.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return ordinals[a] < ordinals[b]; });

  std::unordered_map<const TableSchema*, TableSchemaPtr> schemas;
  for (const TableSchemaPtr& schema : transaction.involved_tables()) {
    schemas.emplace(schema.get(), schema);
  }
  Transaction sorted = without_changes(transaction);
  for (const std::size_t i : order) {
    const Change& change = transaction.changes()[i];
    sorted.add_change(schemas.at(change.table), change);
  }
  return sorted;
}

}  // namespace

TransactionBuffer::TransactionBuffer(const Clock& clock, const std::set<TableName>& captured,
                                     GateOptions options, SpillSpace* spill_space)
    : clock_(clock), options_(options), spill_space_(spill_space), marks_(captured) {
  HEADGATE_CHECK(options_.max_tx_count > 0 && options_.max_batch_bytes > 0,
                 "a gate that may hold nothing ready has no use");
}

// -- what comes in

void TransactionBuffer::add_table(const TableName& table, const LSN& captured_from) {
  const Lock lock(mutex_);
  HEADGATE_CHECK(released_to_ <= captured_from,
                 "transactions that have left may have had rows in the new table");
  marks_.add(table, captured_from);
}

bool TransactionBuffer::add(const TableSchemaPtr& schema, const Change& change) {
  return add(schema, std::span(&change, 1));
}

bool TransactionBuffer::add(const TableSchemaPtr& schema, std::span<const Change> changes) {
  Lock lock(mutex_);
  if (closed_) {
    return false;
  }
  Notice notice;
  for (const Change& change : changes) {
    check_change(schema, change);
    if (change.transaction_id.empty()) {
      notice.complete.push_back(single(schema, change));
    } else {
      gather(schema, change);
    }
  }
  if (!notice.complete.empty()) {
    outbox_.push_back(std::move(notice));
    deliver(std::move(lock));
  }
  return true;
}

void TransactionBuffer::check_change(const TableSchemaPtr& schema, const Change& change) const {
  HEADGATE_CHECK(change.table == schema.get(), "a change comes with its own table's schema");
  HEADGATE_CHECK(change.lsn.is_zero() || marks_.read_to(schema->name) < change.lsn,
                 "a change came after its table was marked as read past its commit");
  HEADGATE_CHECK(!change.transaction_id.empty() || on_complete_,
                 "a change without a transaction would be dropped");
  HEADGATE_CHECK(
      !change.lsn.is_zero() || change.transaction_id.empty() || options_.mode == GateMode::kTimed,
      "the strict gate judges by LSN, so every change has that of its commit");
}

void TransactionBuffer::gather(const TableSchemaPtr& schema, const Change& change) {
  Key key{change.lsn, change.lsn.is_zero() ? change.commit_time : kNoTime,
          std::string(change.transaction_id)};
  auto found = pending_.find(key);
  if (found == pending_.end()) {
    Transaction transaction(change.transaction_id, change.lsn, clock_.wall_now());
    transaction.set_commit_time(change.commit_time);
    transaction.end_position.lsn = change.lsn;
    transaction.first_seen_time = clock_.now();
    found = pending_.emplace(std::move(key), Pending{std::move(transaction), {}, nullptr}).first;
    memory_bytes_ += found->second.memory_bytes();
  }
  Pending& pending = found->second;
  memory_bytes_ -= pending.memory_bytes();
  pending.transaction.add_change(schema, change);
  pending.ordinals.push_back(change.ordinal);
  memory_bytes_ += pending.memory_bytes();
  if (spill_space_ != nullptr && memory_bytes_ > options_.memory_bytes_max) {
    spill_largest();
  }
}

std::size_t TransactionBuffer::Pending::memory_bytes() const {
  return transaction.memory_bytes() + ordinals.capacity() * sizeof(std::uint64_t);
}

// Until half of the memory is free again, so that it is not done for every change. One file takes
// all of it: there may be many transactions, and few files that a process can have open.
void TransactionBuffer::spill_largest() {
  std::vector<Pending*> largest;
  for (auto& [key, pending] : pending_) {
    if (!pending.ordinals.empty()) {
      largest.push_back(&pending);
    }
  }
  std::sort(largest.begin(), largest.end(), [](const Pending* a, const Pending* b) {
    return a->memory_bytes() > b->memory_bytes();
  });
  const auto file = std::make_shared<SpillFile>(*spill_space_);
  for (Pending* pending : largest) {
    if (memory_bytes_ <= options_.memory_bytes_max / 2) {
      break;
    }
    memory_bytes_ -= pending->memory_bytes();
    UnorderedChanges changes{std::move(pending->transaction), std::move(pending->ordinals)};
    if (!pending->spilled) {
      pending->spilled = std::make_unique<SpilledTransaction>();
    }
    pending->spilled->spill(file, changes);
    pending->transaction = std::move(changes.transaction);
    pending->ordinals = {};
    memory_bytes_ += pending->memory_bytes();
  }
  file->close();
}

// Complete as it is, hence the reason; but nobody vouches for what was committed before it.
ReleasedTransaction TransactionBuffer::single(const TableSchemaPtr& schema, const Change& change) {
  Transaction transaction({}, change.lsn, clock_.wall_now());
  transaction.set_commit_time(change.commit_time);
  transaction.end_position.lsn = change.lsn;
  transaction.first_seen_time = clock_.now();
  transaction.add_change(schema, change);
  ++counts_.released[static_cast<std::size_t>(DeliveryReason::kCommitTime)];
  return {std::move(transaction), nullptr, DeliveryReason::kCommitTime, false};
}

// -- marks

void TransactionBuffer::update_table_max_commit_time(const TableName& table, WallTime commit_time,
                                                     const LSN& lsn) {
  Lock lock(mutex_);
  if (!closed_) {
    marks_.advance(table, commit_time, lsn);
    release_at_limit();
    deliver(std::move(lock));
  }
}

void TransactionBuffer::update_table_max_commit_time(const TableName& table, WallTime commit_time) {
  Lock lock(mutex_);
  if (!closed_) {
    marks_.advance_time(table, commit_time);
    release_at_limit();
    deliver(std::move(lock));
  }
}

void TransactionBuffer::mark_all(WallTime commit_time, const LSN& lsn) {
  Lock lock(mutex_);
  if (!closed_) {
    marks_.advance_all(commit_time, lsn);
    release_at_limit();
    deliver(std::move(lock));
  }
}

std::optional<WallTime> TransactionBuffer::get_table_max_commit_time(const TableName& table) const {
  const Lock lock(mutex_);
  return marks_.commit_time(table);
}

bool TransactionBuffer::set_complete(std::string_view transaction_id, const LSN& commit_lsn) {
  Lock lock(mutex_);
  const auto found = pending_.find(Key{commit_lsn, kNoTime, std::string(transaction_id)});
  if (found == pending_.end()) {
    return false;
  }
  found->second.declared_complete = true;
  release_at_limit();
  deliver(std::move(lock));
  return true;
}

// -- what is ready

std::optional<TransactionBuffer::Verdict> TransactionBuffer::judge(const Pending& pending,
                                                                   TimePoint now,
                                                                   WallTime wall_now) const {
  const LSN& lsn = pending.transaction.commit_lsn();
  if (!lsn.is_zero() && lsn <= marks_.all_read_to()) {
    // Not behind one that has left: then it is the rest of a transaction that was torn.
    return Verdict{DeliveryReason::kCommitTime, released_to_ < lsn};
  }
  if (pending.declared_complete) {
    return Verdict{DeliveryReason::kCommitTime, false};
  }
  if (options_.mode == GateMode::kTimed && !closed_) {
    if (const auto reason = judge_by_time(pending.transaction, now, wall_now)) {
      return Verdict{*reason, false};
    }
  }
  return std::nullopt;
}

std::optional<DeliveryReason> TransactionBuffer::judge_by_time(const Transaction& transaction,
                                                               TimePoint now,
                                                               WallTime wall_now) const {
  if (const WallTime commit_time = transaction.commit_time(); commit_time != kNoTime) {
    // Past it, not up to it: times tie, and a tie may have more rows to come.
    const auto read_to = marks_.all_commit_time();
    if (read_to && *read_to > commit_time) {
      return DeliveryReason::kCommitTime;
    }
    // In microseconds: as nanoseconds, odd years would overflow.
    if (wall_now - commit_time >
        std::chrono::duration_cast<WallTime::duration>(2 * options_.poll_interval)) {
      return DeliveryReason::kPollInterval;
    }
  }
  if (now - transaction.first_seen_time >= options_.max_wait_time) {
    return DeliveryReason::kTimeout;
  }
  return std::nullopt;
}

TransactionBuffer::ReadyPrefix TransactionBuffer::ready_prefix() const {
  const TimePoint now = clock_.now();
  const WallTime wall_now = clock_.wall_now();
  ReadyPrefix prefix;
  for (const auto& [key, pending] : pending_) {
    const auto verdict = judge(pending, now, wall_now);
    if (!verdict) {
      break;
    }
    prefix.verdicts.push_back(*verdict);
    prefix.bytes += pending.transaction.memory_bytes();
  }
  return prefix;
}

bool TransactionBuffer::reaches_limit(const ReadyPrefix& prefix) const {
  return prefix.verdicts.size() >= options_.max_tx_count ||
         prefix.bytes >= options_.max_batch_bytes;
}

// -- what goes out

std::vector<ReleasedTransaction> TransactionBuffer::get_complete_transactions() {
  Lock lock(mutex_);
  auto ready = take(ready_prefix());
  watch_for_stall();
  deliver(std::move(lock));
  return ready;
}

std::vector<ReleasedTransaction> TransactionBuffer::take(const ReadyPrefix& prefix) {
  const bool at_limit = reaches_limit(prefix);
  std::vector<ReleasedTransaction> taken;
  taken.reserve(prefix.verdicts.size());
  for (Verdict verdict : prefix.verdicts) {
    // Only over the harmless reason: that a transaction may be torn must not be hidden.
    if (at_limit && verdict.reason == DeliveryReason::kCommitTime) {
      verdict.reason = DeliveryReason::kBatchLimit;
    }
    ++counts_.released[static_cast<std::size_t>(verdict.reason)];
    taken.push_back(take_first(verdict));
    if (verdict.reason == DeliveryReason::kTimeout) {
      outbox_.push_back({{}, {stall_of(taken.back().transaction)}});
    }
  }
  return taken;
}

ReleasedTransaction TransactionBuffer::take_first(const Verdict& verdict) {
  Pending pending = std::move(pending_.begin()->second);
  pending_.erase(pending_.begin());
  memory_bytes_ -= pending.memory_bytes();
  released_to_ = std::max(released_to_, pending.transaction.commit_lsn());
  if (!pending.spilled) {
    return {in_order(std::move(pending.transaction), pending.ordinals), nullptr, verdict.reason,
            verdict.whole};
  }
  ReleasedTransaction released{without_changes(pending.transaction), std::move(pending.spilled),
                               verdict.reason, verdict.whole};
  released.spilled->finish({std::move(pending.transaction), std::move(pending.ordinals)});
  return released;
}

void TransactionBuffer::release_at_limit() {
  if (!on_complete_) {
    return;
  }
  const ReadyPrefix prefix = ready_prefix();
  if (reaches_limit(prefix)) {
    auto complete = take(prefix);
    outbox_.push_back({std::move(complete), {}});
  }
}

std::vector<ReleasedTransaction> TransactionBuffer::flush() {
  Lock lock(mutex_);
  auto taken = take(ready_prefix());
  counts_.flushed += pending_.size();
  while (!pending_.empty()) {
    taken.push_back(take_first({DeliveryReason::kTimeout, false}));
  }
  counts_.stalled = false;
  deliver(std::move(lock));
  return taken;
}

void TransactionBuffer::close() {
  const Lock lock(mutex_);
  closed_ = true;
}

// -- stalls and callbacks

// Called when what is ready has been taken: the rest waits for a mark.
void TransactionBuffer::watch_for_stall() {
  const auto oldest =
      std::min_element(pending_.begin(), pending_.end(), [](const auto& a, const auto& b) {
        return a.second.transaction.first_seen_time < b.second.transaction.first_seen_time;
      });
  const bool stalls =
      !closed_ && oldest != pending_.end() &&
      clock_.now() - oldest->second.transaction.first_seen_time >= options_.max_wait_time;
  if (stalls && !counts_.stalled) {
    ++counts_.stalls;
    outbox_.push_back({{}, {stall_of(oldest->second.transaction)}});
  }
  counts_.stalled = stalls;
}

GateStall TransactionBuffer::stall_of(const Transaction& transaction) const {
  return {std::string(transaction.id()), transaction.commit_lsn(),
          clock_.now() - transaction.first_seen_time, marks_.behind(transaction.commit_lsn())};
}

void TransactionBuffer::deliver(Lock lock) {
  if (delivering_) {
    return;  // whoever is at it, perhaps further up this very thread, takes this along, in order
  }
  delivering_ = true;
  while (!outbox_.empty()) {
    Notice notice = std::move(outbox_.front());
    outbox_.pop_front();
    const OnComplete on_complete = on_complete_;
    const OnTimeout on_timeout = on_timeout_;
    lock.unlock();
    try {
      call_back(std::move(notice), on_complete, on_timeout);
    } catch (...) {
      lock.lock();
      delivering_ = false;
      throw;
    }
    lock.lock();
  }
  delivering_ = false;
}

void TransactionBuffer::call_back(Notice notice, const OnComplete& on_complete,
                                  const OnTimeout& on_timeout) {
  if (!notice.complete.empty() && on_complete) {
    on_complete(std::move(notice.complete));
  }
  if (on_timeout) {
    for (const GateStall& stall : notice.stalls) {
      on_timeout(stall);
    }
  }
}

void TransactionBuffer::set_on_complete(OnComplete callback) {
  const Lock lock(mutex_);
  on_complete_ = std::move(callback);
}

void TransactionBuffer::set_on_timeout(OnTimeout callback) {
  const Lock lock(mutex_);
  on_timeout_ = std::move(callback);
}

std::size_t TransactionBuffer::size() const {
  const Lock lock(mutex_);
  return pending_.size();
}

GateCounts TransactionBuffer::counts() const {
  const Lock lock(mutex_);
  return counts_;
}

}  // namespace headgate
