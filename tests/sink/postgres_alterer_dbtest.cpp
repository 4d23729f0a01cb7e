// How a table of a PostgreSQL sink is altered on a real server, and what only a person may do.

#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "postgres_fixture.hpp"

using namespace headgate;
using namespace headgate::test;

namespace {

Column column(const std::string& name, std::uint32_t id, const std::string& type,
              std::uint32_t oid) {
  Column made;
  made.name = name;
  made.source_id = id;
  made.native_type = type;
  made.type_oid = oid;
  return made;
}

Column integer(const std::string& name, std::uint32_t id) {
  return column(name, id, "integer", 23);
}
Column text(const std::string& name, std::uint32_t id) {
  return column(name, id, "text", 25);
}
Column filled(Column made, const std::string& value) {
  made.fill = {ColumnFill::Kind::kText, value};
  return made;
}

SinkConfig described(std::vector<Column> columns, std::vector<std::size_t> key = {0},
                     const TableName& name = {"public", "items"}) {
  SinkConfig config;
  config.source = {"shop", "items"};
  config.output.name = name;
  config.output.source_id = 4711;
  config.output.columns = std::move(columns);
  config.output.key = std::move(key);
  return config;
}

const Column kId = integer("id", 1);

class Altered {
 public:
  explicit Altered(SinkConfig before, const std::string& create) : before_(std::move(before)) {
    sink = server.make_sink();
    sink->connect();
    server.execute(create);
  }

  std::string obstacle(const SinkConfig& now) {
    sink->begin();
    const std::string why = sink->plan_alteration(now, record_of(before_)).obstacle;
    sink->rollback();
    return why;
  }

  // Alters and prepares the table.
  void alter(const SinkConfig& now) {
    sink->begin();
    const AlterationPlan plan = sink->plan_alteration(now, record_of(before_));
    CHECK(plan.obstacle == "");
    sink->alter_table(plan);
    sink->prepare_table(std::make_shared<const SinkConfig>(now), MissingTable::kRefuse);
    sink->commit({position_at(lsn_ += 0x10), {}});
  }

  PostgresFixture server;
  std::unique_ptr<sink::postgres::PostgresSink> sink;

 private:
  SinkConfig before_;
  std::uint64_t lsn_ = 0x10;
};

}  // namespace

TEST_CASE("older rows get a new column's value, of whatever type, and later rows their own") {
  Altered table(described({kId}),
                "CREATE TABLE items (id integer PRIMARY KEY); INSERT INTO items VALUES (1)");
  table.alter(
      described({kId, filled(text("a", 2), "it's \"q\"\\ {1,2} é"),
                 filled(column("b", 3, "numeric(12,2)", 1700), "-1.50"),
                 filled(column("c", 4, "integer[]", 1007), "[0:2]={1,NULL,3}"),
                 filled(column("d", 5, "double precision", 701), "-0"),
                 filled(column("e", 6, "character varying(3)", 1043), "abc"),
                 filled(column("f", 7, "character(4)", 1042), "a   "),
                 filled(column("g", 8, "shop.order_state", 16500), "new"), text("h", 9),
                 filled(text("i", 10), ""), filled(column("j", 11, "bit(3)", 1560), "101"),
                 filled(column("k", 12, "timestamp(3) without time zone", 1114), "infinity")}));
  CHECK(table.server.rows("SELECT * FROM items") ==
        "1|it's \"q\"\\ {1,2} é|-1.50|[0:2]={1,NULL,3}|-0|abc|a   |new|-||101|infinity");
  CHECK(table.server.rows("SELECT count(*) FROM pg_attrdef d JOIN pg_class c ON c.oid = d.adrelid "
                          "WHERE c.relname = 'items'") == "0");
}

