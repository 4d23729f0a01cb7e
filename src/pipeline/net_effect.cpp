#include "pipeline/net_effect.hpp"

#include <algorithm>
#include <cstddef>
#include <functional>
#include <string_view>
#include <utility>

#include <boost/unordered/unordered_flat_map.hpp>
#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"

namespace headgate {
namespace {

// The key columns of a full-width row.
struct KeyRef {
  const Value* row;
  const std::vector<std::size_t>* columns;
};

struct KeyHash {
  std::size_t operator()(const KeyRef& key) const {
    std::size_t hash = 0;
    for (const std::size_t column : *key.columns) {
      hash = hash * 0x9E3779B97F4A7C15U + std::hash<std::string_view>{}(key.row[column].bytes());
    }
    return hash;
  }
};

struct KeyEqual {
  bool operator()(const KeyRef& a, const KeyRef& b) const {
    return std::all_of(a.columns->begin(), a.columns->end(),
                       [&](std::size_t column) { return a.row[column] == b.row[column]; });
  }
};

bool has_unchanged(Row row) {
  return std::any_of(row.begin(), row.end(),
                     [](const Value& value) { return value.is_unchanged(); });
}

bool same_key(const std::vector<std::size_t>& key, Row a, Row b) {
  return std::all_of(key.begin(), key.end(),
                     [&](std::size_t column) { return a[column] == b[column]; });
}

// An update that moved a row into a publication's row filter arrives as an insert, and what it left
// alone out of line has no value anywhere but at the source.
void require_complete(const Sink& insert) {
  const auto missing = std::find_if(insert.data.begin(), insert.data.end(),
                                    [](const Value& value) { return value.is_unchanged(); });
  if (missing != insert.data.end()) {
    const auto column = static_cast<std::size_t>(missing - insert.data.begin());
    const TableSchema& output = insert.config->output;
    throw Error{ErrorKind::kRow,
                fmt::format("table {}, column {}: the source did not send the value of a new row",
                            output.name.to_string(), output.columns[column].name),
                "set REPLICA IDENTITY FULL at the source, or filter by columns that do not change"};
  }
}

}  // namespace

// What is known of one table in the open stage: the last state of each key that was touched.
class NetEffect::TableState {
 public:
  enum class Kind { kDelete, kUpsert, kUpdate };
  struct Entry {
    Kind kind;
    bool is_new;  // what was done first to this key was an insert
    Row row;
  };

  explicit TableState(const SinkConfig* config) : work_(config) {}

  const SinkConfig* config() const { return work_.table; }
  const std::vector<std::size_t>& key() const { return work_.table->output.key; }

  Entry* find(Row row) {
    const auto found = by_key_.find(KeyRef{row.data(), &key()});
    return found == by_key_.end() ? nullptr : &entries_[found->second];
  }

  // `operations` more are about to come.
  void expect(std::size_t operations) { expected_ += operations; }

  void insert(Row row) { set(Kind::kUpsert, row, true); }

  void set(Kind kind, Row row, bool is_new = false) {
    if (expected_ > 0) {
      entries_.reserve(entries_.size() + expected_);
      by_key_.reserve(by_key_.size() + expected_);
      expected_ = 0;
    }
    const auto [place, added] = by_key_.try_emplace(KeyRef{row.data(), &key()}, entries_.size());
    if (added) {
      entries_.push_back({kind, is_new, row});
      return;
    }
    // The map's key keeps pointing at the first row of this key, which lives as long as the batch.
    Entry& entry = entries_[place->second];
    entry.kind = kind;
    entry.row = row;
  }

  void append(Row row) {
    if (expected_ > 0) {
      work_.appends.reserve(work_.appends.size() + expected_);
      expected_ = 0;
    }
    work_.appends.push_back(row);
  }

  // Whatever was to be written is gone with all the rest.
  void truncate() {
    by_key_.clear();
    entries_.clear();
    work_.appends.clear();
    work_.truncate = true;
  }

  TableWork take() {
    for (const Entry& entry : entries_) {
      switch (entry.kind) {
        case Kind::kDelete:
          work_.deletes.push_back(entry.row);
          break;
        case Kind::kUpsert:
          work_.upserts.push_back(entry.row);
          work_.upserts_are_new = work_.upserts_are_new && entry.is_new;
          break;
        case Kind::kUpdate:
          work_.updates.push_back(entry.row);
          break;
      }
    }
    return std::move(work_);
  }

