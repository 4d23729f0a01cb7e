// `isolation: table`: what only a person can carry over holds its table alone, durably, until that
// is copied anew.

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "altered_table.hpp"
#include "base/error.hpp"
#include "pipeline/apply_step.hpp"
#include "pipeline_fixture.hpp"

namespace headgate::pipeline_test {
namespace {

using Strings = std::vector<std::string>;

Strings names_of(const TableSchema& table) {
  Strings names;
  for (const Column& column : table.columns) {
    names.push_back(column.name);
  }
  return names;
}

std::string joined(const Strings& words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : ",") + word;
  }
  return text;
}

bool mentions(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

// What outlives processes: tables with columns and keys of rows, records, and the position.
struct Stored {
  Position position = headgate::pipeline_test::position(10);
  std::map<std::string, Strings> columns;
  std::map<std::string, std::set<std::string>> rows;
  std::map<std::string, TableRecord> records;
};

// The process is gone within a call: no Error, so no step catches it.
struct Killed {};

// A transactional database. Columns whose names begin with "serial" are beyond it.
class Database final : public SinkDriver {
 public:
  Stored stored;
  std::size_t calls = 0;
  std::optional<std::size_t> lose_connection_at;  // the call of this number
  bool then_commit_was_done = false;              // if that was a commit
  bool kill = false;                              // not the connection, but the process
  bool alter_refused = false;                     // a view depends on every column
  std::size_t commits = 0;
  std::size_t positions_not_moved = 0;
  Strings misuse;

  SinkPosition check(Findings&) override { return {stored.position, 1}; }
  SinkPosition connect() override {
    open_.reset();
    usable_ = true;
    call();
    return {stored.position, 1};
  }
  void begin() override {
    call();
    expect(!open_, "begin() within a transaction");
    open_ = stored;
  }
  void prepare_table(const SinkConfigPtr& table, MissingTable missing) override {
    call();
    const std::string name = table->output.name.table;
    if (missing == MissingTable::kCreate && !open_->columns.contains(name)) {
      open_->columns[name] = names_of(table->output);
    }
    expect(open_->columns[name] == names_of(table->output), name + " has other columns");
  }
  TableRecords known_tables() override {
    call();
    expect(!open_, "known_tables() within a transaction");
    TableRecords list;
    for (const auto& [id, record] : stored.records) {
      list.push_back(parse_record(to_json(record)));
    }
    return list;
  }
  void remember_table(const TableRecord& record) override {
    call();
    open_->records.insert_or_assign(record_id(record.source), record);
  }
  void forget_tables() override { open_->records.clear(); }
  void forget_table(const TableRecord& record) override {
    call();
    open_->records.erase(record_id(record.source));
  }
  std::string forget_statement(const TableRecord&) const override { return "FORGET"; }
  AlterationPlan plan_alteration(const SinkConfig& now, const TableRecord& before) override {
    call();
    AlterationPlan plan;
    plan.statements = {"ALTER " + before.target.table + " from " + joined(names_of(before.source)) +
                       " to " + joined(names_of(now.output))};
    for (const Column& column : now.output.columns) {
      if (column.name.starts_with("serial")) {
        plan.obstacle = "its values are in no log";
      }
    }
    return plan;
  }
  AlterationPlan plan_replacement(const SinkConfig& now, const TableRecord&) override {
    return {{"REPLACE " + now.output.name.table}, "a person"};
  }
  void alter_table(const AlterationPlan& plan) override {
    call();
    if (alter_refused) {
      usable_ = false;
      throw Error{ErrorKind::kOperator, "a view depends on it"};
    }
    const std::string& statement = plan.statements.front();
    const auto table = statement.substr(6, statement.find(' ', 6) - 6);
    Strings& columns = open_->columns.at(table);
    columns.assign(1, "");
    for (const char c : statement.substr(statement.find(" to ") + 4)) {
      if (c == ',') {
        columns.emplace_back();
      } else {
        columns.back() += c;
      }
    }
  }
  void prepare_copy(const SinkConfig&, ExistingRows) override {}
  void write(std::span<const Sink> operations) override {
    call();
    for (const Sink& operation : operations) {
      const SinkConfig& table = *operation.config;
      expect(open_->columns[table.output.name.table] == names_of(table.output), "other columns");
      auto& rows = open_->rows[table.output.name.table];
      expect(rows.emplace(operation.data.front().bytes()).second, "a row that is there");
    }
  }
  void copy(std::span<const Sink> operations) override { write(operations); }
  bool has_table(const TableName& table) override { return open_->columns.contains(table.table); }
  TableName staging_name(const SinkConfig& table) const override {
    return {"", "staging_" + std::to_string(table.output.source_id)};
  }
  void check_copy_target(const SinkConfig& table, ExistingRows) override {
    call();
    const auto found = open_->columns.find(table.output.name.table);
    if (found != open_->columns.end() && found->second != names_of(table.output)) {
      throw Error{ErrorKind::kOperator, "the sink's table has no such columns", "ALTER it"};
    }
  }
  void drop_staging(const TableName& staging) override {
    call();
    open_->columns.erase(staging.table);
    open_->rows.erase(staging.table);
  }
  void copy_chunk(std::span<const Sink> operations, bool) override {
    for (const Sink& operation : operations) {
      open_->rows[operation.config->output.name.table].emplace(operation.data.front().bytes());
    }
  }
  void take_staging(std::span<const StagedTable> tables) override {
    call();
    for (const StagedTable& staged : tables) {
      const std::string name = staged.table->output.name.table;
      expect(!open_->columns.contains(name) ||
                 open_->columns[name] == open_->columns[staged.staging.table],
             "a staging table of another shape");
      open_->columns[name] = open_->columns[staged.staging.table];
      open_->rows[name] = open_->rows[staged.staging.table];
      drop_staging(staged.staging);
    }
  }
  void commit(const CommitMark& mark) override {
    const bool lost = lose_connection_at == calls++;
    expect(usable_ && open_, "commit() without a transaction");
    if (!lost || then_commit_was_done) {
      positions_not_moved += open_->position == mark.position ? 1U : 0U;
      open_->position = mark.position;
      stored = *open_;
      ++commits;
    }
    open_.reset();
    if (lost) {
      usable_ = false;
      if (kill) {
        throw Killed{};
      }
      throw Error{ErrorKind::kInDoubt, "the reply to COMMIT was lost"};
    }
  }
  void rollback() noexcept override {
    open_.reset();
    // Behind what a person must mend, the connection still stands.
    usable_ = usable_ || !lost_;
  }
  bool commits_are_durable() const override { return true; }
  void flush() override {}
  void disconnect() noexcept override { open_.reset(); }

 private:
  void call() {
    if (lose_connection_at == calls++) {
      usable_ = false;
      lost_ = true;
      if (kill) {
        throw Killed{};
      }
      throw Error{ErrorKind::kTransient, "connection lost"};
    }
    expect(usable_, "a call behind one that threw");
    lost_ = false;
  }
  void expect(bool holds, const std::string& rule) {
    if (!holds) {
      misuse.push_back(rule);
    }
  }

  std::optional<Stored> open_;
  bool usable_ = false;
  bool lost_ = false;
};

// One output table per description, as a mirror has it.
class MirrorOf final : public Transformer {
 public:
  Isolation isolation = Isolation::kTable;
  SchemaChanges schema_changes = SchemaChanges::kApply;

  void transform(const TransformContext&, const Transaction& transaction, const BatchContext&,
                 DataSet& out) override {
    for (const TableSchemaPtr& schema : transaction.involved_tables()) {
      SinkConfigPtr& config = configs_[schema];
      if (!config) {
        auto made = std::make_shared<SinkConfig>();
        made->source = schema->name;
        made->output = *schema;
        made->isolation = isolation;
        made->schema_changes = schema_changes;
        config = std::move(made);
      }
      out.configs.push_back(config);
    }
    for (const Change& change : transaction.changes()) {
      const auto found = std::find_if(configs_.begin(), configs_.end(), [&](const auto& entry) {
        return entry.first.get() == change.table;
      });
      out.operations.push_back(
          {found->second.get(), change.operation, change.data, change.before, change.key_only});
    }
  }
  bool alters_tables(const Transaction& transaction) const override {
    const auto& tables = transaction.involved_tables();
    return std::any_of(tables.begin(), tables.end(),
                       [&](const TableSchemaPtr& table) { return !configs_.contains(table); });
  }

 private:
  std::map<TableSchemaPtr, SinkConfigPtr> configs_;
};

TableSchemaPtr described_as(const std::string& name, std::uint32_t id,
                            const std::vector<std::string>& columns) {
  auto table = std::make_shared<TableSchema>();
  table->name = {"shop", name};
  table->source_id = id;
  table->key = {0};
  const std::map<std::string, std::uint32_t> numbers{
      {"id", 1}, {"a", 2}, {"b", 3}, {"serial", 4}, {"z", 5}};
  for (const std::string& each : columns) {
    table->columns.push_back(column(each, numbers.at(each), "text"));
  }
  return table;
}

const TableSchemaPtr kItems = described_as("items", 1, {"id", "a"});
const TableSchemaPtr kWiderItems = described_as("items", 1, {"id", "a", "b"});
const TableSchemaPtr kSerialItems = described_as("items", 1, {"id", "a", "serial"});
const TableSchemaPtr kOther = described_as("other", 2, {"id", "a"});
const TableSchemaPtr kNewItems = described_as("items", 3, {"id", "z"});

struct Insert {
  TableSchemaPtr table;
  std::string key;
};

void fill(Transaction& transaction, const std::vector<Insert>& inserts) {
  for (const Insert& insert : inserts) {
    std::vector<Value> row(insert.table->columns.size(), Value::text("v"));
    row[0] = Value::text(insert.key);
    transaction.add_change(insert.table, Operation::kInsert, transaction.copy_row(row));
  }
}

TransactionPtr transaction(std::uint64_t end, const std::vector<Insert>& inserts,
                           Portion portion = Portion::kWhole) {
  auto made =
      std::make_shared<Transaction>(std::to_string(end), LSN::from_postgres(end - 1), WallTime{});
  made->portion = portion;
  fill(*made, inserts);
  if (ends(portion)) {
    made->end_position = position(end);
  }
  return made;
}

TransactionPtr copy_mark(Purpose purpose, std::uint64_t at,
                         const std::vector<TableSchemaPtr>& tables, CopyMark mark = {},
                         const std::vector<Insert>& rows = {}) {
  auto made = std::make_shared<Transaction>("copy", LSN::from_postgres(at), WallTime{});
  made->purpose = purpose;
  made->copy = std::move(mark);
  made->end_position = position(at);
  for (const TableSchemaPtr& table : tables) {
    made->involve(table);
  }
  fill(*made, rows);
  return made;
}

TransactionPtr whole_copy_of(std::uint64_t at, const TableSchemaPtr& table, const Strings& keys) {
  std::vector<Insert> rows;
  for (const std::string& key : keys) {
    rows.push_back({table, key});
  }
  return copy_mark(Purpose::kCopyChunk, at, {table}, {.chunk = 1, .run = "r", .last = true}, rows);
}

// A sink whose tables `items` and `other` are mirrored up to position 10, with a row each.
class Paused {
 public:
  Paused() {
    for (const TableSchemaPtr& table : {kItems, kOther}) {
      SinkConfig config;
      config.source = table->name;
      config.output = *table;
      database.stored.records[record_id(*table)] = record_of(config);
      database.stored.columns[table->name.table] = names_of(*table);
      database.stored.rows[table->name.table] = {"1"};
    }
    restart();
  }
  ~Paused() {
    for (const std::string& rule : database.misuse) {
      FAIL_CHECK(rule);
    }
  }
  Paused(const Paused&) = delete;
  Paused& operator=(const Paused&) = delete;

  void restart() {
    step_.reset();
    queue_ = std::make_unique<DeliveryQueue>(std::size_t{1000}, std::size_t{1} << 20U);
    progress_ = std::make_unique<SinkProgress>();
    mirror_ = std::make_unique<MirrorOf>();
    mirror_->isolation = isolation;
    mirror_->schema_changes = schema_changes;
    step_ = std::make_unique<ApplyStep>("report", database, *mirror_, *queue_, *progress_, clock_,
                                        ApplyOptions{}, quiet());
  }

  // Everything, until there is nothing to do. A session that ends to read again is followed by one
  // that gets all anew; returns how many there were.
  std::size_t apply(const std::vector<TransactionPtr>& transactions) {
    for (std::size_t session = 0; session < 10; ++session) {
      for (TransactionPtr each : transactions) {
        REQUIRE(queue_->try_push(each, each->memory_bytes()));
      }
      try {
        run();
        return session;
      } catch (const Error& error) {
        REQUIRE(error.kind() == ErrorKind::kReread);
        restart();
      } catch (const Killed&) {
        restart();
      }
    }
    FAIL("it is read again and again");
    return 0;
  }

  // Rounds of the step; waits for a person, and back-offs, pass on the clock.
  void run() {
    for (std::size_t round = 0; round < 200; ++round) {
      const StepOutcome outcome = step_->step();
      if (outcome.kind == StepOutcome::Kind::kWaiting) {
        const bool waits_long = status().state == "paused" && round > 20;
        if (waits_long || (!step_->backing_off() && queue_->empty())) {
          return;
        }
        clock_.advance_to(outcome.wake_at);
      }
    }
  }

  SinkStatus status() const { return progress_->get(); }
  const std::optional<TablePause>& pause_of(const TableSchemaPtr& table) const {
    return database.stored.records.at(record_id(*table)).paused;
  }
  std::string rows(const std::string& table) const {
    const auto found = database.stored.rows.find(table);
    return found == database.stored.rows.end()
               ? ""
               : joined({found->second.begin(), found->second.end()});
  }
  TableStatus shown(const std::string& table) const {
    const SinkStatus now = status();
    const auto found =
        std::find_if(now.tables->begin(), now.tables->end(),
                     [&](const TableStatus& each) { return each.table.table == table; });
    REQUIRE(found != now.tables->end());
    return *found;
  }

  // What a person does to the sink's table.
  void drop(const std::string& table) {
    database.stored.columns.erase(table);
    database.stored.rows.erase(table);
  }

  Database database;
  Isolation isolation = Isolation::kTable;
  SchemaChanges schema_changes = SchemaChanges::kApply;

 private:
  ManualClock clock_;
  std::unique_ptr<DeliveryQueue> queue_;
  std::unique_ptr<SinkProgress> progress_;
  std::unique_ptr<MirrorOf> mirror_;
  std::unique_ptr<ApplyStep> step_;
};

// items is altered within the second of three transactions.
const std::vector<TransactionPtr> kAltering{
    transaction(20, {{kItems, "2"}, {kOther, "2"}}),
    transaction(30, {{kItems, "3"}, {kOther, "3"}, {kSerialItems, "4"}}),
    transaction(40, {{kOther, "4"}, {kSerialItems, "5"}})};

}  // namespace

