#include "sink_database.hpp"

#include <algorithm>
#include <array>
#include <utility>

#include <fmt/ranges.h>

#include "base/error.hpp"
#include "pipeline/net_effect.hpp"
#include "pipeline/table_alteration.hpp"

namespace headgate::sim {
namespace {

// The schema of all staging tables; they have the names of their tables.
constexpr const char* kStaging = "staging";

constexpr std::array<std::size_t, kTables> kAllTables{kAccounts, kItems, kJournal};

bool is_staging(const TableName& name) {
  return name.schema == kStaging;
}

// Of a table or a staging table.
std::size_t number_of(const TableName& name) {
  return is_staging(name) ? table_of({schemas()[0]->name.schema, name.table}) : table_of(name);
}

}  // namespace

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

void SinkDatabase::forget_position() {
  Version version = versions_.back();
  version.position = {};
  versions_.assign(1, std::move(version));
  restored_ = true;
  world_.trace(name_, "loses its position row");
  end_sessions();
}

bool SinkDatabase::copies_are_over() const {
  const auto& records = versions_.back().catalog->records;
  return versions_.back().staging.empty() &&
         std::none_of(records.begin(), records.end(),
                      [](const auto& record) { return record.second.copy.has_value(); });
}

const TableRecord* SinkDatabase::remembered(std::size_t table, const Version& version) {
  const auto& records = version.catalog->records;
  const auto found = records.find(record_id(*schemas()[table]));
  return found == records.end() ? nullptr : &found->second;
}

std::vector<std::size_t> SinkDatabase::paused_tables() const {
  std::vector<std::size_t> paused;
  for (const std::size_t table : kAllTables) {
    const TableRecord* record = remembered(table, versions_.back());
    if (record != nullptr && record->paused && !source_.now().gone(table)) {
      paused.push_back(table);
    }
  }
  return paused;
}

void SinkDatabase::mend(std::size_t table) {
  if (lock_ != nullptr && lock_->in_transaction()) {
    return;  // the table is locked until that transaction ends; later, then
  }
  Version& version = versions_.back();
  auto catalog = std::make_shared<Catalog>(*version.catalog);
  version.rows.edit(table) = {};
  if (world_.random.chance(500)) {
    catalog->columns.erase(table);
  } else {
    catalog->columns[table] = names_of(*source_.now().schema(table));
  }
  world_.trace(name_, "table {} is mended by a person{}", schemas()[table]->name.table,
               catalog->columns.contains(table) ? "" : ": dropped");
  version.catalog = std::move(catalog);
}

// The same answer whenever it is asked.
bool SinkDatabase::hinders(const SinkConfig& now) const {
  std::uint32_t hash = 2166136261U;
  for (const char c : fmt::format("{} {}", name_, fmt::join(names_of(now.output), ","))) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  }
  return (hash >> 8U) % 1000 < hindered_per_mille_;
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
  const auto copies = [](const Version& version) {
    const auto& records = version.catalog->records;
    return std::any_of(records.begin(), records.end(),
                       [](const auto& record) { return record.second.copy.has_value(); });
  };
  const bool adopts = !before.position.empty() && before.position.history != after.position.history;
  had_copies_ = had_copies_ || copies(after);
  const bool same_rows = std::all_of(kAllTables.begin(), kAllTables.end(), [&](auto table) {
    return after.rows[table] == before.rows[table];
  });
  // The end of a copy may come twice: the position alone does not tell whether it was committed.
  const bool nothing_changes = had_copies_ && after.catalog == before.catalog && same_rows;
  // That a table pauses is committed by itself, and that a copy of it was refused.
  const bool only_pauses = same_rows && after.catalog->columns == before.catalog->columns &&
                           std::any_of(kAllTables.begin(), kAllTables.end(), [&](auto table) {
                             const TableRecord* record = remembered(table, after);
                             return record != nullptr && record->paused;
                           });
  const bool may_stay = adopts || copies(before) || copies(after) || nothing_changes || only_pauses;
  if (end < before.position.lsn.to_postgres() + (may_stay ? 0 : 1)) {
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
  for (std::size_t table = 0; table < kTables; ++table) {
    // What the source has dropped stays in the sink as it was.
    const std::string difference =
        expected->gone(table) ? "" : judge_table(table, before, after, *expected);
    if (!difference.empty()) {
      world_.violated(fmt::format("{} at {:X}: {}", name_, end, difference));
      return;
    }
  }
}

std::string SinkDatabase::judge_table(std::size_t table, const Version& before,
                                      const Version& after, const State& expected) const {
  const std::string& name = schemas()[table]->name.table;
  const auto& records = after.catalog->records;
  const auto record = records.find(record_id(*schemas()[table]));
  if (record != records.end() && record->second.copy) {
    const CopyProgress& copy = *record->second.copy;
    if (std::string wrong = judge_staging(table, copy, after, expected); !wrong.empty()) {
      return wrong;
    }
    if (!record->second.paused && !copy.again) {
      // Readers have no copy, or one that a person has given up: it goes when the new one is there.
      return after.rows[table] == before.rows[table] && after.catalog->columns.contains(table) ==
                                                            before.catalog->columns.contains(table)
                 ? ""
                 : name + " has changed although its copy is not finished";
    }
  }
  if (record != records.end() && record->second.paused) {
    return judge_paused(table, before, after);
  }
  const auto columns = after.catalog->columns.find(table);
  if (columns == after.catalog->columns.end()) {
    return name + " is not there";
  }
  if (columns->second != names_of(*expected.schema(table))) {
    return fmt::format("{} has the columns ({}) instead of ({})", name,
                       fmt::join(columns->second, ", "),
                       fmt::join(names_of(*expected.schema(table)), ", "));
  }
  return difference(table, after.rows[table], expected[table]);
}

// It stays as it was, from the position on that its record tells: that of the commit before, of
// which all was judged already.
std::string SinkDatabase::judge_paused(std::size_t table, const Version& before,
                                       const Version& after) const {
  const std::string& name = schemas()[table]->name.table;
  const TableRecord* then = remembered(table, before);
  const TableRecord* now = remembered(table, after);
  const auto columns_of = [&](const Version& version) {
    const auto found = version.catalog->columns.find(table);
    return found == version.catalog->columns.end() ? std::vector<std::string>{} : found->second;
  };
  if (columns_of(after) != columns_of(before) || after.rows[table] != before.rows[table]) {
    return name + " has changed although it is paused";
  }
  const bool was_paused = then != nullptr && then->paused;
  const std::string since = was_paused ? then->paused->since : before.position.to_string();
  return now->paused->since == since ? "" : name + " is paused since another position than it says";
}

// A row that is there is the source's; one that is not, is behind the cursor, or read again.
std::string SinkDatabase::judge_staging(std::size_t table, const CopyProgress& copy,
                                        const Version& version, const State& expected) {
  if (copy.chunks == 0) {
    return {};  // whatever is there, goes
  }
  const std::string name = "staging table of " + schemas()[table]->name.table;
  const auto staging = version.staging.find(table);
  if (staging == version.staging.end()) {
    return name + " is not there";
  }
  if (staging->second.columns != names_of(*expected.schema(table))) {
    return fmt::format("{} has the columns ({}) instead of ({})", name,
                       fmt::join(staging->second.columns, ", "),
                       fmt::join(names_of(*expected.schema(table)), ", "));
  }
  TableRows wanted = expected[table];
  const TableRows& rows = staging->second.rows;
  std::set<Record> moved;
  for (const std::vector<std::string>& key : copy.moved) {
    moved.insert(key_record(key));
  }
  const Record cursor = key_record(copy.cursor);
  std::erase_if(wanted.by_key, [&](const auto& row) {
    const bool still_comes = moved.contains(row.first) || (!copy.complete && row.first > cursor);
    return still_comes && !rows.by_key.contains(row.first);
  });
  const std::string found = difference(table, rows, wanted);
  return found.empty() ? "" : "staging table of " + found;
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
  expect(!aborted_ || dead_, "a call behind a statement that was refused, without a rollback");
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
  const TableName& name = table->output.name;
  const std::size_t number = number_of(name);
  const std::vector<std::string>* columns = nullptr;
  if (is_staging(name)) {
    const auto found = open_->staging.find(number);
    columns = found == open_->staging.end() ? nullptr : &found->second.columns;
  } else {
    const auto found = open_->catalog->columns.find(number);
    columns = found == open_->catalog->columns.end() ? nullptr : &found->second;
  }
  if (number == kTables || (missing == MissingTable::kRefuse && columns == nullptr)) {
    world_.violated(database_.name_ + ": table " + name.to_string() +
                    " is not there and may not be created");
    return;
  }
  if (columns != nullptr) {
    if (*columns != names_of(table->output)) {
      world_.violated(database_.name_ + ": table " + name.to_string() +
                      " was not altered before its rows");
    }
  } else if (is_staging(name)) {
    open_->staging[number].columns = names_of(table->output);
  } else {
    edit_catalog([&](auto& catalog) { catalog.columns[number] = names_of(table->output); });
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

void SimSink::forget_tables() {
  enter("forget_tables");
  expect(open_.has_value(), "forget_tables() outside a transaction");
  edit_catalog([](auto& catalog) { catalog.records.clear(); });
}

void SimSink::forget_table(const TableRecord& record) {
  enter("forget_table");
  expect(open_.has_value(), "forget_table() outside a transaction");
  edit_catalog([&](auto& catalog) { catalog.records.erase(record_id(record.source)); });
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
  } else if (database_.hinders(now)) {
    // Either is known before, or shows when it is tried.
    if (now.output.columns.size() % 2 == 0) {
      plan.obstacle = "the simulated sink cannot do it";
    } else {
      add({table, "refused"});
    }
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
    if (words[1] == "refused") {
      aborted_ = true;
      world_.trace(database_.name_, "alter_table: refused");
      throw Error{ErrorKind::kOperator, "simulated: a view depends on the table"};
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
  expect(is_live_table_empty(table_of(table.output.name)), "a copy into a table that holds rows");
}

bool SimSink::is_live_table_empty(std::size_t table) const {
  const TableRows& rows = open_->rows[table];
  return rows.by_key.empty() && rows.counts.empty();
}

SimSink::Place SimSink::place_of(const SinkConfig* table,
                                 const std::set<const SinkConfig*>& among) {
  expect(among.count(table) == 1, "a row of a table that was not prepared");
  const TableName& name = table->output.name;
  const std::size_t number = number_of(name);
  return {number, is_staging(name),
          is_staging(name) ? open_->staging[number].rows : open_->rows.edit(number)};
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
      const Place place = place_of(work.table, prepared_);
      if (work.truncate) {
        place.rows = {};
      }
      for (const Row& row : work.deletes) {
        place.rows.by_key.erase(key_of(place.table, record_of(row)));
      }
      for (const Row& row : work.upserts) {
        upsert(place, row);
      }
      for (const Row& row : work.updates) {
        update(place, {work.table, Operation::kUpdateAfter, row, {}, false});
      }
      for (const Row& row : work.appends) {
        ++place.rows.counts[record_of(row)];
      }
    }
    write_in_order(stage.singles);
  }
}

void SimSink::upsert(const Place& place, Row row) {
  Record record = record_of(row);
  for (const Cell& cell : record) {
    expect(cell.kind != ValueKind::kUnchanged, "a complete row lacks a value");
  }
  Record key = key_of(place.table, record);
  place.rows.by_key[std::move(key)] = std::move(record);
}

void SimSink::update(const Place& place, const Sink& operation) {
  Record row = record_of(operation.data);
  const Record old_key =
      key_of(place.table, operation.before.empty() ? row : record_of(operation.before));
  auto& rows = place.rows.by_key;
  const auto found = rows.find(old_key);
  const bool complete = std::none_of(
      row.begin(), row.end(), [](const Cell& cell) { return cell.kind == ValueKind::kUnchanged; });
  if (found == rows.end() && place.staging) {
    if (complete) {
      rows[key_of(place.table, row)] = std::move(row);
    }
    return;  // it is still to be copied
  }
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
  rows[key_of(place.table, row)] = std::move(row);
}

void SimSink::apply(const Sink& operation) {
  const Place place = place_of(operation.config, prepared_);
  switch (operation.operation) {
    case Operation::kInsert:
      if (place.table == kJournal) {
        ++place.rows.counts[record_of(operation.data)];
      } else {
        upsert(place, operation.data);
      }
      return;
    case Operation::kUpdateAfter:
      update(place, operation);
      return;
    case Operation::kDelete: {
      const bool found =
          place.rows.by_key.erase(key_of(place.table, record_of(operation.data))) == 1;
      expect(found || place.staging, "a delete of a row that is not there");
      return;
    }
    case Operation::kTruncate:
      place.rows = {};
      return;
    case Operation::kUpdateBefore:
      expect(false, "a before image on its own");
  }
}

void SimSink::copy(std::span<const Sink> operations) {
  enter("copy");
  for (const Sink& operation : operations) {
    expect(operation.operation == Operation::kInsert, "a copy only inserts");
    expect(copying_.count(operation.config) == 1, "a copy into a table that was not prepared");
    apply(operation);
  }
}

bool SimSink::has_table(const TableName& table) {
  enter("has_table");
  expect(open_.has_value(), "has_table() outside a transaction");
  return open_->catalog->columns.contains(table_of(table));
}

TableName SimSink::staging_name(const SinkConfig& table) const {
  return {kStaging, table.output.name.table};
}

void SimSink::check_copy_target(const SinkConfig& table, ExistingRows existing) {
  enter("check_copy_target");
  expect(open_.has_value(), "check_copy_target() outside a transaction");
  const std::size_t number = table_of(table.output.name);
  expect(number != kTables, "a copy of a table that is none of the source's");
  expect(existing != ExistingRows::kRefuse || is_live_table_empty(number),
         "a copy begins for a table that holds rows");
  const auto live = open_->catalog->columns.find(number);
  if (live != open_->catalog->columns.end() && live->second != names_of(table.output)) {
    throw Error{ErrorKind::kOperator, "simulated: the table has other columns"};
  }
}

void SimSink::drop_staging(const TableName& staging) {
  enter("drop_staging");
  expect(open_.has_value(), "drop_staging() outside a transaction");
  expect(is_staging(staging), "a table is dropped that is no staging table");
  open_->staging.erase(number_of(staging));
}

void SimSink::copy_chunk(std::span<const Sink> operations, bool meets_rows) {
  enter("copy_chunk");
  expect(open_.has_value(), "copy_chunk() outside a transaction");
  for (const Sink& operation : operations) {
    expect(operation.operation == Operation::kInsert, "a chunk only inserts");
    const Place place = place_of(operation.config, prepared_);
    expect(place.staging, "a chunk is written where readers see it");
    if (place.table == kJournal) {
      ++place.rows.counts[record_of(operation.data)];
      continue;
    }
    const Record key = key_of(place.table, record_of(operation.data));
    expect(meets_rows || !place.rows.by_key.contains(key),
           "a row of a chunk is there that should not be");
    upsert(place, operation.data);
  }
}

void SimSink::take_staging(std::span<const StagedTable> tables) {
  enter("take_staging");
  expect(open_.has_value(), "take_staging() outside a transaction");
  for (const StagedTable& staged : tables) {
    take_staging_of(staged);
  }
}

void SimSink::take_staging_of(const StagedTable& staged) {
  const SinkConfig& table = *staged.table;
  const std::size_t number = table_of(table.output.name);
  const auto found = open_->staging.find(number);
  if (!is_staging(staged.staging) || found == open_->staging.end()) {
    expect(false, "a staging table is taken that is not there");
    return;
  }
  expect(found->second.columns == names_of(table.output),
         "a staging table has other columns than the table that it becomes");
  const auto live = open_->catalog->columns.find(number);
  if (live == open_->catalog->columns.end()) {
    edit_catalog([&](auto& catalog) { catalog.columns[number] = found->second.columns; });
  } else {
    expect(live->second == found->second.columns, "a table has other columns than what comes in");
    expect(staged.existing != ExistingRows::kRefuse || is_live_table_empty(number),
           "a copy comes into a table that holds rows");
    expect(staged.existing != ExistingRows::kKeep, "no simulated sink keeps rows");
  }
  open_->rows.edit(number) = found->second.rows;
  open_->staging.erase(found);
  world_.trace(database_.name_, "takes the copy of {} in", table.output.name.table);
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
  aborted_ = false;
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