 private:
  TableWork work_;
  std::size_t expected_ = 0;  // operations that no room was made for yet
  std::vector<Entry> entries_;
  boost::unordered_flat_map<KeyRef, std::size_t, KeyHash, KeyEqual> by_key_;
};

NetEffect::NetEffect() = default;
NetEffect::~NetEffect() = default;

void NetEffect::add(std::span<const Sink> operations) {
  for (auto first = operations.begin(); first != operations.end();) {
    const auto end = std::find_if(first, operations.end(), [&](const Sink& operation) {
      return operation.config != first->config;
    });
    state_of(first->config).expect(static_cast<std::size_t>(end - first));
    first = end;
  }
  for (const Sink& operation : operations) {
    apply(operation);
  }
}

std::vector<WorkStage> NetEffect::take() {
  if (!tables_.empty()) {
    close_stage();
  }
  return std::exchange(done_, {});
}

NetEffect::TableState& NetEffect::state_of(const SinkConfig* table) {
  if (last_ != nullptr && last_->config() == table) {
    return *last_;
  }
  const auto found = std::find_if(tables_.begin(), tables_.end(),
                                  [&](const auto& state) { return state->config() == table; });
  if (found == tables_.end()) {
    tables_.push_back(std::make_unique<TableState>(table));
    last_ = tables_.back().get();
  } else {
    last_ = found->get();
  }
  return *last_;
}

void NetEffect::apply(const Sink& operation) {
  const bool keyed = !operation.config->output.key.empty();
  switch (operation.operation) {
    case Operation::kTruncate:
      state_of(operation.config).truncate();
      return;
    case Operation::kInsert:
      require_complete(operation);
      if (keyed) {
        state_of(operation.config).insert(operation.data);
      } else {
        state_of(operation.config).append(operation.data);
      }
      return;
    case Operation::kDelete:
      if (keyed) {
        state_of(operation.config).set(TableState::Kind::kDelete, operation.data);
      } else {
        close_stage();
        done_.back().singles.push_back(operation);
      }
      return;
    case Operation::kUpdateAfter:
      if (keyed) {
        apply_update(state_of(operation.config), operation);
      } else {
        close_stage();
        done_.back().singles.push_back(operation);
      }
      return;
    case Operation::kUpdateBefore:
      break;
  }
  HEADGATE_CHECK(false, "before and after images are joined before they reach a sink");
}

void NetEffect::apply_update(TableState& state, const Sink& operation) {
  const Row& data = operation.data;
  const bool moves = !operation.before.empty() && !same_key(state.key(), operation.before, data);
  const TableState::Entry* old_row = state.find(moves ? operation.before : data);
  const bool old_is_upsert = old_row != nullptr && old_row->kind == TableState::Kind::kUpsert;
  const bool old_is_update = old_row != nullptr && old_row->kind == TableState::Kind::kUpdate;

  Row row = data;
  if (old_is_upsert || (old_is_update && !moves)) {
    row = fill_unchanged(data, old_row->row);
  }
  const bool incomplete = has_unchanged(row);

  if (!moves) {
    state.set(incomplete ? TableState::Kind::kUpdate : TableState::Kind::kUpsert, row);
    return;
  }
  if (incomplete) {
    // Some column's value is only in the sink, under the old key. The stage before brings that row
    // up to date; then one UPDATE carries it over to its new key.
    close_stage();
    done_.back().singles.push_back(operation);
    return;
  }
  state.set(TableState::Kind::kDelete, operation.before);
  state.set(TableState::Kind::kUpsert, row);
}

Row NetEffect::fill_unchanged(Row newer, Row older) {
  if (!has_unchanged(newer)) {
    return newer;
  }
  const auto filled = arena_.array<Value>(newer.size());
  for (std::size_t i = 0; i < newer.size(); ++i) {
    filled[i] = newer[i].is_unchanged() ? older[i] : newer[i];
  }
  return filled;
}

// Leaves a last stage in done_ to which singles may be added.
void NetEffect::close_stage() {
  if (tables_.empty() && !done_.empty()) {
    return;
  }
  WorkStage& stage = done_.emplace_back();
  for (const auto& state : tables_) {
    stage.tables.push_back(state->take());
  }
  tables_.clear();
  last_ = nullptr;
}

}  // namespace headgate