TEST_CASE("a table that only a person can alter stays as it was, and all else goes on") {
  Paused sink;
  CHECK(sink.apply(kAltering) == 0);
  CHECK(sink.rows("items") == "1,2");  // as before the transaction that altered it, whole
  CHECK(sink.rows("other") == "1,2,3,4");
  CHECK(sink.database.stored.position == position(40));
  const TablePause& pause = *sink.pause_of(kItems);
  CHECK(pause.since == position(20).to_string());
  CHECK(mentions(pause.reason, "column serial text added; its values are in no log"));
  CHECK(sink.status().state == "streaming");
  CHECK(sink.status().error.empty());
  CHECK(sink.shown("items").state == "paused");
  CHECK(sink.shown("items").paused == pause);
  CHECK(sink.shown("other").state == "streaming");
  CHECK_FALSE(sink.pause_of(kOther).has_value());
}

// Its changes were skipped: without the record, nobody would know.
TEST_CASE("what a person is told to do ends in a fresh copy, and never in deleting the record") {
  Paused sink;
  sink.apply(kAltering);
  const std::string& remedy = sink.pause_of(kItems)->remedy;
  CHECK(remedy ==
        "in sink report, drop table shop.items or bring it into the source's shape: "
        "ALTER items from id,a to id,a,serial; then run `headgate snapshot start shop.items`");
}

