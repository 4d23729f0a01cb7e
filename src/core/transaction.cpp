#include "core/transaction.hpp"

#include <algorithm>
#include <random>

#include <fmt/format.h>

namespace headgate {

TraceId TraceId::make(WallTime now) {
  thread_local std::minstd_rand generator{std::random_device{}()};
  return {static_cast<std::uint32_t>(generator() << 16 ^ generator()),
          std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count()};
}

std::string TraceId::to_string() const {
  return fmt::format("{:08x}-{}", random, unix_nanoseconds);
}

Transaction::Transaction(std::string_view id, LSN commit_lsn, WallTime created_at)
    : id_(arena_.copy(id)),
      commit_lsn_(commit_lsn),
      trace_id_(TraceId::make(created_at)),
      created_at_(created_at) {}

Change& Transaction::add_change(const TableSchemaPtr& schema, Operation operation, Row data,
                                Row before) {
  remember(schema);
  Change& change = changes_.emplace_back();
  change.table = schema.get();
  change.transaction_id = id_;
  change.lsn = commit_lsn_;
  change.operation = operation;
  change.data = data;
  change.before = before;
  change.commit_time = commit_time_;
  change.ordinal = next_ordinal_++;
  return change;
}

Change& Transaction::add_change(const TableSchemaPtr& schema, const Change& change) {
  // Taken first: `change` may be one of ours, and then the vector moves it away.
  const bool key_only = change.key_only;
  Change& added =
      add_change(schema, change.operation, copy_row(change.data), copy_row(change.before));
  added.key_only = key_only;
  return added;
}

Row Transaction::copy_row(Row row) {
  const auto copied = arena_.array<Value>(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    copied[i] = row[i];
    copied[i].data = arena_.copy(row[i].bytes()).data();
  }
  return copied;
}

std::size_t Transaction::memory_bytes() const {
  return sizeof(Transaction) + arena_.bytes_reserved() + changes_.capacity() * sizeof(Change);
}

void Transaction::set_commit_time(WallTime time) {
  commit_time_ = time;
  for (Change& change : changes_) {
    change.commit_time = time;
  }
}

bool is_contained(const Transaction& transaction, const Position& position) {
  if (!transaction.end_position.empty()) {
    return transaction.end_position.lsn <= position.lsn;
  }
  // Only the start of its commit record is known yet, and a position is the end of one.
  return transaction.commit_lsn() < position.lsn;
}

void Transaction::remember(const TableSchemaPtr& schema) {
  // The last table is nearly always the one: a linear look from the back beats a set.
  const auto found = std::find(tables_.rbegin(), tables_.rend(), schema);
  if (found == tables_.rend()) {
    tables_.push_back(schema);
  }
}

}  // namespace headgate
