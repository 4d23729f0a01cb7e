// The workload and the comparison that the other tests rely on, proved by themselves.

#include "demo/order_workload.hpp"

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "demo/compare.hpp"
#include "demo/order_schema.hpp"
#include "demo/pg_session.hpp"
#include "demo/row_stream.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/invariant_reader.hpp"
#include "support/pgbench.hpp"
#include "support/sqlite_file.hpp"
#include "support/temp_dir.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

// The type of `column` in a SQLite mirror, by the rules of design.md, section 8.
std::string sqlite_type(const std::string& type) {
  if (type == "bool" || type == "int2" || type == "int4" || type == "int8") {
    return "INTEGER";
  }
  if (type == "float4" || type == "float8") {
    return "REAL";
  }
  return type == "bytea" ? "BLOB" : "TEXT";
}

std::string sqlite_literal(const std::optional<std::string>& value, const std::string& type) {
  if (!value) {
    return "NULL";
  }
  if (type == "bool") {
    return *value == "t" ? "1" : "0";
  }
  if (type == "bytea") {
    return "X'" + value->substr(2) + "'";
  }
  return sqlite_type(type) == "TEXT" ? quote_literal(*value) : *value;
}

// A copy made by the simplest means, so that a fault of compare() is not hidden by the same one
// here.
void copy_to_sqlite(PgSession& source, SqliteFile& file, const ComparedTable& table) {
  const std::string name = table.schema == "public" ? table.name : table.qualified();
  std::string columns;
  std::string select;
  for (const ComparedColumn& column : table.columns) {
    columns += (columns.empty() ? "" : ", ") + quote_identifier(column.name) + " " +
               sqlite_type(column.type);
    select += (select.empty() ? "" : ", ") + quote_identifier(column.name);
  }
  file.execute("CREATE TABLE " + quote_identifier(name) + " (" + columns + ") STRICT");
  for (const TextRow& row : source.query("SELECT " + select + " FROM " + table.qualified())) {
    std::string values;
    for (std::size_t i = 0; i < row.size(); ++i) {
      values += (i == 0 ? "" : ", ") + sqlite_literal(row[i], table.columns[i].type);
    }
    file.execute("INSERT INTO " + quote_identifier(name) + " VALUES (" + values + ")");
  }
}

}  // namespace

// Four workers for some seconds, a crash of the server in the middle, and a reader of the source
// that asks for the invariant all the while.
TEST_CASE("the order workload keeps its invariant at every moment, and survives a crash") {
  ThrowawayCluster cluster({.fsync = false});
  OrderWorkload workload({.conninfo = cluster.conninfo(), .seed = 7});
  workload.create_schema();
  InvariantReader reader(postgres_invariant(cluster.conninfo(), order_invariant_postgres()));
  workload.start();
  wait_until("1000 transactions", 60s, [&] { return workload.counters().committed >= 1000; });

  cluster.kill9();
  cluster.start();
  const auto before = workload.counters().committed;
  wait_until("1000 more after the crash", 60s,
             [&] { return workload.counters().committed >= before + 1000; });
  workload.stop();
  reader.stop();

  PgSession session(cluster.conninfo());
  CHECK(reader.violations() == "");
  CHECK(reader.rounds() > 20);
  CHECK(session.query(order_invariant_postgres()).empty());
  CHECK(workload.counters().rolled_back > 20);
  CHECK(workload.counters().reconnected >= 4);
  CHECK(session.value("SELECT count(*) FROM pg_stat_activity WHERE application_name = "
                      "'headgate_demo' AND state LIKE 'idle in%'") == "0");
  CHECK(session.value("SELECT count(*) > 0 FROM shop.audit_log WHERE action = 'cancel'") == "t");
  CHECK(session.value("SELECT count(*) BETWEEN 200 AND 2000 FROM shop.orders") == "t");
  CHECK(session.value("SELECT count(DISTINCT state) FROM shop.orders") == "2");
  CHECK(session.value("SELECT max(length(address)) > 2000 FROM shop.customers") == "t");

  // The order invariant must be able to fail: each rule is broken once.
  const std::vector<std::string> breaks{
      "UPDATE shop.orders SET total_cents = total_cents + 1 "
      "WHERE order_id = (SELECT max(order_id) FROM shop.orders)",
      "UPDATE shop.customers SET balance_cents = balance_cents + 1 WHERE customer_id = 1",
      "UPDATE shop.products SET stock = stock + 1 WHERE product_id = 1",
      "DELETE FROM shop.payments WHERE payment_id = (SELECT max(payment_id) FROM shop.payments)",
      "UPDATE shop.price_labels SET price_cents = price_cents + 1 WHERE product_id = 1",
      "INSERT INTO shop.audit_log (action, delta_cents) VALUES ('twice', 1)",
      "DELETE FROM shop.order_lines WHERE order_id = (SELECT max(order_id) FROM shop.order_lines)"};
  for (const std::string& statement : breaks) {
    INFO(statement);
    session.execute("BEGIN; " + statement);
    CHECK_FALSE(session.query(order_invariant_postgres()).empty());
    session.execute("ROLLBACK");
  }
}