// What the batch had altered before is rolled back with it.
TEST_CASE("what a person is told to run begins at the table as it is") {
  Paused sink;
  const TableSchemaPtr both = described_as("items", 1, {"id", "a", "b", "serial"});
  sink.apply({transaction(20, {{kWiderItems, "2"}, {both, "3"}})});
  CHECK(sink.rows("items") == "1");
  CHECK(sink.database.stored.columns.at("items") == Strings{"id", "a"});
  CHECK(mentions(sink.pause_of(kItems)->remedy, "ALTER items from id,a to id,a,b,serial"));
}

TEST_CASE("what the sink refuses to be altered pauses alone, too") {
  Paused sink;
  sink.database.alter_refused = true;
  sink.apply({transaction(20, {{kWiderItems, "2"}, {kOther, "2"}})});
  CHECK(sink.rows("other") == "1,2");
  CHECK(mentions(sink.pause_of(kItems)->reason, "the sink refuses that: a view depends on it"));
}

TEST_CASE("with schema_changes pause, a table that is altered pauses alone") {
  Paused sink;
  sink.schema_changes = SchemaChanges::kPause;
  sink.restart();
  sink.apply({transaction(20, {{kWiderItems, "2"}, {kOther, "2"}})});
  CHECK(sink.rows("other") == "1,2");
  CHECK(sink.rows("items") == "1");
  CHECK(sink.pause_of(kItems).has_value());
}

