// What the follower asks of a driver, and when it does not dare to.

#include "pipeline/schema_follower.hpp"

#include <map>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "altered_table.hpp"
#include "base/error.hpp"
#include "pipeline_fixture.hpp"

namespace headgate::pipeline_test {
namespace {

using Strings = std::vector<std::string>;

std::string names_of(const SinkConfig& table) {
  std::string names;
  for (const Column& column : table.output.columns) {
    names += (names.empty() ? "" : ",") + column.name;
  }
  return names;
}

// Keeps records as a database does, and notes what it is asked to do.
class ScriptedDriver final : public SinkDriver {
 public:
  Strings calls;
  std::string obstacle;                  // of the next plans
  std::optional<ErrorKind> alter_fails;  // the next alter_table()
  std::vector<SinkConfigPtr> prepared;
  std::map<std::string, TableRecord> records;

  SinkPosition check(Findings&) override { return {}; }
  SinkPosition connect() override { return {}; }
  void begin() override { undo_ = records; }
  void prepare_table(const SinkConfigPtr& table, MissingTable) override {
    calls.push_back("prepare " + names_of(*table));
    prepared.push_back(table);
  }
  TableRecords known_tables() override {
    TableRecords found;
    for (const auto& [id, record] : records) {
      found.push_back(record);
    }
    return found;
  }
  void remember_table(const TableRecord& record) override {
    calls.push_back("remember");
    records.insert_or_assign(record_id(record.source), record);
  }
  std::string forget_statement(const TableRecord& record) const override {
    return "FORGET " + record_id(record.source);
  }
  AlterationPlan plan_alteration(const SinkConfig& now, const TableRecord&) override {
    return {{"ALTER to " + names_of(now)}, obstacle};
  }
  AlterationPlan plan_replacement(const SinkConfig&, const TableRecord& occupant) override {
    return {{"REPLACE " + record_id(occupant.source)}, "a person"};
  }
  void alter_table(const AlterationPlan& plan) override {
    if (alter_fails) {
      throw Error{*alter_fails, "a view depends on it"};
    }
    calls.insert(calls.end(), plan.statements.begin(), plan.statements.end());
  }
  void prepare_copy(const SinkConfig&, ExistingRows) override {}
  void write(std::span<const Sink>) override {}
  void copy(std::span<const Sink>) override {}
  void commit(const CommitMark&) override {}
  void rollback() noexcept override { records = undo_; }
  bool commits_are_durable() const override { return true; }
  void flush() override {}
  void disconnect() noexcept override {}

 private:
  std::map<std::string, TableRecord> undo_;
};

class Follower {
 public:
  ScriptedDriver driver;
  SchemaFollower tables{"business", driver, quiet()};

  void prepare(const SinkConfigPtr& table) { tables.prepare(table, MissingTable::kRefuse); }

  // A session in which `table` was mirrored, and then a new one.
  void knows(const SinkConfig& table) {
    driver.remember_table(record_of(table));
    tables.connected();
    driver.calls.clear();
  }

