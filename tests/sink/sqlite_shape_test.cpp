// Which tables are made, taken as they are, or refused, and with which words.

#include <catch2/catch.hpp>

#include "sink/sqlite/table_shape.hpp"
#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

using TF = TypeFamily;

const auto kOrders = make_table("orders",
                                {{"id", TF::kInteger, false},
                                 {"total", TF::kNumeric, false},
                                 {"note", TF::kText},
                                 {"weight", TF::kFloat},
                                 {"blob", TF::kBytes},
                                 {"paid", TF::kBoolean}},
                                {0});
const Cells kRow = {"1", "1.10", "x", "1.5", "\\x00", "t"};

void prepare(Fixture& fixture, const SinkConfigPtr& table) {
  fixture.sink->begin();
  fixture.sink->prepare_table(table, MissingTable::kCreate);
  fixture.sink->prepare_table(table, MissingTable::kCreate);  // again is fine
  fixture.sink->commit(mark_at(1));
}

Error refusal(const std::string& ddl, const SinkConfigPtr& table) {
  Fixture fixture;
  fixture.execute(ddl);
  Error error = error_of([&] { prepare(fixture, table); });
  CHECK(error.kind() == ErrorKind::kOperator);
  return error;
}

TEST_CASE("a missing table is made STRICT, with the source's key and NOT NULL") {
  CHECK(create_table_sql(kOrders->output) ==
        "CREATE TABLE \"orders\" (\n"
        "  \"id\" INTEGER NOT NULL,\n"
        "  \"total\" TEXT NOT NULL,\n"
        "  \"note\" TEXT,\n"
        "  \"weight\" ANY,\n"
        "  \"blob\" BLOB,\n"
        "  \"paid\" INTEGER,\n"
        "  PRIMARY KEY (\"id\")\n"
        ") STRICT");
  Fixture fixture;
  prepare(fixture, kOrders);
  fixture.apply(Operations().insert(kOrders, kRow), 2);
  CHECK(fixture.table("orders") == Strings{"1|'1.10'|'x'|1.5|X'00'|1"});
}

TEST_CASE("key columns are NOT NULL, in the key's order, whatever the source's catalog says") {
  const auto table =
      make_table("t", {{"a", TF::kText, true}, {"b", TF::kText}, {"c", TF::kText, true}}, {2, 0});
  CHECK(create_table_sql(table->output) ==
        "CREATE TABLE \"t\" (\n  \"a\" TEXT NOT NULL,\n  \"b\" TEXT,\n  \"c\" TEXT NOT NULL,\n"
        "  PRIMARY KEY (\"c\", \"a\")\n) STRICT");
}

TEST_CASE("names may be words of SQL, hold quotes, or be in any script") {
  Fixture fixture;
  for (const std::string name : {"select", "a\"b", "größe", "表", "x;y", "shop.orders", "excluded",
                                 "rowid", "p%q", "it's"}) {
    CAPTURE(name);
    const auto table = make_table(
        name, {{name, TF::kInteger}, {"values", TF::kText}, {"a \"quoted\" one", TF::kText}}, {0});
    fixture.apply(Operations().insert(table, {"1", "x", "y"}).insert(table, {"2", "x", "y"}), 1);
    fixture.sink->begin();
    fixture.sink->write(
        Operations().update(table, {"1", "z", kUnsent}).erase(table, {"2", "x", "y"}).all());
    fixture.sink->commit(mark_at(1));
    CHECK(fixture.table(name) == Strings{"1|'z'|'y'"});
  }
}

TEST_CASE(
    "existing tables of the same shape are used, whatever the case of columns and the type words") {
  const std::string ddl = GENERATE(
      as<std::string>{},
      "CREATE TABLE orders (ID INTEGER PRIMARY KEY, Total TEXT, note VARCHAR(10), weight DOUBLE, "
      "blob BLOB, paid BOOLEAN)",
      "CREATE TABLE orders (note, blob, paid, weight, total, id, PRIMARY KEY (id)) WITHOUT ROWID",
      "CREATE TABLE orders (k INTEGER PRIMARY KEY, id INT NOT NULL, total TEXT, note TEXT, "
      "weight ANY, blob BLOB, paid INT) STRICT; CREATE UNIQUE INDEX i ON orders (id)",
      "CREATE TABLE orders (id INTEGER PRIMARY KEY, total TEXT, note TEXT, weight REAL, blob, paid "
      "INT, added TEXT NOT NULL DEFAULT 'mine', twice GENERATED ALWAYS AS (id * 2))");
  CAPTURE(ddl);
  Fixture fixture;
  fixture.execute(ddl);
  fixture.apply(Operations().insert(kOrders, kRow), 1);
  fixture.apply(Operations().update(kOrders, {"1", "2.20", "y", "1.5", kUnsent, "f"}), 2);
  CHECK(fixture.rows("SELECT id, total, note, weight, blob, paid FROM orders") ==
        Strings{"1|'2.20'|'y'|1.5|X'00'|0"});
}

