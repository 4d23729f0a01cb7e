// Tables altered at the source while the daemon runs, or while it does not: the sinks follow in the
// place where the change stands among the rows, or the daemon says what a person must do and waits.

#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/sqlite_file.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

// A pipeline over schema `shop`, its first copy finished.
class Mirrored : public MirrorSetup {
 public:
  explicit Mirrored(const std::string& tables, const MirrorOptions& options = {})
      : MirrorSetup({"shop.*", "moved*.*"}, options) {
    on_source("CREATE SCHEMA shop; " + tables);
    daemon().start();
    daemon().wait_ready();
    catch_up();
  }

  void on_source(const std::string& sql) { PgSession(source().conninfo()).execute(sql); }
  void on_sinks(const std::string& postgres, const std::string& sqlite) {
    PgSession(sink().conninfo()).execute(postgres);
    SqliteFile(sqlite_path()).execute(sqlite);
  }
  std::string in_postgres(const std::string& sql) {
    return PgSession(sink().conninfo()).value(sql);
  }
  std::string in_sqlite(const std::string& sql) { return SqliteFile(sqlite_path()).value(sql); }

  void wait_for_log(const std::string& words) {
    daemon().wait_until("the log to say: " + words, 30s,
                        [&] { return daemon().log().find(words) != std::string::npos; });
  }

  void restart() {
    CHECK(daemon().terminate().ok());
    daemon().start();
    daemon().wait_ready();
  }
};

// The source waits for a standby with every commit that asks for it.
class StandbyMissing {
 public:
  explicit StandbyMissing(Mirrored& setup) : setup_(setup) {
    setup_.on_source("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
    setup_.on_source("SELECT pg_reload_conf()");
  }
  ~StandbyMissing() {
    setup_.on_source("ALTER SYSTEM RESET synchronous_standby_names");
    setup_.on_source("SELECT pg_reload_conf()");
  }
  StandbyMissing(const StandbyMissing&) = delete;
  StandbyMissing& operator=(const StandbyMissing&) = delete;

 private:
  Mirrored& setup_;
};

}  // namespace