TEST_CASE("names are quoted, whatever is in them") {
  const std::string odd = "select \"*\" from 'x'; -- é";
  Altered table(described({kId, text("a", 2)}),
                "CREATE TABLE items (id integer PRIMARY KEY, a text);"
                "INSERT INTO items VALUES (1, 'a')");
  table.alter(described({kId, text(odd, 2), filled(text("order", 3), "'); DROP TABLE items; --")},
                        {0}, {"Other \"schema\"", "the \"items\""}));
  CHECK(table.server.rows("SELECT * FROM \"Other \"\"schema\"\"\".\"the \"\"items\"\"\"") ==
        "1|a|'); DROP TABLE items; --");
}

TEST_CASE("a partitioned table of the sink is altered with its partitions") {
  Altered table(described({kId, integer("a", 2), text("b", 3)}),
                "CREATE TABLE items (id integer PRIMARY KEY, a integer, b text) "
                "PARTITION BY RANGE (id);"
                "CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (10);"
                "CREATE TABLE high PARTITION OF items FOR VALUES FROM (10) TO (20);"
                "INSERT INTO items VALUES (1, 5, 'b'), (11, 6, 'c')");
  table.alter(described({kId, column("aa", 2, "bigint", 20), filled(text("c", 4), "new")}));
  CHECK(table.server.rows("SELECT * FROM items ORDER BY id") == "1|5|new 11|6|new");
  CHECK(table.server.rows("SELECT * FROM high") == "11|6|new");
}

TEST_CASE("a type is altered only where the source's own cast gives the same values here") {
  struct Case {
    Column from;
    Column to;
    bool alike;
  };
  const Column day = column("a", 2, "date", 1082);
  const Column short_text = column("a", 2, "character varying(3)", 1043);
  const Case cases[] = {
      {integer("a", 2), column("a", 2, "bigint", 20), true},
      {integer("a", 2), column("a", 2, "numeric(10,2)", 1700), true},
      {integer("a", 2), text("a", 2), true},
      {short_text, text("a", 2), true},
      {text("a", 2), short_text, true},
      {column("a", 2, "numeric(10,2)", 1700), integer("a", 2), true},
      // By the session's time zone or style.
      {column("a", 2, "timestamp without time zone", 1114),
       column("a", 2, "timestamp with time zone", 1184), false},
      {day, text("a", 2), false},
      // Not without USING.
      {text("a", 2), integer("a", 2), false},
      {text("a", 2), column("a", 2, "text[]", 1009), false},
      {column("a", 2, "boolean", 16), integer("a", 2), false},
  };
  for (const Case& each : cases) {
    INFO(each.from.native_type << " to " << each.to.native_type);
    Altered table(described({kId, each.from}),
                  "CREATE TABLE items (id integer PRIMARY KEY, a " + each.from.native_type + ")");
    table.server.execute("INSERT INTO items VALUES (1, NULL)");
    CHECK(table.obstacle(described({kId, each.to})).empty() == each.alike);
  }
}

// The cast of another type than the source's gives other values.
TEST_CASE("a column that a person has given another type is not cast") {
  Altered table(described({kId, column("a", 2, "numeric(10,2)", 1700)}),
                "CREATE TABLE items (id integer PRIMARY KEY, a double precision)");
  CHECK(table.obstacle(described({kId, text("a", 2)})) != "");
}

TEST_CASE("what a person has altered already is left as it is") {
  Altered table(described({kId, text("a", 2), text("b", 3)}),
                "CREATE TABLE items (id integer PRIMARY KEY, a text, b text);"
                "INSERT INTO items VALUES (1, 'old a', 'old b');"
                "ALTER TABLE items DROP COLUMN b; ALTER TABLE items RENAME COLUMN a TO b");
  table.alter(described({kId, text("b", 2)}));
  CHECK(table.server.rows("SELECT * FROM items") == "1|old a");
}

TEST_CASE("a table that is not there, or whose new name is taken, waits for a person") {
  Altered table(described({kId}),
                "CREATE TABLE items (id integer PRIMARY KEY); CREATE TABLE taken (x integer)");
  CHECK(table.obstacle(described({kId}, {0}, {"public", "taken"})) != "");
  table.server.execute("DROP TABLE items");
  CHECK(table.obstacle(described({kId, text("a", 2)})) != "");
}
