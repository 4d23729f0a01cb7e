#include "source_database.hpp"

#include <algorithm>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>

namespace headgate::sim {
namespace {

constexpr std::string_view kHistory = "sim:";

// The place of the column whose value may be left out of an update, as long as there is one.
std::optional<std::size_t> large_column(const TableSchema& schema, std::size_t table) {
  for (std::size_t i = 0; table == kAccounts && i < schema.columns.size(); ++i) {
    if (schema.columns[i].source_id == kLargeColumn) {
      return i;
    }
  }
  return std::nullopt;
}

std::uint32_t timeline_of(const History& history) {
  return static_cast<std::uint32_t>(std::stoul(history.text.substr(kHistory.size())));
}

}  // namespace

SourceDatabase::SourceDatabase(World& world, WorkloadOptions options)
    : world_(world), options_(options) {
  states_[{timeline_, end_}] = State();
}

void SourceDatabase::advance() {
  end_ += 8 * world_.random.between(1, 5);
}

void SourceDatabase::commit() {
  if (options_.drop_per_mille > 0 && world_.random.chance(options_.drop_per_mille) &&
      drop_table()) {
    return;
  }
  Commit commit;
  State state = now();
  const bool large = world_.random.chance(options_.large_per_mille);
  const std::size_t rows =
      world_.random.between(1, large ? options_.large_rows : options_.rows_max);
  for (std::size_t i = 0; i < rows; ++i) {
    commit.changes.push_back(change(state));
    commit.changes.back().schema = state.schema(commit.changes.back().table);
  }
  advance();
  commit.end = end_;
  commit.id = std::to_string(next_id_++ % 40);  // ids wrap
  commit.time = world_.clock.wall_now();
  world_.trace("source", "commits {} rows, ends at {:X}", rows, end_);
  states_[{timeline_, end_}] = std::move(state);
  log_.push_back(std::move(commit));
}

void SourceDatabase::idle() {
  State state = now();
  advance();
  world_.trace("source", "log of others up to {:X}", end_);
  states_[{timeline_, end_}] = std::move(state);
  log_.push_back({end_, {}, {}, {}});
}

// False when it is the last one. Nothing in the log tells of it, as of any DDL.
bool SourceDatabase::drop_table() {
  State state = now();
  const std::size_t table = world_.random.below(kTables);
  std::size_t others = 0;
  for (std::size_t other = 0; other < kTables; ++other) {
    others += other != table && !state.gone(other) ? 1U : 0U;
  }
  if (others == 0 || state.gone(table)) {
    return false;
  }
  state.drop(table);
  advance();
  world_.trace("source", "drops {}, ends at {:X}", schemas()[table]->name.table, end_);
  states_[{timeline_, end_}] = std::move(state);
  log_.push_back({end_, {}, {}, {}});
  return true;
}

std::size_t SourceDatabase::behind(std::uint64_t position) const {
  const auto found =
      std::upper_bound(log_.begin(), log_.end(), position,
                       [](std::uint64_t at, const Commit& commit) { return at < commit.end; });
  return static_cast<std::size_t>(found - log_.begin());
}

History SourceDatabase::history() const {
  return {std::string(kHistory) + std::to_string(timeline_)};
}

const State* SourceDatabase::state_at(const Position& position) const {
  const auto found = states_.find({timeline_of(position.history), position.lsn.to_postgres()});
  return found == states_.end() ? nullptr : &found->second;
}

Position SourceDatabase::any_position(std::uint64_t since) const {
  const std::size_t first = behind(since);
  const std::size_t chosen = world_.random.between(first, log_.size());
  return position(chosen == first ? since : log_[chosen - 1].end);
}

bool SourceDatabase::is_rewritten(std::size_t table, const Position& position) const {
  const State& then = *state_at(position);
  if (then.schema(table) != now().schema(table) || now().gone(table)) {
    return true;
  }
  for (std::size_t i = behind(position.lsn.to_postgres()); i < log_.size(); ++i) {
    const auto& changes = log_[i].changes;
    if (std::any_of(changes.begin(), changes.end(), [&](const RowChange& change) {
          return change.table == table && change.operation == Operation::kTruncate;
        })) {
      return true;
    }
  }
  return false;
}

bool SourceDatabase::holds(const Position& position) const {
  const auto left = left_at_.find(timeline_of(position.history));
  return position.lsn.to_postgres() <= (left == left_at_.end() ? end_ : left->second);
}

// -- the application

Cell SourceDatabase::random_text() {
  if (world_.random.chance(100)) {
    return {};
  }
  if (world_.random.chance(50)) {
    return text("");  // not NULL
  }
  return text(std::to_string(world_.random.below(100000)));
}

Record SourceDatabase::random_key(std::size_t table) {
  const std::size_t number = world_.random.below(options_.keys);
  if (table == kAccounts) {
    return {text(std::to_string(number))};
  }
  return {text(std::to_string(number / 4)), text(std::to_string(number % 4))};
}

// A description travels with the next row only: so that the state behind every commit is the one
// that a sink can know of, a row of the table follows each alteration.
RowChange SourceDatabase::change(State& state) {
  std::size_t table = world_.random.below(kTables);
  while (state.gone(table)) {
    table = world_.random.below(kTables);
  }
  while (options_.alter_per_mille > 0 && world_.random.chance(options_.alter_per_mille) &&
         alter(state, table)) {
  }
  return change(state, table);
}

// Adds, drops or renames a column, or lets two swap their names. No name is given to another column
// once its own was dropped, or between the same two rows: that a pipeline cannot tell from nothing,
// and pauses.
bool SourceDatabase::alter(State& state, std::size_t table) {
  auto altered = std::make_shared<TableSchema>(*state.schema(table));
  auto& columns = altered->columns;
  const std::size_t keys = altered->key.size();
  const auto fresh_name = [&] { return "c" + std::to_string(next_column_++); };
  const auto any = [&](std::size_t from) {
    return world_.random.between(from, columns.size() - 1);
  };
  Reshape reshape;
  const std::size_t what = world_.random.below(4);
  switch (what) {
    case 0:
      if (columns.size() < 7) {
        Column& added = columns.emplace_back();
        added.source_id = next_column_;
        added.name = fresh_name();
        added.family = TypeFamily::kText;
        const Cell fill = random_text();
        if (fill.kind == ValueKind::kText) {
          added.fill = {ColumnFill::Kind::kText, fill.text};
        }
        reshape.appended = {fill};
        world_.trace("source", "adds {} to {}", added.name, altered->name.table);
      }
      break;
    case 1:
      if (columns.size() > std::max<std::size_t>(keys, 1)) {
        const std::size_t place = any(keys);
        world_.trace("source", "drops {} of {}", columns[place].name, altered->name.table);
        columns.erase(columns.begin() + static_cast<std::ptrdiff_t>(place));
        reshape.dropped = {place};
      }
      break;
    case 2: {
      Column& renamed = columns[any(0)];
      const std::string name = fresh_name();
      world_.trace("source", "renames {} of {} to {}", renamed.name, altered->name.table, name);
      renamed.name = name;
      break;
    }
    default: {
      Column& one = columns[any(0)];
      Column& other = columns[any(0)];
      world_.trace("source", "swaps {} and {} of {}", one.name, other.name, altered->name.table);
      std::swap(one.name, other.name);
    }
  }
  if (!reshape.dropped.empty() || !reshape.appended.empty()) {
    state.reshape(table, reshape);
  }
  state.describe(table, std::move(altered));
  return what < 3;
}

RowChange SourceDatabase::change(State& state, std::size_t table) {
  if (table == kJournal) {
    return journal(state);
  }
  if (world_.random.chance(options_.truncate_per_mille)) {
    state.edit(table).by_key.clear();
    return {table, Operation::kTruncate, {}, {}, false};
  }
  const Record key = random_key(table);
  const auto& rows = state[table].by_key;
  const auto found = rows.find(key);
  if (found == rows.end()) {
    return insert(state, table, key);
  }
  const Record old_row = found->second;
  return world_.random.chance(300) ? erase(state, table, old_row) : update(state, table, old_row);
}

RowChange SourceDatabase::journal(State& state) {
  auto& rows = state.edit(kJournal).counts;
  if (world_.random.chance(options_.truncate_per_mille)) {
    rows.clear();
    return {kJournal, Operation::kTruncate, {}, {}, false};
  }
  // Few different values: equal rows must not be taken for one.
  Record row{text("entry")};
  while (row.size() < state.schema(kJournal)->columns.size()) {
    row.push_back(text(std::to_string(world_.random.below(3))));
  }
  ++rows[row];
  return {kJournal, Operation::kInsert, row, {}, false};
}

RowChange SourceDatabase::insert(State& state, std::size_t table, const Record& key) {
  Record row = key;
  while (row.size() < state.schema(table)->columns.size()) {
    row.push_back(random_text());
  }
  const auto large = large_column(*state.schema(table), table);
  if (large && world_.random.chance(500)) {
    row[*large] = text(std::string(200, static_cast<char>('a' + world_.random.below(26))));
  }
  state.edit(table).by_key[key] = row;
  return {table, Operation::kInsert, row, {}, false};
}

RowChange SourceDatabase::update(State& state, std::size_t table, const Record& old_row) {
  const Record old_key = key_of(table, old_row);
  Record row = old_row;
  if (row.size() > old_key.size()) {
    row.back() = random_text();
  }
  const auto large = large_column(*state.schema(table), table);
  const bool keeps_large = large && world_.random.chance(600);
  if (table == kAccounts && row.size() > 1) {
    row[1] = random_text();
  }
  if (large) {
    row[*large] = keeps_large ? old_row[*large] : random_text();
  }
  bool moves = false;
  if (world_.random.chance(200)) {
    const Record new_key = random_key(table);
    moves = state[table].by_key.count(new_key) == 0;
    if (moves) {
      std::copy(new_key.begin(), new_key.end(), row.begin());  // key columns come first
    }
  }
  auto& rows = state.edit(table).by_key;
  rows.erase(old_key);
  rows[key_of(table, row)] = row;

  RowChange change{table, Operation::kUpdateAfter, row, {}, false};
  if (keeps_large && !old_row[*large].text.empty()) {
    change.data[*large] = kUnchanged;
  }
  if (table == kItems) {
    change.before = old_row;
  } else if (moves) {
    change.before = old_key;
    change.before.resize(row.size());
    change.key_only = true;
  }
  return change;
}

RowChange SourceDatabase::erase(State& state, std::size_t table, const Record& old_row) {
  const Record key = key_of(table, old_row);
  state.edit(table).by_key.erase(key);
  if (table == kItems) {
    return {table, Operation::kDelete, old_row, {}, false};
  }
  Record padded = key;
  padded.resize(old_row.size());
  return {table, Operation::kDelete, padded, {}, true};
}

// -- the slot

void SourceDatabase::make_slot() {
  confirmed_ = end_;
  confirmed_on_disk_ = end_;
}

void SourceDatabase::confirm(std::uint64_t position) {
  confirmed_ = std::max(confirmed_.value_or(0), position);
}

void SourceDatabase::crash() {
  world_.trace("source", "crashes and is back; slot at {:X}", confirmed_on_disk_.value_or(0));
  confirmed_ = confirmed_on_disk_;
  reader = nullptr;
  ++incarnation_;
}

void SourceDatabase::promote(bool with_loss) {
  if (with_loss) {
    // Not what the standby had confirmed for us: slots are synchronised behind the log.
    const std::size_t kept_for_sure =
        std::max(behind(confirmed_on_disk_.value_or(0)),
                 left_at_.empty() ? 0 : behind(left_at_.rbegin()->second));
    log_.resize(world_.random.between(std::min(kept_for_sure, log_.size()), log_.size()));
  }
  const std::uint64_t old_timeline = timeline_++;
  end_ = log_.empty() ? 0x1000 : log_.back().end;
  left_at_[static_cast<std::uint32_t>(old_timeline)] = end_;
  std::vector<std::pair<std::uint64_t, State>> inherited;
  for (const auto& [at, state] : states_) {
    if (at.first == old_timeline && at.second <= end_) {
      inherited.emplace_back(at.second, state);
    }
  }
  for (auto& [at, state] : inherited) {
    states_[{timeline_, at}] = std::move(state);
  }
  world_.trace("source", "a standby is promoted to timeline {}, which begins at {:X}", timeline_,
               end_);
  crash();
}

}  // namespace headgate::sim