TEST_CASE("columns are added, dropped, renamed and retyped in the sinks as at the source") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, a integer, b text, c varchar(10));"
      "INSERT INTO shop.items SELECT i, i, 'b' || i, 'c' || i FROM generate_series(1, 50) i");
  const std::vector<std::string> tables{"shop.items"};
  int id = 100;
  const auto altered = [&](const std::string& ddl) {
    INFO(ddl);
    setup.on_source(ddl);
    setup.on_source("INSERT INTO shop.items (id) VALUES (" + std::to_string(++id) + ")");
    setup.catch_up();
    CHECK(setup.differences(tables) == "");
  };

  SECTION("one after the other") {
    altered("ALTER TABLE shop.items ADD COLUMN plain integer");
    altered("ALTER TABLE shop.items ADD COLUMN seven integer DEFAULT 7");
    altered("ALTER TABLE shop.items ADD COLUMN quoted text DEFAULT 'it''s \"quoted\", \\x {1,2}'");
    altered("ALTER TABLE shop.items ADD COLUMN empty text NOT NULL DEFAULT ''");
    altered("ALTER TABLE shop.items ADD COLUMN list integer[] DEFAULT '{1,NULL,3}'");
    altered("ALTER TABLE shop.items ADD COLUMN at timestamptz DEFAULT now()");
    altered("ALTER TABLE shop.items ADD COLUMN bytes bytea DEFAULT '\\x00ff'");
    altered("ALTER TABLE shop.items ADD COLUMN amount numeric(12,2) DEFAULT -1.50");
    altered("ALTER TABLE shop.items ADD COLUMN flag boolean DEFAULT true");
    altered("ALTER TABLE shop.items ADD COLUMN ratio double precision DEFAULT '-0'");
    altered(
        "ALTER TABLE shop.items ADD COLUMN gone text DEFAULT 'x', ALTER COLUMN a SET DEFAULT 1");
    altered("ALTER TABLE shop.items DROP COLUMN gone");
    altered("ALTER TABLE shop.items RENAME COLUMN b TO \"B two\"");
    altered("ALTER TABLE shop.items ALTER COLUMN a TYPE bigint");
    altered("ALTER TABLE shop.items ALTER COLUMN c TYPE varchar(40)");
    altered("ALTER TABLE shop.items ALTER COLUMN c TYPE text");
    altered("ALTER TABLE shop.items ALTER COLUMN a TYPE text");
    altered("ALTER TABLE shop.items DROP COLUMN a, ADD COLUMN a integer DEFAULT 3");
    altered("ALTER TABLE shop.items ALTER COLUMN a SET NOT NULL, ALTER COLUMN a SET DEFAULT 4");
    altered("ALTER TABLE shop.items ALTER COLUMN a DROP NOT NULL");
  }
  SECTION("columns that swap their names keep their values") {
    setup.on_source(
        "ALTER TABLE shop.items ADD COLUMN x integer DEFAULT 1;"
        "ALTER TABLE shop.items ADD COLUMN y integer DEFAULT 2");
    altered("UPDATE shop.items SET a = a + 1 WHERE id < 10");
    altered(
        "ALTER TABLE shop.items RENAME COLUMN x TO z; ALTER TABLE shop.items RENAME COLUMN y TO x;"
        "ALTER TABLE shop.items RENAME COLUMN z TO y");
    CHECK(setup.in_postgres("SELECT y FROM shop.items WHERE id = 40") == "1");
    CHECK(setup.in_sqlite("SELECT y FROM \"shop.items\" WHERE id = 40") == "1");
  }
  SECTION("within a transaction, between its rows") {
    setup.on_source(
        "BEGIN;"
        "INSERT INTO shop.items (id, a, b) VALUES (201, 1, 'before');"
        "ALTER TABLE shop.items ADD COLUMN d integer DEFAULT 5;"
        "UPDATE shop.items SET d = 6 WHERE id = 201;"
        "INSERT INTO shop.items (id, d) VALUES (202, 7);"
        "ALTER TABLE shop.items DROP COLUMN b;"
        "INSERT INTO shop.items (id, d) VALUES (203, 8);"
        "ALTER TABLE shop.items RENAME COLUMN a TO b;"
        "DELETE FROM shop.items WHERE id = 7;"
        "COMMIT");
    setup.catch_up();
    CHECK(setup.differences(tables) == "");
  }
  SECTION("all at once, while the daemon was away") {
    CHECK(setup.daemon().terminate().ok());
    setup.on_source("INSERT INTO shop.items (id, a, b) VALUES (301, 1, 'x')");
    setup.on_source("ALTER TABLE shop.items ADD COLUMN d integer DEFAULT 5");
    setup.on_source("INSERT INTO shop.items (id, a, b, d) VALUES (302, 1, 'x', 6)");
    setup.on_source("ALTER TABLE shop.items RENAME COLUMN a TO aa");
    setup.on_source("INSERT INTO shop.items (id, aa, b, d) VALUES (303, 1, 'x', 6)");
    setup.on_source("ALTER TABLE shop.items ADD COLUMN e text DEFAULT 'e'");
    setup.on_source("UPDATE shop.items SET aa = 10 WHERE id < 5");
    setup.daemon().start();
    setup.daemon().wait_ready();
    setup.catch_up();
    CHECK(setup.differences(tables) == "");
  }
}

// The commit is in the log, and sent, before other sessions see what it has altered.
TEST_CASE("what a transaction has altered is waited for while its commit waits for a standby") {
  Mirrored setup("CREATE TABLE shop.items (id integer PRIMARY KEY, a integer)");
  setup.on_source("INSERT INTO shop.items VALUES (1, 1)");
  setup.catch_up();
  std::jthread committing;
  {
    const StandbyMissing no_standby(setup);
    committing = std::jthread([&] {
      setup.on_source(
          "BEGIN; SET LOCAL synchronous_commit = on; CREATE TYPE shop.mood AS ENUM ('calm');"
          "ALTER TABLE shop.items ADD COLUMN d shop.mood;"
          "INSERT INTO shop.items VALUES (2, 2, 'calm'); COMMIT");
    });
    setup.wait_for_log("nothing can be read beyond it until that confirms");
    CHECK(setup.in_sqlite("SELECT count(*) FROM \"shop.items\"") == "1");
  }
  committing.join();
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
}