TEST_CASE("a table that would change values is refused, naming column and remedy") {
  const Error error = refusal(
      "CREATE TABLE orders (id INTEGER PRIMARY KEY, total DECIMAL(10,2), note, weight, blob, paid "
      "INT)",
      kOrders);
  CHECK_THAT(error.what(), Catch::Contains("table orders: column total is declared DECIMAL(10,2)"));
  CHECK_THAT(error.hint(), Catch::Contains("declare it TEXT"));
}

TEST_CASE("a missing column is named with the statement that adds it") {
  const Error error = refusal(
      "CREATE TABLE orders (id INTEGER PRIMARY KEY, total TEXT, note, weight, blob)", kOrders);
  CHECK_THAT(error.what(), Catch::Contains("column paid is missing"));
  CHECK(error.hint() == "ALTER TABLE \"orders\" ADD COLUMN \"paid\" INTEGER");
}

TEST_CASE("a table without the source's key is refused") {
  const std::string columns = "total TEXT, note, weight, blob, paid INT";
  const std::string ddl = GENERATE_COPY(
      as<std::string>{}, "CREATE TABLE orders (id INTEGER, " + columns + ")",
      "CREATE TABLE orders (id INTEGER, " + columns + ", PRIMARY KEY (id, note))",
      "CREATE TABLE orders (id INTEGER, " + columns + "); CREATE INDEX i ON orders (id)",
      "CREATE TABLE orders (id INTEGER, " + columns +
          "); CREATE UNIQUE INDEX i ON orders (id) WHERE id > 0",
      "CREATE TABLE orders (id INTEGER, " + columns +
          "); CREATE UNIQUE INDEX i ON orders (abs(id))");
  CAPTURE(ddl);
  const Error error = refusal(ddl, kOrders);
  CHECK_THAT(error.what(), Catch::Contains("unique index"));
  CHECK_THAT(error.hint(),
             Catch::Contains("CREATE UNIQUE INDEX \"orders_key\" ON \"orders\" (\"id\")"));
}

// To such an index 'a' and 'A' are one key: the second row would overwrite the first.
TEST_CASE("a key that ignores case is refused") {
  const auto table = make_table("t", {{"k"}, {"v"}}, {0});
  CHECK_THAT(refusal("CREATE TABLE t (k TEXT COLLATE NOCASE PRIMARY KEY, v)", table).what(),
             Catch::Contains("BINARY collation"));
}

TEST_CASE("what cannot be written to is refused") {
  CHECK_THAT(refusal("CREATE VIEW orders AS SELECT 1", kOrders).what(), Catch::Contains("a view"));
  CHECK_THAT(refusal("CREATE VIRTUAL TABLE orders USING fts5(id, total)", kOrders).what(),
             Catch::Contains("a virtual"));
  CHECK_THAT(refusal("CREATE TABLE orders (id INTEGER PRIMARY KEY, total TEXT, note, weight, blob, "
                     "paid INT GENERATED ALWAYS AS (1))",
                     kOrders)
                 .what(),
             Catch::Contains("column paid is generated"));
  CHECK_THAT(refusal("CREATE TABLE orders (id INTEGER PRIMARY KEY, total TEXT, note, weight, blob, "
                     "paid INT, who TEXT NOT NULL)",
                     kOrders)
                 .what(),
             Catch::Contains("column who is NOT NULL without a default"));
}

TEST_CASE("names that SQLite or we reserve are refused, in any case") {
  for (const std::string name : {"sqlite_x", "SQLite_x", "headgate_positions", "Headgate_x", ""}) {
    CAPTURE(name);
    CHECK_THAT(refusal("", make_table(name, {{"a"}}, {})).what(), Catch::Contains("reserved"));
  }
}

