// How a table of a SQLite sink is altered, and what only a person may do.

#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "sink/sqlite/table_alterer.hpp"
#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

using TF = TypeFamily;

Column column(const std::string& name, std::uint32_t id, const std::string& type) {
  Column made;
  made.name = name;
  made.source_id = id;
  made.native_type = type;
  const auto is = [&](const char* prefix) { return type.rfind(prefix, 0) == 0; };
  const bool array = type.ends_with("[]");
  made.family = array                           ? TF::kOther
                : is("integer") || is("bigint") ? TF::kInteger
                : is("numeric")                 ? TF::kNumeric
                : is("text") || is("character") ? TF::kText
                : is("double")                  ? TF::kFloat
                : is("boolean")                 ? TF::kBoolean
                : is("bytea")                   ? TF::kBytes
                : is("uuid")                    ? TF::kUuid
                : is("date")                    ? TF::kDate
                                                : TF::kOther;
  return made;
}

Column filled(Column made, const std::string& text) {
  made.fill = {ColumnFill::Kind::kText, text};
  return made;
}

SinkConfig described(std::vector<Column> columns, std::vector<std::size_t> key = {0},
                     const std::string& name = "items") {
  SinkConfig config;
  config.source = {"public", "items"};
  config.output.name = {"", name};
  config.output.source_id = 4711;
  config.output.columns = std::move(columns);
  config.output.key = std::move(key);
  for (const std::size_t place : config.output.key) {
    config.output.columns[place].nullable = false;
  }
  return config;
}

const Column kId = column("id", 1, "integer");

// The table as the sink would have made it, with `rows` as VALUES.
class Altered {
 public:
  Altered(SinkConfig before, const std::string& rows) : before_(std::move(before)) {
    const auto table = std::make_shared<const SinkConfig>(before_);
    fixture.sink->begin();
    fixture.sink->prepare_table(table, MissingTable::kCreate);
    fixture.sink->commit(mark_at(++lsn_));
    if (!rows.empty()) {
      fixture.execute("INSERT INTO " + before_.output.name.table + " VALUES " + rows);
    }
  }

  AlterationPlan plan(const SinkConfig& now) {
    fixture.sink->begin();
    AlterationPlan made = fixture.sink->plan_alteration(now, record_of(before_));
    fixture.sink->rollback();
    return made;
  }
  std::string obstacle(const SinkConfig& now) { return plan(now).obstacle; }

  // Alters, prepares and reads the table.
  Strings rows(const SinkConfig& now) {
    fixture.sink->begin();
    const AlterationPlan made = fixture.sink->plan_alteration(now, record_of(before_));
    CHECK(made.obstacle == "");
    fixture.sink->alter_table(made);
    fixture.sink->prepare_table(std::make_shared<const SinkConfig>(now), MissingTable::kRefuse);
    fixture.sink->commit(mark_at(++lsn_));
    return fixture.table(now.output.name.table);
  }

  Fixture fixture;

 private:
  SinkConfig before_;
  std::uint64_t lsn_ = 0;
};

TEST_CASE("older rows get a new column's value as the sink stores it") {
  Altered table(described({kId}), "(1)");
  CHECK(
      table.rows(described(
          {kId, filled(column("a", 2, "text"), "it's \"q\"\\ {1,2} é"),
           filled(column("b", 3, "numeric(12,2)"), "-1.50"),
           filled(column("c", 4, "double precision"), "0.1"),
           filled(column("d", 5, "double precision"), "-0"),
           filled(column("e", 6, "double precision"), "-Infinity"),
           filled(column("f", 7, "double precision"), "1e+300"),
           filled(column("g", 8, "boolean"), "t"), filled(column("h", 9, "bytea"), "\\x00ff27"),
           filled(column("i", 10, "bigint"), "-9223372036854775808"),
           filled(column("j", 11, "integer[]"), "{1,NULL,3}"), filled(column("k", 12, "text"), ""),
           column("l", 13, "text"), filled(column("m", 14, "double precision"), "16777217")})) ==
      Strings{"1|'it''s \"q\"\\ {1,2} é'|'-1.50'|0.1|'-0'|'-Infinity'|1.0e+300|1|X'00FF27'|"
              "-9223372036854775808|'{1,NULL,3}'|''|NULL|16777217.0"});
}

TEST_CASE("a type that another storage class needs is altered by building the table anew") {
  Altered table(described({kId, column("a", 2, "integer"), column("b", 3, "text")}),
                "(1, 5, 'x'), (2, NULL, 'y')");
  table.fixture.execute("CREATE INDEX by_b ON items (b)");
  CHECK(table.rows(described({kId, column("a", 2, "numeric(20,0)"), column("b", 3, "text"),
                              filled(column("c", 4, "text"), "new")})) ==
        Strings{"1|'5'|'x'|'new'", "2|NULL|'y'|'new'"});
  CHECK(table.fixture.value("SELECT count(*) FROM sqlite_schema WHERE name = 'by_b'") == "1");
}