// The stream tells nothing of a table without new rows; the catalog does.
TEST_CASE("a table without new rows follows, too, also when it was altered while nobody looked") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, t text);"
      "INSERT INTO shop.items VALUES (1, 'one'), (2, 'two')");
  const auto follows = [&](const std::string& name) {
    setup.daemon().wait_until("column " + name, 40s, [&] {
      return setup.in_postgres("SELECT count(*) FROM pg_attribute WHERE attname = '" + name +
                               "'") == "1" &&
             setup.in_sqlite("SELECT count(*) FROM pragma_table_info('shop.items') WHERE name = '" +
                             name + "'") == "1";
    });
    CHECK(setup.differences({"shop.items"}) == "");
  };
  setup.on_source("ALTER TABLE shop.items ADD COLUMN quiet integer DEFAULT 3");
  follows("quiet");
  CHECK(setup.daemon().terminate().ok());
  setup.on_source("ALTER TABLE shop.items RENAME COLUMN t TO unseen");
  setup.daemon().start();
  setup.daemon().wait_ready();
  follows("unseen");
}

// From 16 on, looking at a publication opens each of its tables.
TEST_CASE(
    "somebody's lock on a table, or a table that is just being dropped, holds nothing else up") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, t text);"
      "CREATE TABLE shop.locked (id integer PRIMARY KEY, t text);"
      "CREATE TABLE shop.dropped (id integer PRIMARY KEY, t text)");
  PgSession locker(setup.source().conninfo());
  locker.execute("BEGIN; LOCK TABLE shop.locked IN ACCESS EXCLUSIVE MODE; DROP TABLE shop.dropped");
  for (int i = 0; i < 30; ++i) {  // beyond the next look
    setup.on_source("INSERT INTO shop.items VALUES (" + std::to_string(i) + ", 'x')");
    setup.catch_up(15s);
    wait_until("half a second to pass", 5s, [deadline = std::chrono::steady_clock::now() + 500ms] {
      return std::chrono::steady_clock::now() > deadline;
    });
  }
  locker.execute("COMMIT");
  setup.catch_up();
  CHECK(setup.differences({"shop.items", "shop.locked"}) == "");
  CHECK(setup.daemon().running());
}

// The stream does not say which columns are the key of a table that sends whole old rows, and the
// catalog is ahead of it.
TEST_CASE("a key that came later does not pair the rows that were there before it") {
  Mirrored setup(
      "CREATE TABLE shop.items (a integer, b integer);"
      "ALTER TABLE shop.items REPLICA IDENTITY FULL;"
      "INSERT INTO shop.items VALUES (1, 1), (2, 2)");
  CHECK(setup.daemon().terminate().ok());
  setup.on_source("INSERT INTO shop.items VALUES (1, 10)");
  setup.on_source("DELETE FROM shop.items WHERE b = 10");
  setup.on_source("ALTER TABLE shop.items ADD COLUMN c integer NOT NULL DEFAULT 0");
  setup.on_source("ALTER TABLE shop.items ADD PRIMARY KEY (a)");
  setup.on_source("INSERT INTO shop.items VALUES (3, 3)");
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
}