TEST_CASE("a table stays paused over restarts, whatever the isolation is then") {
  Paused sink;
  sink.apply(kAltering);
  const auto pause = sink.pause_of(kItems);
  sink.isolation = GENERATE(Isolation::kTable, Isolation::kPipeline);
  sink.restart();
  sink.run();
  CHECK(sink.shown("items").state == "paused");
  const TableSchemaPtr again = described_as("items", 1, {"id", "serial"});
  sink.apply(
      {transaction(50, {{kSerialItems, "6"}, {kOther, "5"}}), transaction(60, {{again, "7"}})});
  CHECK(sink.rows("items") == "1,2");
  CHECK(sink.rows("other") == "1,2,3,4,5");
  CHECK(sink.database.stored.position == position(60));
  CHECK(sink.pause_of(kItems) == pause);
}

TEST_CASE("with isolation pipeline, everything behind the change waits for a person") {
  Paused sink;
  sink.isolation = Isolation::kPipeline;
  sink.restart();
  sink.apply(kAltering);
  CHECK(sink.rows("items") == "1,2");
  CHECK(sink.rows("other") == "1,2");
  CHECK(sink.database.stored.position == position(20));
  CHECK_FALSE(sink.pause_of(kItems).has_value());
  CHECK(sink.status().state == "paused");
  CHECK(mentions(sink.status().error, "FORGET"));
}

