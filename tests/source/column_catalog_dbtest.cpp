// What a server's catalog says of columns, and of the rows that were there when they came.

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/throwaway_cluster.hpp"
#include "source/postgres/column_identity.hpp"

namespace headgate::source::postgres {
namespace {

demo::ThrowawayCluster& cluster() {
  static demo::ThrowawayCluster instance([] {
    demo::ClusterOptions options;
    options.fsync = false;
    options.settings = {{"wal_level", "logical"}};
    return options;
  }());
  return instance;
}

class Catalog {
 public:
  explicit Catalog(const std::string& ddl)
      : connection_([] {
          pq::ConnectOptions options;
          options.conninfo = cluster().conninfo();
          options.role = "test";
          options.settings = pq::text_format_settings();
          return options;
        }()) {
    execute("DROP TABLE IF EXISTS items");
    execute(ddl);
  }

  void execute(const std::string& sql) { connection_.exec(sql, "test"); }

  // From 15 on, publications may leave columns out.
  bool lists_columns() const { return connection_.server_version() >= 150000; }

  std::vector<Attribute> attributes() {
    const pq::Result oid = connection_.exec("SELECT 'items'::regclass::oid", "test");
    return read_attributes(connection_, static_cast<std::uint32_t>(oid.integer(0, 0)), seen_);
  }

  // Of the newest column: `=value`, `NULL` or `?`.
  std::string fill() {
    const ColumnFill fill = attributes().back().fill;
    switch (fill.kind) {
      case ColumnFill::Kind::kNull:
        return "NULL";
      case ColumnFill::Kind::kText:
        return "=" + fill.text;
      case ColumnFill::Kind::kUnknown:
        break;
    }
    return "?";
  }