// VACUUM FULL writes the values into the rows and forgets that they were a default.
TEST_CASE("a default that was taken away and rewritten is not taken for none") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, a integer);"
      "INSERT INTO shop.items VALUES (1, 1), (2, 2)");
  CHECK(setup.daemon().terminate().ok());
  setup.on_source("ALTER TABLE shop.items ADD COLUMN z integer DEFAULT 7");
  setup.on_source("ALTER TABLE shop.items ALTER COLUMN z DROP DEFAULT");
  setup.on_source("VACUUM FULL shop.items");
  setup.on_source("INSERT INTO shop.items VALUES (3, 3, 3)");
  setup.daemon().start();
  setup.wait_for_log("the values that the source gave column z");
  CHECK(setup.in_postgres("SELECT count(*) FROM shop.items") == "2");
  CHECK(setup.in_sqlite("SELECT count(*) FROM \"shop.items\"") == "2");
}

// The same where the rows, and what is remembered of them, are in partitions.
TEST_CASE("a default that was taken away and rewritten in partitions is not taken for none") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, a integer) PARTITION BY LIST (id);"
      "CREATE TABLE shop.items_1 PARTITION OF shop.items FOR VALUES IN (1, 2, 3);"
      "CREATE TABLE shop.items_2 PARTITION OF shop.items DEFAULT;"
      "INSERT INTO shop.items VALUES (1, 1), (2, 2), (5, 5)");
  CHECK(setup.daemon().terminate().ok());
  setup.on_source("ALTER TABLE shop.items ADD COLUMN z integer DEFAULT 7");
  setup.on_source("ALTER TABLE shop.items ALTER COLUMN z DROP DEFAULT");
  setup.on_source("VACUUM FULL shop.items");
  setup.on_source("INSERT INTO shop.items VALUES (3, 3, 3)");
  setup.daemon().start();
  setup.wait_for_log("the values that the source gave column z");
  CHECK(setup.in_postgres("SELECT count(*) FROM shop.items") == "3");
  CHECK(setup.in_sqlite("SELECT count(*) FROM \"shop.items\"") == "3");
}

TEST_CASE("columns added to partitions that were rewritten long ago need nobody") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, a integer) PARTITION BY LIST (id);"
      "CREATE TABLE shop.items_1 PARTITION OF shop.items FOR VALUES IN (1, 2, 3);"
      "CREATE TABLE shop.items_2 PARTITION OF shop.items DEFAULT;"
      "INSERT INTO shop.items VALUES (1, 1), (5, 5); TRUNCATE shop.items;"
      "INSERT INTO shop.items VALUES (1, 1), (6, 6)");
  setup.on_source("ALTER TABLE shop.items ADD COLUMN y text");
  setup.on_source("INSERT INTO shop.items VALUES (2, 2, 'two')");
  setup.catch_up();
  CHECK(setup.daemon().terminate().ok());
  setup.on_source("ALTER TABLE shop.items ADD COLUMN z integer");
  setup.on_source("INSERT INTO shop.items VALUES (7, 7, 'seven', 7)");
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
}

// The source sends the transaction in pieces, of which the first ones are applied by then.
TEST_CASE("a pause in the middle of a large transaction is one pause, and ends as any other") {
  MirrorOptions options;
  options.source_settings = {{"logical_decoding_work_mem", "64kB"}};
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, t text);"
      "CREATE TABLE shop.other (id integer PRIMARY KEY, t text);"
      "INSERT INTO shop.items VALUES (1, 'one')",
      options);
  setup.on_source(
      "BEGIN; INSERT INTO shop.other SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i;"
      "ALTER TABLE shop.items ADD COLUMN n serial;"
      "INSERT INTO shop.items (id, t) VALUES (3, 'three');"
      "INSERT INTO shop.other SELECT i, 'y' FROM generate_series(20001, 20100) i; COMMIT");
  setup.wait_for_log("table paused, and what follows it sink=server attempt=3");
  setup.wait_for_log("table paused, and what follows it sink=file attempt=3");
  CHECK(setup.daemon().log().find("pipeline begins again") == std::string::npos);
  const RunResult status = setup.daemon().command({"status"});
  INFO(status.out);
  CHECK(status.out.find("paused") != std::string::npos);
  CHECK(setup.in_postgres("SELECT count(*) FROM shop.other") == "0");
  setup.on_sinks(
      "ALTER TABLE shop.items ADD COLUMN n integer; UPDATE shop.items SET n = 1;"
      "DELETE FROM headgate_tables WHERE source = 'shop.items'",
      "ALTER TABLE \"shop.items\" ADD COLUMN n INTEGER; UPDATE \"shop.items\" SET n = 1;"
      "DELETE FROM headgate_tables WHERE source = 'shop.items'");
  setup.catch_up();
  CHECK(setup.differences({"shop.items", "shop.other"}) == "");
}