TEST_CASE("a pause within a large transaction is kept before that is read again, once") {
  Paused sink;
  const std::vector<TransactionPtr> large{
      transaction(30, {{kItems, "2"}, {kOther, "2"}}, Portion::kFirst),
      transaction(30, {{kOther, "3"}, {kSerialItems, "3"}}, Portion::kMiddle),
      transaction(30, {{kSerialItems, "4"}, {kOther, "4"}}, Portion::kLast),
      transaction(40, {{kSerialItems, "5"}, {kOther, "5"}})};
  CHECK(sink.apply(large) == 1);
  CHECK(sink.rows("items") == "1");
  CHECK(sink.rows("other") == "1,2,3,4,5");
  CHECK(sink.pause_of(kItems)->since == position(10).to_string());
}

TEST_CASE("a pause in the first portion of a large transaction needs nothing read again") {
  Paused sink;
  CHECK(sink.apply({transaction(30, {{kOther, "2"}, {kSerialItems, "2"}}, Portion::kFirst),
                    transaction(30, {{kSerialItems, "3"}, {kOther, "3"}}, Portion::kLast)}) == 0);
  CHECK(sink.rows("items") == "1");
  CHECK(sink.rows("other") == "1,2,3");
}

TEST_CASE("two tables that are altered in one transaction pause both") {
  Paused sink;
  const TableSchemaPtr serial_other = described_as("other", 2, {"id", "a", "serial"});
  sink.apply({transaction(20, {{kSerialItems, "2"}, {serial_other, "2"}}),
              transaction(30, {{kSerialItems, "3"}})});
  CHECK(sink.rows("items") == "1");
  CHECK(sink.rows("other") == "1");
  CHECK(sink.pause_of(kItems).has_value());
  CHECK(sink.pause_of(kOther).has_value());
  CHECK(sink.database.stored.position == position(30));
}