// A reader that cannot see what is wrong would make every test that uses it pass.
TEST_CASE("a reader reports a state that breaks the invariant, and pgbench's own rule holds") {
  ThrowawayCluster cluster({.fsync = false});
  const TempDir folder;
  PgSession session(cluster.conninfo());
  session.execute(order_schema_script(5, 5));
  Pgbench pgbench(cluster.conninfo());
  pgbench.create_tables();
  InvariantReader orders(postgres_invariant(cluster.conninfo(), order_invariant_postgres()));
  InvariantReader sums(postgres_invariant(cluster.conninfo(), Pgbench::invariant()));
  pgbench.start(4, 400, folder.path("pgbench.log"));
  wait_until("pgbench's load", 60s, [&] {
    return std::stoi(session.value("SELECT count(*) FROM pgbench_history")) > 300;
  });
  CHECK(orders.violations() == "");
  CHECK(sums.violations() == "");
  pgbench.stop();
  CHECK(sums.rounds() > 3);
  const Comparison with_itself =
      compare({cluster.conninfo(), Pgbench::tables(), PostgresMirror{cluster.conninfo(), {}}});
  CHECK(with_itself.equal());
  CHECK(with_itself.rows() > 100'000);

  session.execute("UPDATE shop.products SET stock = stock - 1 WHERE product_id = 2");
  session.execute(
      "DELETE FROM pgbench_history WHERE ctid = (SELECT min(ctid) FROM pgbench_history "
      "WHERE delta <> 0)");
  wait_until("the readers to see it", 30s,
             [&] { return orders.violations() != "" && sums.violations() != ""; });
  CHECK(orders.violations().find("stock 2 999999 1000000") == 0);
}

namespace {

// A source with all kinds of columns, and a copy of it in SQLite and in PostgreSQL.
struct Copies {
  ThrowawayCluster cluster{{.fsync = false}};
  TempDir folder;
  std::string sqlite_path = folder.path("mirror.db");
  std::vector<std::string> names = order_tables();

  Copies() {
    OrderWorkload workload({.conninfo = cluster.conninfo(), .seed = 3});
    workload.create_schema();
    PgSession source(cluster.conninfo());
    source.execute(
        "CREATE TABLE public.kinds (id integer PRIMARY KEY, b boolean, i bigint, r real, "
        "d double precision, n numeric, t text, c char(6), y bytea, z timestamptz, j jsonb, a "
        "int[], "
        "u uuid, v interval, g integer GENERATED ALWAYS AS (id * 2) STORED);"
        "INSERT INTO public.kinds VALUES "
        "(1, true, -9223372036854775808, 1.1, 0.1, 12.340, '', 'ab', '\\x00ff', "
        " '2024-02-29 23:59:59.999999+02', '{\"a\": [1, null]}', '{1,NULL}', "
        " '6b4c2f0e-6f3b-4f2a-9a43-0d8f5d2f9a10', '1 mon 2 days 03:04:05'),"
        "(2, false, 9223372036854775807, 1e20, 1e15, 1e-20, E'a\\tb', NULL, '', 'infinity', "
        "'null', "
        " '{}', NULL, NULL),"
        "(3, NULL, 0, 1e-5, 123456789012345, 'NaN', 'ü\"''', '', NULL, '0001-01-01 00:00:00+00', "
        "NULL, "
        " NULL, NULL, NULL),"
        "(4, NULL, NULL, 123456, 1e-4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),"
        "(5, NULL, NULL, 1234567, 2.5e-7, 0.00, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);"
        "CREATE TABLE public.bag (a integer, b text, d double precision);"
        "INSERT INTO public.bag VALUES (1, 'x', 0.5), (1, 'x', 0.5), (NULL, 'y', NULL), (10, NULL, "
        "2), "
        "(9, '', 1e300)");
    names.insert(names.end(), {"public.kinds", "public.bag"});
    workload.start();
    wait_until("some orders", 60s, [&] { return workload.counters().committed >= 300; });
    workload.stop();

    SqliteFile file(sqlite_path);
    file.execute("PRAGMA journal_mode = WAL; BEGIN");
    PgSession(cluster.conninfo()).execute("CREATE DATABASE mirror TEMPLATE template0");
    for (const ComparedTable& table : describe_tables(source, names)) {
      copy_to_sqlite(source, file, table);
    }
    file.execute("COMMIT");
    copy_to_postgres();
  }

  void copy_to_postgres() {
    const RunResult dump = run({.argv = {ThrowawayCluster::program("pg_dump"), "-Fp", "-f",
                                         folder.path("dump.sql"), "-d", cluster.conninfo()}},
                               60s);
    INFO(dump.err);
    REQUIRE(dump.ok());
    const RunResult load =
        run({.argv = {ThrowawayCluster::program("psql"), "-q", "-v", "ON_ERROR_STOP=1", "-f",
                      folder.path("dump.sql"), "-d", cluster.conninfo("mirror")}},
            60s);
    INFO(load.err);
    REQUIRE(load.ok());
  }

  Comparison with_sqlite() const {
    return compare({cluster.conninfo(), names, SqliteMirror{sqlite_path}});
  }
  Comparison with_postgres() const {
    return compare({cluster.conninfo(), names, PostgresMirror{cluster.conninfo("mirror"), {}}});
  }
};

struct Planted {
  std::string statement;  // on the mirror; `shop.orders` is written @orders
  Difference::Kind kind;
  std::string table;
  std::vector<std::string> columns;
};

std::string for_sqlite(std::string statement) {
  for (auto at = statement.find('@'); at != std::string::npos; at = statement.find('@')) {
    auto end = at + 1;
    while (end < statement.size() && (std::islower(statement[end]) != 0 || statement[end] == '_')) {
      ++end;
    }
    statement.replace(at, end - at,
                      quote_identifier("shop." + statement.substr(at + 1, end - at - 1)));
  }
  return statement;
}

std::string for_postgres(std::string statement) {
  for (auto at = statement.find('@'); at != std::string::npos; at = statement.find('@')) {
    statement.replace(at, 1, "shop.");
  }
  return statement;
}

void check_found(const Comparison& comparison, const Planted& planted) {
  INFO(planted.statement);
  INFO(comparison.report());
  REQUIRE(comparison.first.size() == 1);
  CHECK(comparison.first.front().kind == planted.kind);
  CHECK(comparison.first.front().table == planted.table);
  CHECK(comparison.first.front().columns == planted.columns);
}

}  // namespace

// Copies that compare() must find equal, then one difference of each kind, planted and taken back.
TEST_CASE("compare finds every planted difference in SQLite and PostgreSQL, and no other") {
  const Copies copies;
  INFO(copies.with_sqlite().report());
  INFO(copies.with_postgres().report());
  REQUIRE(copies.with_sqlite().equal());
  REQUIRE(copies.with_postgres().equal());
  CHECK(copies.with_sqlite().rows() > 300);
  CHECK(SqliteFile(copies.sqlite_path).query(order_invariant_sqlite()).empty());

  using Kind = Difference::Kind;
  const std::vector<Planted> all{
      {"DELETE FROM kinds WHERE id = 3", Kind::kRowMissing, "public.kinds", {}},
      {"UPDATE @customers SET name = 'X', address = '' WHERE customer_id = 5",
       Kind::kRowDiffers,
       "shop.customers",
       {"name", "address"}},
      {"INSERT INTO kinds (id) VALUES (99)", Kind::kRowExtra, "public.kinds", {}},
      {"UPDATE kinds SET t = NULL WHERE id = 1", Kind::kRowDiffers, "public.kinds", {"t"}},
      {"UPDATE kinds SET t = '', n = '12.34' WHERE id = 1",
       Kind::kRowDiffers,
       "public.kinds",
       {"n"}},
      {"UPDATE kinds SET i = i + 1 WHERE id = 1", Kind::kRowDiffers, "public.kinds", {"i"}},
      {"UPDATE kinds SET d = 0.10000000000000002 WHERE id = 1",
       Kind::kRowDiffers,
       "public.kinds",
       {"d"}},
      {"UPDATE @price_labels SET sku = 'elsewhere', price_cents = 1 WHERE sku = "
       "(SELECT max(sku) FROM @price_labels)",
       Kind::kRowMissing,
       "shop.price_labels",
       {}},
      {"INSERT INTO bag VALUES (1, 'x', 0.5)", Kind::kRowExtra, "public.bag", {}},
      {"ALTER TABLE bag ADD COLUMN more text", Kind::kColumns, "public.bag", {"more"}},
      {"ALTER TABLE bag DROP COLUMN b", Kind::kColumns, "public.bag", {"b"}},
      {"DROP TABLE bag", Kind::kTableMissing, "public.bag", {}},
  };
  for (const Planted& planted : all) {
    // What is planted is committed, since compare() has a session of its own; so each case starts
    // from a copy of the copy.
    SqliteFile(copies.sqlite_path).execute("PRAGMA wal_checkpoint(TRUNCATE)");
    const std::string other = copies.folder.path("planted.db");
    SqliteFile(copies.sqlite_path).execute("VACUUM INTO " + quote_literal(other));
    SqliteFile(other).execute(for_sqlite(planted.statement));
    CHECK(SqliteFile(other).query(order_invariant_sqlite()).empty() ==
          (planted.table != "shop.price_labels"));
    PgSession admin(copies.cluster.conninfo());
    admin.execute("CREATE DATABASE planted TEMPLATE mirror");
    PgSession(copies.cluster.conninfo("planted")).execute(for_postgres(planted.statement));

    Comparison in_sqlite = compare({copies.cluster.conninfo(), copies.names, SqliteMirror{other}});
    Comparison in_postgres = compare({copies.cluster.conninfo(), copies.names,
                                      PostgresMirror{copies.cluster.conninfo("planted"), {}}});
    if (planted.table == "shop.price_labels") {
      // A changed key is one row missing and one too many.
      REQUIRE(in_sqlite.first.size() == 2);
      REQUIRE(in_postgres.first.size() == 2);
      in_sqlite.first.pop_back();
      in_postgres.first.pop_back();
    }
    check_found(in_sqlite, planted);
    check_found(in_postgres, planted);
    admin.execute("DROP DATABASE planted WITH (FORCE)");
    copies.folder.remove("planted.db");
  }

  // In SQLite alone a value can also be stored in another class than its type calls for.
  SqliteFile file(copies.sqlite_path);
  file.execute(
      "CREATE TABLE loose AS SELECT * FROM kinds; DROP TABLE kinds; "
      "ALTER TABLE loose RENAME TO kinds; "
      "UPDATE kinds SET y = CAST(y AS TEXT) WHERE id = 2");
  CHECK_FALSE(copies.with_sqlite().equal());
}