TEST_CASE("columns added to a table that was rewritten long ago need nobody") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, a integer);"
      "INSERT INTO shop.items VALUES (1, 1), (2, 2); TRUNCATE shop.items;"
      "INSERT INTO shop.items VALUES (5, 5)");
  setup.on_source("ALTER TABLE shop.items ADD COLUMN z integer");
  setup.on_source("INSERT INTO shop.items VALUES (3, 3, 3)");
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
  CHECK(setup.daemon().terminate().ok());
  setup.on_source("ALTER TABLE shop.items DROP COLUMN a");
  setup.on_source("INSERT INTO shop.items VALUES (4, 4)");
  setup.on_source("ALTER TABLE shop.items ADD COLUMN y text");
  setup.on_source("INSERT INTO shop.items VALUES (6, 6, 'y')");
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
}

// The sinks remember where its rows were: from there on, a default can be told from none.
TEST_CASE("columns added to a table that is rewritten while headgate follows need nobody") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, a integer);"
      "INSERT INTO shop.items SELECT i, i FROM generate_series(1, 50) i");
  setup.on_source("VACUUM FULL shop.items");
  setup.on_source("INSERT INTO shop.items VALUES (51, 51)");
  setup.catch_up();
  setup.restart();
  setup.on_source(
      "ALTER TABLE shop.items ADD COLUMN plain integer;"
      "ALTER TABLE shop.items ADD COLUMN seven integer DEFAULT 7;"
      "INSERT INTO shop.items VALUES (52, 52)");
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
  CHECK(setup.daemon().log().find("paused") == std::string::npos);
}

TEST_CASE("a new primary key is the sinks' new key") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, code text NOT NULL, n integer);"
      "INSERT INTO shop.items SELECT i, 'code' || i, 0 FROM generate_series(1, 20) i");
  setup.on_source(
      "ALTER TABLE shop.items DROP CONSTRAINT items_pkey;"
      "ALTER TABLE shop.items ADD PRIMARY KEY (code)");
  // Not unique any more.
  setup.on_source("INSERT INTO shop.items VALUES (1, 'other', 1), (1, 'third', 1)");
  setup.on_source("UPDATE shop.items SET id = 5, n = n + 1 WHERE code IN ('code7', 'third')");
  setup.on_source("DELETE FROM shop.items WHERE code = 'code8'");
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");

  setup.on_source(
      "ALTER TABLE shop.items ADD COLUMN part integer NOT NULL DEFAULT 1;"
      "ALTER TABLE shop.items DROP CONSTRAINT items_pkey;"
      "ALTER TABLE shop.items ADD PRIMARY KEY (code, part)");
  setup.on_source("INSERT INTO shop.items VALUES (1, 'other', 1, 2)");
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
  setup.restart();
  setup.on_source("UPDATE shop.items SET n = 9");
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
}