// Whatever is lost at whichever call, the end is the same: also between the commit of the record
// and the batch, and where the process is killed rather than the connection lost.
TEST_CASE("a connection lost, or a process killed, at any moment of a pause changes nothing") {
  const bool killed = GENERATE(false, true);
  const bool commit_done = GENERATE(false, true);
  const bool large = GENERATE(false, true);
  std::vector<TransactionPtr> all = kAltering;
  if (large) {
    all = {transaction(20, {{kItems, "2"}, {kOther, "2"}}),
           transaction(30, {{kItems, "3"}, {kOther, "3"}}, Portion::kFirst),
           transaction(30, {{kSerialItems, "4"}}, Portion::kLast),
           transaction(40, {{kOther, "4"}, {kSerialItems, "5"}})};
  }
  std::size_t calls = 1;
  for (std::size_t at = 0; at < calls; ++at) {
    CAPTURE(killed, commit_done, large, at);
    Paused sink;
    sink.database.lose_connection_at = at;
    sink.database.then_commit_was_done = commit_done;
    sink.database.kill = killed;
    sink.apply(all);
    CHECK(sink.rows("items") == "1,2");
    CHECK(sink.rows("other") == "1,2,3,4");
    CHECK(sink.database.stored.position == position(40));
    REQUIRE(sink.pause_of(kItems).has_value());
    CHECK(sink.pause_of(kItems)->since == position(20).to_string());
    calls = sink.database.calls;
  }
  CHECK(calls > 20);
}

TEST_CASE("a fresh copy ends a pause, and the table is followed again") {
  Paused sink;
  sink.apply(kAltering);
  if (GENERATE(false, true)) {
    sink.drop("items");
  } else {
    sink.database.stored.columns["items"] = {"id", "a", "serial"};
  }
  sink.apply({copy_mark(Purpose::kCopyBegin, 40, {kSerialItems})});
  CHECK(sink.shown("items").state == "paused");
  sink.apply({whole_copy_of(50, kSerialItems, {"1", "2", "3", "4", "5"}),
              // Readers see nothing of this before the copy ends.
              transaction(60, {{kSerialItems, "6"}, {kOther, "6"}})});
  CHECK(sink.rows("items").find('6') == std::string::npos);
  CHECK(sink.rows("staging_1") == "1,2,3,4,5,6");
  if (GENERATE(false, true)) {
    sink.restart();
  }
  sink.apply({copy_mark(Purpose::kCopyEnd, 60, {kSerialItems}),
              transaction(70, {{kSerialItems, "7"}, {kOther, "7"}})});
  CHECK(sink.rows("items") == "1,2,3,4,5,6,7");
  CHECK_FALSE(sink.pause_of(kItems).has_value());
  CHECK(sink.shown("items").state == "streaming");
  CHECK(sink.shown("items").consistent_from == position(60).to_string());
  CHECK(sink.rows("staging_1").empty());
  sink.restart();
  sink.apply({transaction(80, {{kSerialItems, "8"}})});
  CHECK(sink.rows("items") == "1,2,3,4,5,6,7,8");
}

