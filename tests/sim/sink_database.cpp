#include "sink_database.hpp"

#include <algorithm>
#include <utility>

#include <fmt/ranges.h>

#include "base/error.hpp"
#include "pipeline/net_effect.hpp"
#include "pipeline/table_alteration.hpp"

namespace headgate::sim {

SinkDatabase::SinkDatabase(World& world, const SourceDatabase& source, std::string name,
                           bool durable_commits)
    : world_(world),
      source_(source),
      name_(std::move(name)),
      durable_commits_(durable_commits),
      versions_(1) {}

void SinkDatabase::sync_some() {
  const std::size_t lost = world_.random.below(versions_.size());
  versions_.erase(versions_.begin(), versions_.begin() + static_cast<std::ptrdiff_t>(lost));
}

void SinkDatabase::cut_power() {
  versions_.erase(versions_.begin() + 1, versions_.end());
  world_.trace(name_, "power cut; back at {}", position().to_string());
  end_sessions();
}

void SinkDatabase::restore() {
  Version backup = backups_.empty() ? Version{} : world_.random.pick(backups_);
  versions_.clear();
  versions_.push_back(std::move(backup));
  restored_ = true;
  world_.trace(name_, "is restored to {}", position().empty() ? "empty" : position().to_string());
  end_sessions();
}

void SinkDatabase::end_sessions() {
  lock_ = nullptr;
  ++incarnation_;
}

void SinkDatabase::commit(Version version) {
  const Version before = versions_.back();
  backups_.push_back(before);
  versions_.push_back(std::move(version));
  if (durable_commits_) {
    sync();
  }
  judge(before, versions_.back());
}

// What a reader of the sink may see: some state of the source, whole, and never an older one.
void SinkDatabase::judge(const Version& before, const Version& after) {
  const std::uint64_t end = after.position.lsn.to_postgres();
  if (after.position.empty()) {
    world_.violated(name_ + ": rows were committed without a position");
    return;
  }
  const bool adopts = !before.position.empty() && before.position.history != after.position.history;
  if (end < before.position.lsn.to_postgres() + (adopts ? 0 : 1)) {
    world_.violated(fmt::format("{}: the position went from {:X} to {:X}", name_,
                                before.position.lsn.to_postgres(), end));
    return;
  }
  const State* expected = source_.state_at(after.position);
  if (expected == nullptr) {
    world_.violated(fmt::format("{}: no transaction of {} ends at {:X}", name_,
                                after.position.history.text, end));
    return;
  }
  for (const auto& [table, columns] : after.catalog->columns) {
    if (columns != names_of(*expected->schema(table))) {
      world_.violated(fmt::format("{} at {:X}: {} has the columns ({}) instead of ({})", name_, end,
                                  schemas()[table]->name.table, fmt::join(columns, ", "),
                                  fmt::join(names_of(*expected->schema(table)), ", ")));
      return;
    }
  }
  const std::string difference = after.rows.difference(*expected);
  if (!difference.empty()) {
    world_.violated(fmt::format("{} at {:X}: {}", name_, end, difference));
  }
}

// -- the driver

SimSink::SimSink(World& world, SinkDatabase& database) : world_(world), database_(database) {}

void SimSink::die() {
  disconnect();
  dead_ = true;
}

void SimSink::expect(bool holds, const char* rule) {
  if (!holds) {
    world_.violated(database_.name_ + ": " + rule);
  }
}

void SimSink::lose(ErrorKind kind, const char* call) {
  world_.trace(database_.name_, "{}: {}", call, to_string(kind));
  usable_ = false;
  throw Error{kind, std::string("simulated failure of ") + call};
}

// Every call may fail before it does anything.
void SimSink::enter(const char* call) {
  expect(usable_ || dead_, "a call without a connection, or behind one that threw");
  if (dead_ || incarnation_ != database_.incarnation_) {
    lose(ErrorKind::kTransient, call);
  }
  if (world_.random.chance(world_.rates.killed)) {
    world_.trace("daemon", "killed in {} of {}", call, database_.name_);
    throw Killed{};
  }
  if (world_.random.chance(world_.rates.slow)) {
    world_.clock.advance(std::chrono::milliseconds(world_.random.between(1, 20000)));
  }
  if (world_.random.chance(world_.rates.refuses)) {
    lose(ErrorKind::kSystemic, call);
  }
  if (world_.random.chance(world_.rates.connection_lost)) {
    lose(ErrorKind::kTransient, call);
  }
}

SinkPosition SimSink::check(Findings&) {
  return {database_.position(), database_.versions_.back().epoch};
}

SinkPosition SimSink::connect() {
  expect(!connected_, "connect() while connected");
  usable_ = true;
  incarnation_ = database_.incarnation_;
  enter("connect");
  if (database_.lock_ != nullptr && database_.lock_ != this) {
    lose(ErrorKind::kLocked, "connect (another process holds the lock)");
  }
  world_.at_durable_operation();
  connected_ = true;
  database_.lock_ = this;
  SinkDatabase::Version version = database_.versions_.back();
  epoch_ = ++version.epoch;
  last_seen_ = version.position;
  database_.versions_.push_back(std::move(version));
  database_.sync();  // raising the epoch is durable, and with it all that was before
  prepared_.clear();
  copying_.clear();
  world_.trace(database_.name_, "connect: epoch {}, position {}", epoch_, last_seen_.to_string());
  world_.at_durable_operation();
  return {last_seen_, epoch_};
}

void SimSink::check_fence() const {
  if (epoch_ != database_.versions_.back().epoch || last_seen_ != database_.position()) {
    throw Error{ErrorKind::kFenced, "simulated: another process has taken over"};
  }
}

void SimSink::begin() {
  enter("begin");
  expect(!open_, "begin() within a transaction");
  check_fence();
  open_ = database_.versions_.back();
}

void SimSink::prepare_table(const SinkConfigPtr& table, MissingTable missing) {
  enter("prepare_table");
  expect(open_.has_value(), "prepare_table() outside a transaction");
  const std::size_t number = table_of(table->output.name);
  const auto& tables = open_->catalog->columns;
  const auto found = tables.find(number);
  if (number == kTables || (missing == MissingTable::kRefuse && found == tables.end())) {
    world_.violated(database_.name_ + ": table " + table->output.name.to_string() +
                    " is not there and may not be created");
    return;
  }
  if (found == tables.end()) {
    edit_catalog([&](auto& catalog) { catalog.columns[number] = names_of(table->output); });
  } else if (found->second != names_of(table->output)) {
    world_.violated(database_.name_ + ": table " + table->output.name.to_string() +
                    " was not altered before its rows");
  }
  prepared_.insert(table.get());
}

template <typename Edit>
void SimSink::edit_catalog(Edit edit) {
  auto catalog = std::make_shared<SinkDatabase::Catalog>(*open_->catalog);
  edit(*catalog);
  open_->catalog = std::move(catalog);
}

TableRecords SimSink::known_tables() {
  expect(connected_ && !open_, "known_tables() without a connection, or in a transaction");
  TableRecords records;
  for (const auto& [id, record] : database_.versions_.back().catalog->records) {
    records.push_back(record);
  }
  return records;
}

void SimSink::remember_table(const TableRecord& record) {
  expect(open_.has_value(), "remember_table() outside a transaction");
  edit_catalog(
      [&](auto& catalog) { catalog.records.insert_or_assign(record_id(record.source), record); });
}

// A statement is its words, separated by a character that no value has.
AlterationPlan SimSink::plan_alteration(const SinkConfig& now, const TableRecord& before) {
  expect(open_.has_value(), "plan_alteration() outside a transaction");
  const TableAlteration todo = compare(before, now);
  const std::string& table = before.target.table;
  AlterationPlan plan;
  const auto add = [&](const std::vector<std::string>& words) {
    plan.statements.push_back(fmt::format("{}", fmt::join(words, "\x1f")));
  };
  for (const std::string& column : todo.dropped) {
    add({table, "drop", column});
  }
  for (const auto& [from, to] : todo.rename_steps(now)) {
    add({table, "rename", from, to});
  }
  for (const std::size_t place : todo.added) {
    const Column& column = now.output.columns[place];
    if (column.fill.kind == ColumnFill::Kind::kText) {
      add({table, "add", column.name, column.fill.text});
    } else {
      add({table, "add", column.name});
    }
  }
  if (todo.table_renamed || !todo.retyped.empty() || todo.key_changed) {
    plan.obstacle = "the simulated application does no such thing";
  }
  return plan;
}

void SimSink::alter_table(const AlterationPlan& plan) {
  enter("alter_table");
  expect(open_.has_value(), "alter_table() outside a transaction");
  for (const std::string& statement : plan.statements) {
    std::vector<std::string> words{""};
    for (const char c : statement) {
      if (c == '\x1f') {
        words.emplace_back();
      } else {
        words.back() += c;
      }
    }
    alter(words);
  }
}

void SimSink::alter(const std::vector<std::string>& words) {
  const std::size_t table = table_of({"app", words[0]});
  const auto& tables = open_->catalog->columns;
  if (tables.find(table) == tables.end()) {
    expect(false, "a table is altered that is not there");
    return;
  }
  std::vector<std::string> columns = tables.at(table);
  const auto place_of = [&](const std::string& name) {
    return static_cast<std::size_t>(std::find(columns.begin(), columns.end(), name) -
                                    columns.begin());
  };
  const std::size_t place = place_of(words[2]);
  Reshape reshape;
  if (words[1] == "add") {
    expect(place == columns.size(), "a column is added that is there");
    columns.push_back(words[2]);
    reshape.appended = {words.size() > 3 ? text(words[3]) : Cell{}};
  } else if (place == columns.size()) {
    expect(false, "a column is altered that is not there");
    return;
  } else if (words[1] == "drop") {
    columns.erase(columns.begin() + static_cast<std::ptrdiff_t>(place));
    reshape.dropped = {place};
  } else {
    expect(place_of(words[3]) == columns.size(), "a name is given to two columns");
    columns[place] = words[3];
  }
  if (words[1] != "rename") {
    open_->rows.reshape(table, reshape);
  }
  edit_catalog([&](auto& catalog) { catalog.columns[table] = columns; });
  world_.trace(database_.name_, "{} column {} of {}", words[1], words[2], words[0]);
}

void SimSink::prepare_copy(const SinkConfig& table, ExistingRows) {
  enter("prepare_copy");
  expect(prepared_.count(&table) == 1, "prepare_copy() before prepare_table()");
  expect(copying_.insert(&table).second, "prepare_copy() twice");
  const TableRows& rows = open_->rows[table_of(table.output.name)];
  expect(rows.by_key.empty() && rows.counts.empty(), "a copy into a table that holds rows");
}

std::size_t SimSink::ready(const SinkConfig* table, const std::set<const SinkConfig*>& among) {
  expect(among.count(table) == 1, "a row of a table that was not prepared");
  return table_of(table->output.name);
}

void SimSink::write(std::span<const Sink> operations) {
  enter("write");
  expect(open_.has_value(), "write() outside a transaction");
  // Both ways that drivers have; they must not differ.
  if (world_.random.chance(500)) {
    write_in_order(operations);
  } else {
    write_net_effect(operations);
  }
}

void SimSink::write_in_order(std::span<const Sink> operations) {
  for (const Sink& operation : operations) {
    apply(operation);
  }
}

void SimSink::write_net_effect(std::span<const Sink> operations) {
  NetEffect effect;
  effect.add(operations);
  for (const WorkStage& stage : effect.take()) {
    for (const TableWork& work : stage.tables) {
      const std::size_t table = ready(work.table, prepared_);
      TableRows& rows = open_->rows.edit(table);
      if (work.truncate) {
        rows = {};
      }
      for (const Row& row : work.deletes) {
        rows.by_key.erase(key_of(table, record_of(row)));
      }
      for (const Row& row : work.upserts) {
        upsert(table, row);
      }
      for (const Row& row : work.updates) {
        update(table, {work.table, Operation::kUpdateAfter, row, {}, false});
      }
      for (const Row& row : work.appends) {
        ++rows.counts[record_of(row)];
      }
    }
    write_in_order(stage.singles);
  }
}

void SimSink::upsert(std::size_t table, Row row) {
  Record record = record_of(row);
  for (const Cell& cell : record) {
    expect(cell.kind != ValueKind::kUnchanged, "a complete row lacks a value");
  }
  Record key = key_of(table, record);
  open_->rows.edit(table).by_key[std::move(key)] = std::move(record);
}

void SimSink::update(std::size_t table, const Sink& operation) {
  Record row = record_of(operation.data);
  const Record old_key =
      key_of(table, operation.before.empty() ? row : record_of(operation.before));
  auto& rows = open_->rows.edit(table).by_key;
  const auto found = rows.find(old_key);
  if (found == rows.end()) {
    expect(false, "an update of a row that is not there");
    return;
  }
  for (std::size_t column = 0; column < row.size(); ++column) {
    if (row[column].kind == ValueKind::kUnchanged) {
      row[column] = found->second[column];
    }
  }
  rows.erase(found);
  rows[key_of(table, row)] = std::move(row);
}

void SimSink::apply(const Sink& operation) {
  const std::size_t table = ready(operation.config, prepared_);
  switch (operation.operation) {
    case Operation::kInsert:
      if (table == kJournal) {
        ++open_->rows.edit(table).counts[record_of(operation.data)];
      } else {
        upsert(table, operation.data);
      }
      return;
    case Operation::kUpdateAfter:
      update(table, operation);
      return;
    case Operation::kDelete:
      expect(open_->rows.edit(table).by_key.erase(key_of(table, record_of(operation.data))) == 1,
             "a delete of a row that is not there");
      return;
    case Operation::kTruncate:
      open_->rows.edit(table) = {};
      return;
    case Operation::kUpdateBefore:
      expect(false, "a before image on its own");
  }
}

void SimSink::copy(std::span<const Sink> operations) {
  enter("copy");
  for (const Sink& operation : operations) {
    expect(operation.operation == Operation::kInsert, "a copy only inserts");
    ready(operation.config, copying_);
    apply(operation);
  }
}

void SimSink::commit(const CommitMark& mark) {
  enter("commit");
  expect(open_.has_value(), "commit() outside a transaction");
  check_fence();
  world_.at_durable_operation();
  const bool reply_lost = world_.random.chance(world_.rates.connection_lost);
  const bool done = !reply_lost || world_.random.chance(500);
  if (done) {
    open_->position = mark.position;
    world_.trace(database_.name_, "commit: position {}", mark.position.to_string());
    database_.commit(*std::exchange(open_, std::nullopt));
    last_seen_ = mark.position;
    copying_.clear();
    world_.at_durable_operation();
  }
  open_.reset();
  if (reply_lost) {
    lose(ErrorKind::kInDoubt, done ? "commit (done)" : "commit (not done)");
  }
}

void SimSink::keep_alive() {
  enter("keep_alive");
  expect(open_.has_value(), "keep_alive() outside a transaction");
}

void SimSink::rollback() noexcept {
  open_.reset();
  prepared_.clear();  // tables created in it are gone
  copying_.clear();
}

void SimSink::flush() {
  enter("flush");
  expect(!open_, "flush() within a transaction");
  check_fence();
  world_.at_durable_operation();
  database_.sync();
  world_.trace(database_.name_, "flush: durable {}", database_.position().to_string());
  world_.at_durable_operation();
}

void SimSink::disconnect() noexcept {
  rollback();
  connected_ = false;
  usable_ = false;
  if (database_.lock_ == this) {
    database_.lock_ = nullptr;
  }
}

}  // namespace headgate::sim