TEST_CASE("a renamed table, and one that moves to another schema, is renamed in the sinks") {
  MirrorOptions options;
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, t text);"
      "INSERT INTO shop.items VALUES (1, 'one'), (2, 'two')",
      options);
  setup.on_source("ALTER TABLE shop.items RENAME TO \"Goods, all\"");
  setup.on_source("INSERT INTO shop.\"Goods, all\" VALUES (3, 'three')");
  setup.catch_up();
  CHECK(setup.in_postgres("SELECT count(*) FROM shop.\"Goods, all\"") == "3");
  CHECK(setup.in_postgres("SELECT to_regclass('shop.items') IS NULL") == "t");
  CHECK(setup.in_sqlite("SELECT count(*) FROM \"shop.Goods, all\"") == "3");
  CHECK(setup.in_sqlite("SELECT count(*) FROM sqlite_schema WHERE name = 'shop.items'") == "0");

  setup.on_source("CREATE SCHEMA moved; ALTER TABLE shop.\"Goods, all\" SET SCHEMA moved");
  setup.on_source("UPDATE moved.\"Goods, all\" SET t = 'moved' WHERE id = 2");
  setup.catch_up();
  CHECK(setup.differences({"moved.Goods, all"}) == "");
  setup.on_source("ALTER SCHEMA moved RENAME TO moved_again");
  setup.on_source("DELETE FROM moved_again.\"Goods, all\" WHERE id = 1");
  // Before 16 the server does not tell of a renamed schema; the catalog does.
  setup.daemon().wait_until("the schema's new name", 40s, [&] {
    return setup.in_postgres("SELECT to_regclass('moved_again.\"Goods, all\"') IS NOT NULL") ==
               "t" &&
           setup.in_sqlite(
               "SELECT count(*) FROM sqlite_schema WHERE name = "
               "'moved_again.Goods, all'") == "1";
  });
  setup.on_source("INSERT INTO moved_again.\"Goods, all\" VALUES (4, 'four')");
  setup.catch_up();
  CHECK(setup.differences({"moved_again.Goods, all"}) == "");
  CHECK(setup.in_postgres("SELECT to_regclass('moved.\"Goods, all\"') IS NULL") == "t");
}

TEST_CASE("what only a person can do pauses what follows, says how, and goes on when it is done") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, t text);"
      "CREATE TABLE shop.other (id integer PRIMARY KEY, t text);"
      "INSERT INTO shop.items VALUES (1, 'one'), (2, 'two')");
  setup.on_source("INSERT INTO shop.other VALUES (1, 'before')");
  // A value of its own for each row: it is in no log.
  setup.on_source("ALTER TABLE shop.items ADD COLUMN n serial");
  setup.on_source("INSERT INTO shop.items (id, t) VALUES (3, 'three')");
  setup.on_source("INSERT INTO shop.other VALUES (2, 'after')");

  setup.wait_for_log("this was run in sink server");
  setup.wait_for_log("column n integer added");
  setup.wait_for_log("DELETE FROM headgate_tables WHERE");
  // What came before stands, what follows waits: the sinks show a state that the source had.
  CHECK(setup.in_postgres("SELECT count(*) FROM shop.other") == "1");
  CHECK(setup.in_sqlite("SELECT count(*) FROM \"shop.other\"") == "1");
  CHECK(setup.daemon().running());

  setup.on_sinks(
      "ALTER TABLE shop.items ADD COLUMN n integer; UPDATE shop.items SET n = id;"
      "DELETE FROM headgate_tables WHERE source = 'shop.items'",
      "ALTER TABLE \"shop.items\" ADD COLUMN n INTEGER; UPDATE \"shop.items\" SET n = id;"
      "DELETE FROM headgate_tables WHERE source = 'shop.items'");
  setup.catch_up();
  CHECK(setup.differences({"shop.items", "shop.other"}) == "");
}

TEST_CASE("what the sink refuses pauses, too, and is tried again") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, t text);"
      "INSERT INTO shop.items VALUES (1, 'one'), (2, 'two')");
  setup.on_sinks("CREATE VIEW shop.report AS SELECT t FROM shop.items",
                 "CREATE INDEX report ON \"shop.items\" (t)");
  setup.on_source("ALTER TABLE shop.items DROP COLUMN t");
  setup.on_source("INSERT INTO shop.items VALUES (3)");
  setup.wait_for_log("other objects depend on it");
  setup.wait_for_log("error in index report");
  setup.on_sinks("DROP VIEW shop.report", "DROP INDEX report");
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
}