TEST_CASE("a copy that the sink's table cannot take is refused alone, and says why") {
  Paused sink;
  sink.apply(kAltering);
  sink.apply({copy_mark(Purpose::kCopyBegin, 40, {kSerialItems, kOther})});
  CHECK_FALSE(sink.pause_of(kItems)->refused.empty());  // at once, not when all is read
  CHECK_FALSE(sink.database.stored.records.at(record_id(*kItems)).copy.has_value());
  sink.apply({whole_copy_of(50, kSerialItems, {"1", "2", "3", "4", "5"}),
              whole_copy_of(50, kOther, {"1", "2", "3", "4", "9"}),
              transaction(60, {{kSerialItems, "6"}, {kOther, "6"}}),
              copy_mark(Purpose::kCopyEnd, 60, {kSerialItems, kOther})});
  CHECK(sink.rows("items") == "1,2");
  CHECK(sink.rows("other") == "1,2,3,4,6,9");
  CHECK(mentions(sink.pause_of(kItems)->refused, "no such columns (ALTER it)"));
  CHECK(sink.shown("items").paused == sink.pause_of(kItems));
  CHECK(sink.status().state == "streaming");
  CHECK(sink.rows("staging_1").empty());

  sink.database.stored.columns["items"] = {"id", "a", "serial"};
  sink.apply({copy_mark(Purpose::kCopyBegin, 60, {kSerialItems}),
              whole_copy_of(70, kSerialItems, {"1", "7"}),
              copy_mark(Purpose::kCopyEnd, 70, {kSerialItems})});
  CHECK(sink.rows("items") == "1,7");
  CHECK_FALSE(sink.pause_of(kItems).has_value());
}

TEST_CASE("a copy that its table can no longer take at the end is dropped, and the others come") {
  Paused sink;
  sink.apply(kAltering);
  sink.database.stored.columns["items"] = {"id", "a", "serial"};
  sink.apply({copy_mark(Purpose::kCopyBegin, 40, {kSerialItems, kOther}),
              whole_copy_of(50, kSerialItems, {"1", "2"}), whole_copy_of(50, kOther, {"9"})});
  CHECK(sink.pause_of(kItems)->refused.empty());
  sink.database.stored.columns["items"] = {"id"};
  sink.apply({copy_mark(Purpose::kCopyEnd, 50, {kSerialItems, kOther}),
              transaction(60, {{kSerialItems, "6"}, {kOther, "6"}})});
  CHECK(sink.rows("items") == "1,2");
  CHECK(sink.rows("other") == "6,9");
  CHECK(sink.rows("staging_1").empty());
  CHECK(mentions(sink.pause_of(kItems)->refused, "no such columns"));
  CHECK(sink.shown("items").state == "paused");
  CHECK(sink.shown("items").copied == 0);
  CHECK(sink.status().state == "streaming");
}

TEST_CASE("a cancelled copy leaves its table paused") {
  Paused sink;
  sink.apply(kAltering);
  sink.drop("items");
  const auto pause = sink.pause_of(kItems);
  sink.apply({copy_mark(Purpose::kCopyBegin, 40, {kSerialItems}),
              whole_copy_of(50, kSerialItems, {"1"}),
              copy_mark(Purpose::kCopyEnd, 50, {kSerialItems}, {.cancelled = true}),
              transaction(60, {{kSerialItems, "6"}})});
  CHECK(sink.pause_of(kItems) == pause);
  CHECK(sink.rows("items").empty());
  CHECK(sink.rows("staging_1").empty());
}

