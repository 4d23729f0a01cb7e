#include "gate/spilled_transaction.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string_view>
#include <utility>

#include "base/check.hpp"

namespace headgate {
namespace {

// Of runs that are read side by side: small, since there may be many of them.
constexpr std::size_t kReadBytes = std::size_t{16} * 1024;

// Records are read by the process that wrote them, so numbers stand as this machine has them.
template <typename Number>
void put(std::string& out, Number number) {
  char bytes[sizeof number];
  std::memcpy(bytes, &number, sizeof number);
  out.append(bytes, sizeof number);
}

void put_row(std::string& out, Row row) {
  put(out, static_cast<std::uint32_t>(row.size()));
  for (const Value& value : row) {
    put(out, value.kind);
    put(out, value.size);
    out.append(value.bytes());
  }
}

class RecordReader {
 public:
  explicit RecordReader(std::string_view record) : rest_(record) {}

  template <typename Number>
  Number number() {
    Number value;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }

  // Its values point into the record.
  std::vector<Value> row() {
    std::vector<Value> values(number<std::uint32_t>());
    for (Value& value : values) {
      value.kind = number<ValueKind>();
      value.size = number<std::uint32_t>();
      value.data = take(value.size).data();
    }
    return values;
  }

 private:
  std::string_view take(std::size_t size) {
    HEADGATE_CHECK(size <= rest_.size(), "a spilled change is as it was written");
    const std::string_view bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return bytes;
  }

  std::string_view rest_;
};

std::vector<std::size_t> order_of(const std::vector<std::uint64_t>& ordinals) {
  std::vector<std::size_t> order(ordinals.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return ordinals[a] < ordinals[b]; });
  return order;
}

}  // namespace

Transaction without_changes(const Transaction& transaction) {
  Transaction empty(transaction.id(), transaction.commit_lsn(), transaction.created_at());
  empty.set_commit_time(transaction.commit_time());
  empty.end_position = transaction.end_position;
  empty.first_seen_time = transaction.first_seen_time;
  return empty;
}

void SpilledTransaction::spill(const std::shared_ptr<SpillFile>& file, UnorderedChanges& changes) {
  for (const TableSchemaPtr& table : changes.transaction.involved_tables()) {
    const auto number = static_cast<std::uint32_t>(tables_.size());
    if (table_numbers_.try_emplace(table.get(), number).second) {
      tables_.push_back(table);
    }
  }
  const std::uint64_t from = file->size();
  std::string record;
  for (const std::size_t place : order_of(changes.ordinals)) {
    const Change& change = changes.transaction.changes()[place];
    record.clear();
    put(record, changes.ordinals[place]);
    put(record, table_numbers_.at(change.table));
    put(record, change.operation);
    put(record, change.key_only);
    put_row(record, change.data);
    put_row(record, change.before);
    file->append(record);
  }
  runs_.push_back({file, from, file->size()});
  changes_ += changes.ordinals.size();
  changes.transaction = without_changes(changes.transaction);
  changes.ordinals = {};
}

void SpilledTransaction::finish(UnorderedChanges rest) {
  changes_ += rest.ordinals.size();
  rest_order_ = order_of(rest.ordinals);
  rest_ = std::move(rest);
}

void SpilledTransaction::Head::advance() {
  std::string_view next;
  ended = !reader.next(next);
  if (!ended) {
    record.assign(next);
    ordinal = RecordReader(record).number<std::uint64_t>();
  }
}

void SpilledTransaction::begin_reading() {
  HEADGATE_CHECK(rest_.has_value(), "a spilled transaction is finished before it is read");
  for (const Run& run : runs_) {
    heads_.push_back({SpillReader(run.file, run.from, run.to, kReadBytes), 0, {}, false});
    heads_.back().advance();
  }
  runs_.clear();
  reading_ = true;
}

// The run with the next change; null when that is in memory, or nothing is left. Of equal ordinals
// the earlier run has the earlier change, and what is in memory came last.
SpilledTransaction::Head* SpilledTransaction::least() {
  Head* least = nullptr;
  for (Head& head : heads_) {
    if (!head.ended && (least == nullptr || head.ordinal < least->ordinal)) {
      least = &head;
    }
  }
  const bool rest_first = least != nullptr && rest_at_ < rest_order_.size() &&
                          rest_->ordinals[rest_order_[rest_at_]] < least->ordinal;
  return rest_first ? nullptr : least;
}

void SpilledTransaction::add_next(Head& head, Transaction& portion) {
  RecordReader reader(head.record);
  reader.number<std::uint64_t>();
  const TableSchemaPtr& table = tables_.at(reader.number<std::uint32_t>());
  Change change;
  change.operation = reader.number<Operation>();
  change.key_only = reader.number<bool>();
  const std::vector<Value> data = reader.row();
  const std::vector<Value> before = reader.row();
  change.data = data;
  change.before = before;
  portion.add_change(table, change);
  head.advance();
}

std::optional<Transaction> SpilledTransaction::next_portion(std::size_t bytes_max) {
  if (ended_) {
    return std::nullopt;
  }
  const bool first = !reading_;
  if (first) {
    begin_reading();
  }
  Transaction portion = without_changes(rest_->transaction);
  portion.set_first_ordinal(next_ordinal_);
  do {
    if (Head* head = least()) {
      add_next(*head, portion);
    } else if (rest_at_ < rest_order_.size()) {
      const Change& change = rest_->transaction.changes()[rest_order_[rest_at_++]];
      const auto& tables = rest_->transaction.involved_tables();
      const auto table = std::find_if(tables.begin(), tables.end(), [&](const TableSchemaPtr& one) {
        return one.get() == change.table;
      });
      portion.add_change(*table, change);
    }
    ended_ = least() == nullptr && rest_at_ == rest_order_.size();
  } while (!ended_ && portion.memory_bytes() < bytes_max);
  next_ordinal_ = portion.next_ordinal();
  portion.portion = first ? (ended_ ? Portion::kWhole : Portion::kFirst)
                          : (ended_ ? Portion::kLast : Portion::kMiddle);
  return portion;
}

}  // namespace headgate