  // Why `table` is paused; fails the test when it is not.
  Error paused(const SinkConfigPtr& table) {
    try {
      prepare(table);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kPaused);
      return error;
    }
    FAIL("it was not paused");
    throw std::logic_error("unreachable");
  }
};

const std::vector<Column> kBefore{column("id", 1), column("a", 2), column("b", 3)};

SinkConfigPtr now(std::vector<Column> columns, SchemaChanges mode = SchemaChanges::kApply,
                  std::vector<std::size_t> key = {0}) {
  SinkConfig config = described(std::move(columns), std::move(key));
  config.schema_changes = mode;
  return shared(std::move(config));
}

bool mentions(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

TEST_CASE("a table without a record is prepared as it is, and remembered") {
  Follower follower;
  follower.tables.connected();
  follower.prepare(now(kBefore));
  CHECK(follower.driver.calls == Strings{"prepare id,a,b", "remember"});
  CHECK(follower.driver.records.size() == 1);
}

TEST_CASE("what is known and unaltered is neither altered nor remembered again") {
  Follower follower;
  follower.knows(described(kBefore));
  follower.prepare(now(kBefore));
  CHECK(follower.driver.calls == Strings{"prepare id,a,b"});
}

TEST_CASE("an altered table is altered before it is prepared, and remembered") {
  Follower follower;
  follower.knows(described(kBefore));
  follower.prepare(now({column("id", 1), column("aa", 2), column("c", 4)}));
  CHECK(follower.driver.calls == Strings{"ALTER to id,aa,c", "prepare id,aa,c", "remember"});
  // The next description is compared with this one.
  follower.driver.calls.clear();
  follower.prepare(now({column("id", 1), column("aa", 2)}));
  CHECK(follower.driver.calls == Strings{"ALTER to id,aa", "prepare id,aa", "remember"});
}

TEST_CASE("what was rolled back is done again") {
  Follower follower;
  follower.knows(described(kBefore));
  const SinkConfigPtr wider =
      now({column("id", 1), column("a", 2), column("b", 3), column("c", 4)});
  follower.driver.begin();
  follower.prepare(wider);
  follower.driver.rollback();
  follower.tables.connected();
  follower.driver.calls.clear();
  follower.prepare(wider);
  CHECK(follower.driver.calls == Strings{"ALTER to id,a,b,c", "prepare id,a,b,c", "remember"});
}

TEST_CASE("an output that is not one table of the source is only prepared") {
  Follower follower;
  follower.tables.connected();
  SinkConfig skill = described(kBefore);
  skill.source = {};
  follower.prepare(shared(skill));
  CHECK(follower.driver.calls == Strings{"prepare id,a,b"});
}

TEST_CASE("an obstacle pauses, and says what to run") {
  Follower follower;
  follower.knows(described(kBefore));
  follower.driver.obstacle = "values are not in the log";
  const Error error = follower.paused(now({column("id", 1), column("a", 2)}));
  CHECK(mentions(error.what(), "column b dropped"));
  CHECK(mentions(error.what(), "values are not in the log"));
  CHECK(error.hint() ==
        "headgate goes on by itself once this was run in sink business: ALTER to id,a; FORGET "
        "id:4711;");
  CHECK(follower.driver.calls.empty());
}

// In either mode: in the one it would alter the wrong column, in the other write into it.
TEST_CASE("a doubt about which column is which pauses, whether changes are applied or ignored") {
  const auto mode = GENERATE(SchemaChanges::kApply, SchemaChanges::kIgnore);
  Follower follower;
  follower.knows(described(kBefore));
  SECTION("a column that the source cannot identify") {
    follower.paused(now({column("id", 1), column("a", 2), column("b", 0)}, mode));
  }
  SECTION("one that may be a renamed one") {
    follower.paused(now({column("id", 1), column("a", 2), column("c", 0)}, mode));
  }
  SECTION("one that was dropped and added again") {
    follower.paused(now({column("id", 1), column("a", 2), column("b", 4)}, mode));
  }
  CHECK(follower.driver.calls.empty());
}

TEST_CASE("with pause, any alteration does, also one that leaves the names as they are") {
  Follower follower;
  follower.knows(described(kBefore));
  const Error error = follower.paused(
      now({column("id", 1), column("b", 2), column("a", 3)}, SchemaChanges::kPause));
  CHECK(mentions(error.what(), "column a renamed to b, column b renamed to a"));
}

TEST_CASE("what the sink refuses pauses; what only passes by itself, or is fenced, does not") {
  Follower follower;
  follower.knows(described(kBefore));
  const SinkConfigPtr narrower = now({column("id", 1), column("a", 2)});
  follower.driver.alter_fails = ErrorKind::kOperator;
  CHECK(mentions(follower.paused(narrower).what(), "a view depends on it"));
  for (const ErrorKind kind :
       {ErrorKind::kTransient, ErrorKind::kSystemic, ErrorKind::kFenced, ErrorKind::kInDoubt}) {
    follower.driver.alter_fails = kind;
    try {
      follower.prepare(narrower);
      FAIL("it was altered");
    } catch (const Error& error) {
      CHECK(error.kind() == kind);
    }
  }
}

TEST_CASE("another table under the name of one whose rows are there is not written to") {
  Follower follower;
  follower.knows(described(kBefore));
  SinkConfig other = described(kBefore);
  other.output.source_id = 5000;
  const Error error = follower.paused(shared(other));
  CHECK(mentions(error.hint(), "REPLACE id:4711; FORGET id:4711;"));
  CHECK(follower.driver.calls.empty());
}

TEST_CASE("with ignore, rows keep to the columns that the sink's table has") {
  Follower follower;
  follower.knows(described(kBefore));
  // a is renamed, b dropped, and the new b is another column.
  const SinkConfigPtr wide =
      now({column("b", 5, "text"), column("id", 1), column("aa", 2)}, SchemaChanges::kIgnore, {1});
  follower.prepare(wide);
  CHECK(follower.driver.calls == Strings{"prepare id,a"});
  CHECK(follower.driver.prepared.back()->output.key == std::vector<std::size_t>{0});

  const std::vector<Value> row{Value::text("new b"), Value::text("1"), Value::unchanged()};
  const std::vector<Value> old_row{Value::null(), Value::text("0"), Value::null()};
  const SinkConfigPtr other = shared(described({column("n", 1)}));
  const std::vector<Value> other_row{Value::text("9")};
  const std::vector<Sink> operations{
      {wide.get(), Operation::kUpdateAfter, row, old_row, true},
      {other.get(), Operation::kInsert, other_row, {}, false},
      {wide.get(), Operation::kTruncate, {}, {}, false},
  };
  const auto narrow = follower.tables.narrow(operations);
  REQUIRE(narrow.size() == 3);
  CHECK(narrow[0].config == follower.driver.prepared.back().get());
  REQUIRE(narrow[0].data.size() == 2);
  CHECK(narrow[0].data[0].bytes() == "1");
  CHECK(narrow[0].data[1].is_unchanged());
  CHECK(narrow[0].before[0].bytes() == "0");
  CHECK(narrow[0].key_only);
  CHECK(narrow[1].config == other.get());
  CHECK(narrow[1].data.size() == 1);
  CHECK(narrow[2].config == narrow[0].config);
  CHECK(narrow[2].data.empty());
}

TEST_CASE("with ignore, a key that the sink's table cannot have pauses") {
  Follower follower;
  follower.knows(described(kBefore));
  follower.paused(now({column("id", 1), column("code", 4)}, SchemaChanges::kIgnore, {1}));
}

TEST_CASE("with ignore, a table of which no column is left pauses") {
  Follower follower;
  follower.knows(described(kBefore));
  follower.paused(now({column("x", 4), column("y", 5)}, SchemaChanges::kIgnore, {}));
}

TEST_CASE("nothing is narrowed where nothing is ignored, and no more after a new session") {
  Follower follower;
  follower.knows(described(kBefore));
  const std::vector<Sink> none;
  CHECK(follower.tables.narrow(none).data() == none.data());
  const SinkConfigPtr wide = now({column("id", 1), column("a", 2), column("b", 3), column("c", 4)},
                                 SchemaChanges::kIgnore);
  follower.prepare(wide);
  // A person has dealt with it meanwhile.
  follower.driver.records.clear();
  follower.tables.connected();
  follower.prepare(wide);
  const std::vector<Value> row(4, Value::text("1"));
  const std::vector<Sink> operations{{wide.get(), Operation::kInsert, row, {}, false}};
  CHECK(follower.tables.narrow(operations).data() == operations.data());
}

}  // namespace
}  // namespace headgate::pipeline_test