TEST_CASE("a table that pauses while it is copied again stays as readers have it") {
  Paused sink;
  sink.apply({copy_mark(Purpose::kCopyBegin, 10, {kItems}), whole_copy_of(20, kItems, {"1", "2"}),
              transaction(30, {{kSerialItems, "3"}, {kOther, "3"}})});
  CHECK(sink.rows("items") == "1");
  CHECK(sink.rows("other") == "1,3");
  CHECK(sink.shown("items").state == "paused");
  // The copy begins again; nobody has seen to the sink's table meanwhile.
  sink.apply({whole_copy_of(40, kSerialItems, {"1", "2", "3"}),
              copy_mark(Purpose::kCopyEnd, 40, {kSerialItems})});
  CHECK(sink.rows("items") == "1");
  CHECK(mentions(sink.pause_of(kItems)->refused, "no such columns"));
}

// Without a row since, the end of the copy is where the change is met.
TEST_CASE("an alteration that a copy's end cannot carry over pauses that table alone") {
  Paused sink;
  sink.apply({copy_mark(Purpose::kCopyBegin, 10, {kItems, kOther}),
              whole_copy_of(20, kSerialItems, {"1", "2"}), whole_copy_of(20, kOther, {"1", "9"}),
              copy_mark(Purpose::kCopyEnd, 20, {kSerialItems, kOther}),
              transaction(30, {{kSerialItems, "3"}, {kOther, "3"}})});
  CHECK(sink.rows("items") == "1");
  CHECK(sink.rows("other") == "1,3,9");
  CHECK(sink.pause_of(kItems).has_value());
  CHECK(sink.status().state == "streaming");
}

// The copy is asked of the catalog, and the stream is behind it: nothing is wrong with the sink.
TEST_CASE("a copy that begins before the stream has brought an alteration is no error") {
  Paused sink;
  sink.apply({copy_mark(Purpose::kCopyBegin, 10, {kWiderItems}),
              whole_copy_of(20, kWiderItems, {"1", "2"}),
              copy_mark(Purpose::kCopyEnd, 20, {kWiderItems}),
              transaction(30, {{kWiderItems, "3"}})});
  CHECK(sink.rows("items") == "1,2,3");
  CHECK(sink.database.stored.columns.at("items") == Strings{"id", "a", "b"});
}

TEST_CASE("a table that has another one's name pauses beside it, and its copy takes the place") {
  Paused sink;
  sink.apply({transaction(20, {{kNewItems, "7"}, {kOther, "2"}}),
              transaction(30, {{kNewItems, "8"}, {kOther, "3"}})});
  CHECK(sink.rows("items") == "1");
  CHECK(sink.rows("other") == "1,2,3");
  CHECK_FALSE(sink.pause_of(kItems).has_value());
  CHECK(mentions(sink.pause_of(kNewItems)->reason, "dropped and created anew"));
  CHECK(mentions(sink.pause_of(kNewItems)->remedy, "REPLACE items; then run"));
  CHECK(sink.shown("items").state == "paused");
  CHECK(sink.status().tables->size() == 2);
  sink.drop("items");
  sink.apply({copy_mark(Purpose::kCopyBegin, 30, {kNewItems}),
              whole_copy_of(40, kNewItems, {"7", "8"}),
              copy_mark(Purpose::kCopyEnd, 40, {kNewItems}), transaction(50, {{kNewItems, "9"}})});
  CHECK(sink.rows("items") == "7,8,9");
  CHECK_FALSE(sink.pause_of(kNewItems).has_value());
  CHECK_FALSE(sink.database.stored.records.contains(record_id(*kItems)));
}

TEST_CASE("a copy of everything begins without any record of a pause") {
  Paused sink;
  sink.apply(kAltering);
  sink.database.stored.position = {};
  sink.drop("items");
  sink.drop("other");
  sink.restart();
  sink.apply({copy_mark(Purpose::kCopyBegin, 50, {kSerialItems, kOther}, {.initial = true}),
              whole_copy_of(50, kSerialItems, {"1", "2"}), whole_copy_of(50, kOther, {"1"}),
              copy_mark(Purpose::kCopyEnd, 50, {kSerialItems, kOther}),
              transaction(60, {{kSerialItems, "3"}})});
  CHECK(sink.rows("items") == "1,2,3");
  CHECK_FALSE(sink.pause_of(kItems).has_value());
}

}  // namespace headgate::pipeline_test