TEST_CASE("names that differ only by case are refused") {
  CHECK_THAT(refusal("", make_table("t", {{"Name"}, {"naME"}}, {})).what(),
             Catch::Contains("column naME differs from another only by upper and lower case"));

  Fixture fixture;
  const auto lower = make_table("orders", {{"a"}}, {});
  const auto upper = make_table("Orders", {{"a"}}, {});
  fixture.sink->begin();
  fixture.sink->prepare_table(lower, MissingTable::kCreate);
  const Error error = error_of([&] { fixture.sink->prepare_table(upper, MissingTable::kCreate); });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("orders and Orders are one to SQLite"));
}

TEST_CASE("a table without columns is refused") {
  CHECK_THAT(refusal("", make_table("t", {}, {})).what(), Catch::Contains("no columns"));
}

TEST_CASE("a keyless table needs row ids in the sink") {
  const auto table = make_table("t", {{"a"}, {"b"}}, {});
  CHECK_THAT(refusal("CREATE TABLE t (a TEXT PRIMARY KEY, b) WITHOUT ROWID", table).what(),
             Catch::Contains("no row ids"));
  CHECK_THAT(refusal("CREATE TABLE t (rowid, oid, _rowid_, a, b)", table).what(),
             Catch::Contains("no row ids"));
}

struct OrderCase {
  std::string ddl;
  bool source_order;
};

TEST_CASE("triggers, other unique indexes and columns of its own ask for the source's order") {
  const auto c = GENERATE(values<OrderCase>({
      {"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT)", false},
      {"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT UNIQUE, b TEXT)", true},
      {"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, UNIQUE (a, b))", true},
      {"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, UNIQUE (id, b))", false},
      {"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT); CREATE INDEX i ON t (a)", false},
      {"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT);"
       "CREATE UNIQUE INDEX i ON t (lower(a))",
       true},
      {"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, CHECK (id > 0))", false},
      {"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, mine TEXT)", true},
      {"CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT);"
       "CREATE TRIGGER x AFTER DELETE ON t BEGIN SELECT 1; END",
       true},
      {"CREATE TABLE t (k INTEGER PRIMARY KEY, id INT UNIQUE, a TEXT, b TEXT)", true},
  }));
  CAPTURE(c.ddl);
  const auto table = make_table("t", {{"id", TF::kInteger}, {"a"}, {"b"}}, {0});
  db::sqlite::Connection connection(":memory:");
  connection.execute(c.ddl);
  CHECK(ensure_table(connection, table->output).needs_source_order == c.source_order);
}

// Somebody adds a unique index while we run.
TEST_CASE("a change of the schema is noticed at the next transaction") {
  Fixture fixture;
  const auto table = make_table("t", {{"id", TF::kInteger}, {"a"}}, {0});
  fixture.apply(Operations().insert(table, {"1", "x"}).insert(table, {"2", "y"}), 1);
  fixture.execute("CREATE UNIQUE INDEX i ON t (a)");
  const auto swap = std::move(
      Operations().update(table, {"1", "z"}).update(table, {"2", "x"}).update(table, {"1", "y"}));
  fixture.sink->begin();
  fixture.sink->write(swap.all());
  fixture.sink->commit(mark_at(2));
  CHECK(fixture.table("t") == Strings{"1|'y'", "2|'x'"});

  fixture.execute("ALTER TABLE t RENAME COLUMN a TO b");
  fixture.sink->begin();
  const Error error = error_of([&] { fixture.sink->write(swap.all()); });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("column a is missing"));
}

// Made anew it would be empty, and the rows that it held would be missing without a word.
TEST_CASE("a table that somebody drops is not made again") {
  Fixture fixture;
  const auto table = make_table("t", {{"id", TF::kInteger}, {"a"}}, {0});
  fixture.apply(Operations().insert(table, {"1", "x"}), 1);
  fixture.execute("DROP TABLE t");
  const Error error = error_of([&] { fixture.apply(Operations().insert(table, {"2", "y"}), 2); });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("table t: it is not in the sink"));
}

TEST_CASE("a table whose creation was rolled back is made again, however late") {
  Fixture fixture;
  const auto table = make_table("t", {{"id", TF::kInteger}, {"a"}}, {0});
  const auto insert = std::move(Operations().insert(table, {"1", "x"}));
  fixture.write(insert);
  fixture.sink->rollback();
  // Brings the schema's version to the number that it had in our transaction.
  fixture.execute("CREATE TABLE x (a)");
  fixture.apply(Operations().insert(make_table("u", {{"a"}}, {}), {"x"}), 1);
  fixture.sink->begin();
  fixture.sink->write(insert.all());
  fixture.sink->commit(mark_at(2));
  CHECK(fixture.table("t") == Strings{"1|'x'"});
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