 private:
  pq::Connection connection_;
  SeenColumns seen_;
};

}  // namespace

TEST_CASE("the value of older rows is that of the default when the column was added") {
  struct Case {
    const char* ddl;
    const char* fill;
  };
  const Case cases[] = {
      {"ADD c integer", "NULL"},
      {"ADD c integer DEFAULT 7", "=7"},
      {"ADD c integer NOT NULL DEFAULT 7", "=7"},
      {"ADD c text DEFAULT ''", "="},
      {"ADD c text DEFAULT 'it''s {\"a\",NULL} \\'", "=it's {\"a\",NULL} \\"},
      {"ADD c integer[] DEFAULT '{1,NULL,3}'", "={1,NULL,3}"},
      {"ADD c text[] DEFAULT '{\"a,b\",\"\",\"NULL\"}'", "={\"a,b\",\"\",\"NULL\"}"},
      {"ADD c text DEFAULT 'a' || 'b'", "=ab"},
      {"ADD c timestamptz DEFAULT '2026-07-01 12:00:00+02'", "=2026-07-01 10:00:00+00"},
      {"ADD c bytea DEFAULT '\\x00ff'", "=\\x00ff"},
      {"ADD c float8 DEFAULT '-0'", "=-0"},
      {"ADD c integer DEFAULT random() * 10", "?"},
      {"ADD c serial", "?"},
      {"ADD c integer GENERATED ALWAYS AS IDENTITY", "?"},
  };
  for (const Case& each : cases) {
    INFO(each.ddl);
    Catalog catalog("CREATE TABLE items (id integer PRIMARY KEY)");
    catalog.execute("INSERT INTO items VALUES (1)");
    catalog.execute(std::string("ALTER TABLE items ") + each.ddl);
    CHECK(catalog.fill() == each.fill);
  }
}

TEST_CASE("what became of the default later changes nothing of older rows") {
  Catalog catalog("CREATE TABLE items (id integer PRIMARY KEY)");
  catalog.execute("INSERT INTO items VALUES (1)");
  catalog.execute("ALTER TABLE items ADD c integer DEFAULT 7");
  catalog.execute("ALTER TABLE items ALTER c SET DEFAULT 8");
  CHECK(catalog.fill() == "=7");
  catalog.execute("ALTER TABLE items ALTER c DROP DEFAULT");
  CHECK(catalog.fill() == "=7");
}

// The root has no rows, and no values of its own for them.
TEST_CASE("the value of older rows of a partitioned table is that of its partitions") {
  Catalog catalog("CREATE TABLE items (id integer PRIMARY KEY) PARTITION BY RANGE (id)");
  catalog.execute("ALTER TABLE items ADD b integer DEFAULT 1");
  CHECK(catalog.fill() == "NULL");  // of no rows
  catalog.execute("CREATE TABLE low PARTITION OF items FOR VALUES FROM (0) TO (10)");
  catalog.execute(
      "CREATE TABLE high PARTITION OF items FOR VALUES FROM (10) TO (30) PARTITION BY RANGE (id)");
  catalog.execute("CREATE TABLE leaf PARTITION OF high FOR VALUES FROM (10) TO (20)");
  catalog.execute("INSERT INTO items VALUES (1), (11)");
  SECTION("a plain column") {
    catalog.execute("ALTER TABLE items ADD c integer");
    CHECK(catalog.fill() == "NULL");
  }
  SECTION("a constant") {
    catalog.execute("ALTER TABLE items ADD c integer DEFAULT 7");
    CHECK(catalog.fill() == "=7");
    catalog.execute("ALTER TABLE items ALTER c DROP DEFAULT");
    CHECK(catalog.fill() == "=7");
    // Its rows may have come from anywhere.
    catalog.execute("CREATE TABLE later PARTITION OF items FOR VALUES FROM (30) TO (40)");
    CHECK(catalog.fill() == "?");
  }
  SECTION("a value for each row") {
    catalog.execute("ALTER TABLE items ADD c float8 DEFAULT random()");
    CHECK(catalog.fill() == "?");
  }
}

TEST_CASE("columns that are dropped, generated, or left out by a publication are told") {
  Catalog catalog(
      "CREATE TABLE items (id integer PRIMARY KEY, gone text, total integer GENERATED ALWAYS AS "
      "(id * 2) STORED, secret text)");
  catalog.execute("ALTER TABLE items DROP COLUMN gone");
  catalog.execute(std::string("CREATE PUBLICATION p FOR TABLE items") +
                  (catalog.lists_columns() ? " (id)" : ""));
  const auto attributes = catalog.attributes();
  catalog.execute("DROP PUBLICATION p");
  REQUIRE(attributes.size() == 4);
  CHECK_FALSE(attributes[0].unlisted);
  CHECK(attributes[1].dropped);
  CHECK(attributes[2].generated);
  CHECK(attributes[3].unlisted == catalog.lists_columns());
  CHECK(attributes[3].number == 4);
  CHECK_FALSE(catalog.attributes()[3].unlisted);
}

// A slot reads again what was committed after its catalog_xmin, and nothing else.
TEST_CASE("what was altered before all that a slot can still send is settled") {
  Catalog catalog("CREATE TABLE items (id integer PRIMARY KEY, a text, b text)");
  CHECK_FALSE(catalog.attributes()[0].settled);
  catalog.execute("ALTER TABLE items DROP COLUMN b");
  catalog.execute("SELECT pg_create_logical_replication_slot('settles', 'pgoutput')");
  catalog.execute("ALTER TABLE items RENAME COLUMN a TO aa");
  catalog.execute("ALTER TABLE items ADD c text");
  const auto attributes = catalog.attributes();
  catalog.execute("SELECT pg_drop_replication_slot('settles')");
  REQUIRE(attributes.size() == 4);
  CHECK(attributes[0].settled);
  CHECK_FALSE(attributes[1].settled);
  CHECK(attributes[2].settled);
  CHECK(attributes[2].dropped);
  CHECK_FALSE(attributes[3].settled);
}

}  // namespace headgate::source::postgres