// What the source printed before, and what it prints now, must be the same text.
TEST_CASE("only a type that leaves every value's text as it was is altered without a person") {
  struct Case {
    const char* from;
    const char* to;
    bool alike;
  };
  const Case cases[] = {
      {"integer", "bigint", true},
      {"bigint", "integer", true},
      {"integer", "numeric", true},
      {"integer", "numeric(10,0)", true},
      {"integer", "numeric(10,2)", false},
      {"integer", "text", true},
      {"integer", "double precision", false},
      {"numeric(10,2)", "numeric(12,2)", true},
      {"numeric(10,2)", "numeric", true},
      {"numeric(10,2)", "numeric(12,3)", false},
      {"numeric", "numeric(12,3)", false},
      {"numeric(10,2)", "text", true},
      {"numeric(10,2)", "bigint", false},
      {"character varying(10)", "character varying(20)", true},
      {"character varying(20)", "character varying(10)", false},
      {"character varying", "character varying(10)", false},
      {"character varying(10)", "text", true},
      {"text", "character varying", true},
      {"character(5)", "text", false},
      {"uuid", "text", true},
      {"boolean", "text", false},
      {"boolean", "integer", false},
      {"date", "text", false},
      {"text", "date", false},
      // Only a USING clause makes an array of a value, and it adds braces.
      {"character varying(10)", "character varying(20)[]", false},
      {"character varying(10)", "character varying(10)[]", false},
      {"numeric(10,2)", "numeric(10,2)[]", false},
      {"numeric(10,2)[]", "numeric(10,2)", false},
      {"text", "text[]", false},
      {"integer", "integer[]", false},
  };
  for (const Case& each : cases) {
    INFO(each.from << " to " << each.to);
    Altered table(described({kId, column("a", 2, each.from)}), "(1, NULL)");
    const auto plan = table.plan(described({kId, column("a", 2, each.to)}));
    CHECK((plan.obstacle.empty()) == each.alike);
  }
}

TEST_CASE("names that differ in case only are one name") {
  Altered table(described({kId, column("a", 2, "text"), column("b", 3, "text")}), "(1, 'a', 'b')");
  SECTION("columns that swap their names") {
    CHECK(table.rows(described({kId, column("B", 2, "text"), column("A", 3, "text")})) ==
          Strings{"1|'a'|'b'"});
    CHECK(table.fixture.value("SELECT A FROM items") == "'b'");
  }
  SECTION("a column that is renamed to itself") {
    CHECK(table.rows(described({kId, column("A", 2, "text"), column("b", 3, "text")})) ==
          Strings{"1|'a'|'b'"});
    CHECK(table.fixture.value("SELECT name FROM pragma_table_info('items') WHERE cid = 1") ==
          "'A'");
  }
  SECTION("a column that is dropped, and another one added") {
    CHECK(table.rows(described({kId, column("b", 3, "text"),
                                filled(column("A", 4, "text"), "new")})) == Strings{"1|'b'|'new'"});
  }
  SECTION("a table") {
    CHECK(table.plan(described({kId, column("a", 2, "text"), column("b", 3, "text")}, {0}, "ITEMS"))
              .statements.empty());
  }
}

TEST_CASE("names are quoted, whatever is in them") {
  const std::string odd = "select \"*\" from 'x'; -- é";
  Altered table(described({kId, column("a", 2, "text")}), "(1, 'a')");
  CHECK(table.rows(described({kId, column(odd, 2, "text"),
                              filled(column("order", 3, "text"), "'); DROP TABLE items; --")},
                             {0}, "the \"items\"")) ==
        Strings{"1|'a'|'''); DROP TABLE items; --'"});
}

TEST_CASE("a key of renamed and dropped columns is built anew with their values") {
  Altered table(described({kId, column("a", 2, "text"), column("b", 3, "text")}, {0, 1}),
                "(1, 'a', 'b'), (1, 'c', 'd')");
  CHECK(table.rows(described({column("aa", 2, "text"), column("b", 3, "text")}, {0})) ==
        Strings{"'a'|'b'", "'c'|'d'"});
}

TEST_CASE("a table that loses its key keeps its rows, and may then hold equal ones") {
  Altered table(described({kId, column("a", 2, "text")}), "(1, 'a')");
  CHECK(table.rows(described({kId, column("a", 2, "text")}, {})) == Strings{"1|'a'"});
  table.fixture.execute("INSERT INTO items VALUES (1, 'a')");
}

TEST_CASE("what the sink has of its own is not lost when a table is built anew") {
  const SinkConfig now = described({kId, column("a", 2, "numeric(10,0)")});
  const SinkConfig renamed = described({kId, column("aa", 2, "numeric(10,0)")});
  Altered table(described({kId, column("a", 2, "integer")}), "(1, 5)");
  CHECK(table.obstacle(now) == "");
  SECTION("a column") {
    table.fixture.execute("ALTER TABLE items ADD COLUMN mine TEXT");
  }
  SECTION("a view") {
    table.fixture.execute("CREATE VIEW report AS SELECT a FROM items");
  }
  SECTION("a trigger") {
    table.fixture.execute("CREATE TRIGGER t AFTER INSERT ON items BEGIN SELECT 1; END");
  }
  // SQLite would take a name that is no column any more for a string.
  SECTION("an index on what is renamed") {
    table.fixture.execute("CREATE INDEX mine ON items (\"a\")");
    CHECK(table.obstacle(now) == "");
    CHECK(table.obstacle(renamed) != "");
    return;
  }
  CHECK(table.obstacle(now) != "");
}

TEST_CASE("a table that is not there, or whose new name is taken, waits for a person") {
  Altered table(described({kId}), "(1)");
  table.fixture.execute("CREATE TABLE taken (x)");
  CHECK(table.obstacle(described({kId}, {0}, "taken")) != "");
  table.fixture.execute("DROP TABLE items");
  CHECK(table.obstacle(described({kId, column("a", 2, "text")})) != "");
}

// They did all of it. Dropping `b` now would drop the values of `a`.
TEST_CASE("what a person has altered already is left as it is") {
  Altered table(described({kId, column("a", 2, "text"), column("b", 3, "text")}),
                "(1, 'old a', 'old b')");
  table.fixture.execute("ALTER TABLE items DROP COLUMN b; ALTER TABLE items RENAME COLUMN a TO b");
  CHECK(table.rows(described({kId, column("b", 2, "text")})) == Strings{"1|'old a'"});
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