TEST_CASE("with schema_changes pause, nothing is altered before a person has done so") {
  MirrorOptions options;
  options.more = "schema_changes: pause\n";
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, x integer, y integer);"
      "INSERT INTO shop.items VALUES (1, 1, 2)",
      options);
  // The shape stays the same: only the record tells that a person is needed.
  setup.on_source(
      "ALTER TABLE shop.items RENAME COLUMN x TO z; ALTER TABLE shop.items RENAME COLUMN y TO x;"
      "ALTER TABLE shop.items RENAME COLUMN z TO y");
  setup.on_source("INSERT INTO shop.items (id, x, y) VALUES (2, 2, 1)");
  setup.wait_for_log("column x renamed to y");
  CHECK(setup.in_postgres("SELECT count(*) FROM shop.items") == "1");
  setup.on_sinks(
      "ALTER TABLE shop.items RENAME COLUMN x TO z; ALTER TABLE shop.items RENAME COLUMN y TO x;"
      "ALTER TABLE shop.items RENAME COLUMN z TO y;"
      "DELETE FROM headgate_tables WHERE source = 'shop.items'",
      "ALTER TABLE \"shop.items\" RENAME COLUMN x TO z;"
      "ALTER TABLE \"shop.items\" RENAME COLUMN y TO x;"
      "ALTER TABLE \"shop.items\" RENAME COLUMN z TO y;"
      "DELETE FROM headgate_tables WHERE source = 'shop.items'");
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
}

TEST_CASE("with schema_changes ignore, the sinks keep their columns and miss the new ones") {
  MirrorOptions options;
  options.more = "schema_changes: ignore\n";
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, x integer, y integer);"
      "INSERT INTO shop.items VALUES (1, 1, 2)",
      options);
  setup.on_source(
      "ALTER TABLE shop.items ADD COLUMN z integer DEFAULT 3;"
      "ALTER TABLE shop.items RENAME COLUMN x TO renamed; ALTER TABLE shop.items DROP COLUMN y");
  setup.on_source("INSERT INTO shop.items (id, renamed, z) VALUES (2, 10, 20)");
  setup.on_source("UPDATE shop.items SET renamed = 11 WHERE id = 1");
  setup.catch_up();
  const std::string wanted = "1:11:2,2:10:-";
  CHECK(setup.in_postgres("SELECT string_agg(concat_ws(':', id, x, coalesce(y::text, '-')), ',' "
                          "ORDER BY id) FROM shop.items") == wanted);
  CHECK(setup.in_sqlite("SELECT group_concat(id || ':' || x || ':' || coalesce(y, '-')) FROM "
                        "(SELECT * FROM \"shop.items\" ORDER BY id)") == wanted);
  setup.restart();
  setup.on_source("DELETE FROM shop.items WHERE id = 2");
  setup.catch_up();
  CHECK(setup.in_postgres("SELECT count(*) FROM shop.items") == "1");
}

TEST_CASE("a table that was dropped and created anew is not taken for the old one") {
  Mirrored setup(
      "CREATE TABLE shop.items (id integer PRIMARY KEY, t text);"
      "INSERT INTO shop.items VALUES (1, 'one'), (2, 'two')");
  setup.on_source(
      "DROP TABLE shop.items; CREATE TABLE shop.items (id integer PRIMARY KEY, u text);"
      "ALTER PUBLICATION headgate_test ADD TABLE shop.items;"
      "INSERT INTO shop.items VALUES (1, 'new')");
  setup.wait_for_log("was dropped and created anew");
  CHECK(setup.in_postgres("SELECT count(*) FROM shop.items") == "2");
  setup.on_sinks(
      "DELETE FROM shop.items; ALTER TABLE shop.items DROP COLUMN t;"
      "ALTER TABLE shop.items ADD COLUMN u text;"
      "DELETE FROM headgate_tables WHERE source = 'shop.items'",
      "DROP TABLE \"shop.items\";"
      "CREATE TABLE \"shop.items\" (id INTEGER NOT NULL, u TEXT, PRIMARY KEY (id)) STRICT;"
      "DELETE FROM headgate_tables WHERE source = 'shop.items'");
  setup.catch_up();
  CHECK(setup.differences({"shop.items"}) == "");
}
