// `headgate check`: every point that is missing is named with the statement that mends it, the
// statements do mend it, nothing is changed unasked, and nothing is said about a sound setup.

#include <algorithm>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "source/postgres/slots.hpp"
#include "support/daemon.hpp"
#include "support/mirror_setup.hpp"
#include "support/sqlite_file.hpp"
#include "support/temp_dir.hpp"
#include "support/wait_until.hpp"

using namespace headgate;
using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

bool says(const std::string& text, const std::string& words) {
  return text.find(words) != std::string::npos;
}

// The lines of `check` that begin with `mark`: "ok", "plan", "warn", "FAIL".
std::vector<std::string> lines(const RunResult& result, const std::string& mark) {
  std::vector<std::string> found;
  std::string text = result.out;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    if (text.compare(0, mark.size() + 1, mark + " ") == 0) {
      found.push_back(text.substr(0, end));
    }
    text.erase(0, end + 1);
  }
  return found;
}

// One server with the databases `postgres` (source) and `report` (sink), both written to by its
// superuser unless a test names somebody else.
class OneServer {
 public:
  explicit OneServer(ClusterOptions options = {.fsync = false}) : cluster_(std::move(options)) {
    on_source(
        "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
        "INSERT INTO public.items SELECT i, 'item' FROM generate_series(1, 10) i");
    on_source("CREATE DATABASE report");
  }

  ThrowawayCluster& cluster() { return cluster_; }
  const ThrowawayCluster& cluster() const { return cluster_; }
  const TempDir& folder() const { return folder_; }
  void on_source(const std::string& sql) const { PgSession(cluster_.conninfo()).execute(sql); }
  void on_sink(const std::string& sql) const {
    PgSession(cluster_.conninfo("report")).execute(sql);
  }
  std::string ask(const std::string& sql) const {
    return PgSession(cluster_.conninfo()).value(sql);
  }
  // The SQLSTATE that `sql` is refused with at the source, or nothing.
  std::string refusal(const std::string& sql) const {
    try {
      on_source(sql);
    } catch (const PgError& error) {
      return error.sqlstate();
    }
    return {};
  }

  PipelineConfig pipeline(const std::string& source_user = "postgres",
                          const std::string& sink_user = "postgres") const {
    PipelineConfig config;
    config.source_dsn = cluster_.conninfo("postgres", source_user);
    config.tables = {"public.*"};
    config.sinks = {postgres_sink("report", cluster_.conninfo("report", sink_user)),
                    sqlite_sink("file", folder_.path("mirror.db"))};
    return config;
  }

  // All that check could have changed at the source.
  std::string state() const {
    return ask(
        "SELECT concat_ws('|', (SELECT count(*) FROM pg_publication), (SELECT count(*) FROM "
        "pg_publication_rel), (SELECT count(*) FROM pg_replication_slots), (SELECT "
        "string_agg(coalesce(relacl::text, '-') || relreplident::text, ',' ORDER BY oid) FROM "
        "pg_class "
        "WHERE relnamespace = 'public'::regnamespace), (SELECT string_agg(rolname || "
        "rolreplication || rolbypassrls, ',' ORDER BY rolname) FROM pg_roles))");
  }

 private:
  TempDir folder_;
  ThrowawayCluster cluster_;
};

}  // namespace

// A false alarm would make people stop reading.
TEST_CASE("a sound setup passes without a warning, before, beside and after a running daemon") {
  MirrorSetup setup({"public.items"});
  PgSession(setup.source().conninfo())
      .execute("CREATE TABLE public.items (id integer PRIMARY KEY, t text)");
  const auto check = [&](const std::string& words) {
    const RunResult result = setup.daemon().command({"check"});
    INFO(result.out + result.err);
    CHECK(result.status->code == kExitOk);
    CHECK(lines(result, "warn").empty());
    CHECK(lines(result, "FAIL").empty());
    CHECK(says(result.out, words));
  };
  check("headgate will create replication slot headgate_test");
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.catch_up();
  {
    // Sinks and slot move on while check looks at one after the other.
    std::jthread application([&](const std::stop_token& stop) {
      PgSession session(setup.source().conninfo());
      while (!stop.stop_requested()) {
        session.execute(
            "INSERT INTO public.items SELECT coalesce(max(id), 0) + 1 FROM public.items");
      }
    });
    for (int round = 0; round < 20; ++round) {
      check("replication slot headgate_test exists, and headgate reads it");
    }
  }
  CHECK(setup.daemon().terminate().ok());
  check("replication slot headgate_test exists");
}

// Users that have been given what check asked for, and nothing else, must be able to run the
// pipeline.
TEST_CASE("the statements that check prints are all that plain users need") {
  const OneServer server;
  server.on_source("CREATE ROLE reader LOGIN; CREATE ROLE writer LOGIN");
  server.on_source(
      "CREATE SCHEMA sales; CREATE TABLE sales.orders (id integer PRIMARY KEY);"
      "ALTER TABLE public.items ENABLE ROW LEVEL SECURITY");
  server.on_sink(
      "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
      "ALTER ROLE writer SET default_transaction_read_only = on");
  PipelineConfig config = server.pipeline("reader", "writer");
  config.tables = {"public.items", "sales.orders"};
  config.more = "schema_changes: pause\n";
  Daemon daemon(server.folder(), config);
  const std::string before = server.state();

  struct Point {
    std::string sql;
    bool in_sink = false;
    bool named = false;
  };
  std::vector<Point> points{
      {R"(ALTER ROLE "reader" REPLICATION;)"},
      {R"(GRANT USAGE ON SCHEMA "public" TO "reader"; )"
       R"(GRANT SELECT ON "public"."items" TO "reader";)"},
      {R"(GRANT USAGE ON SCHEMA "sales" TO "reader"; )"
       R"(GRANT SELECT ON "sales"."orders" TO "reader";)"},
      {R"(CREATE PUBLICATION "headgate_test" FOR TABLE ONLY "public"."items", )"
       R"(ONLY "sales"."orders" WITH (publish_via_partition_root = true);)"},
      {R"(ALTER ROLE "reader" BYPASSRLS;)"},
      {R"(ALTER ROLE "writer" SET default_transaction_read_only = off;)", true},
      {R"(GRANT USAGE, CREATE ON SCHEMA "public" TO "writer";)", true},
      {R"(GRANT SELECT, INSERT, UPDATE, DELETE ON "public"."items" TO "writer";)", true},
      {R"(CREATE SCHEMA "sales" AUTHORIZATION "writer";)", true},
  };
  // Row security, say, is asked for only where the table can be read.
  for (int round = 0; round < 3; ++round) {
    const RunResult result = daemon.command({"check"});
    INFO(result.out + result.err);
    if (round == 0) {
      CHECK(result.status->code == kExitOperator);
      CHECK(server.state() == before);
    }
    for (Point& point : points) {
      if (!point.named && says(result.out, point.sql)) {
        point.named = true;
        point.in_sink ? server.on_sink(point.sql) : server.on_source(point.sql);
      }
    }
  }
  for (const Point& point : points) {
    INFO(point.sql);
    CHECK(point.named);
  }
  const RunResult sound = daemon.command({"check"});
  INFO(sound.out);
  CHECK(sound.status->code == kExitOk);
  CHECK(lines(sound, "warn").empty());

  daemon.start();
  daemon.wait_ready();
  server.on_source("INSERT INTO sales.orders VALUES (1)");
  daemon.wait_until("the order to arrive", 30s, [&] {
    return PgSession(server.cluster().conninfo("report"))
               .value("SELECT count(*) FROM sales.orders") == "1";
  });
  CHECK(daemon.terminate().ok());
}

TEST_CASE("--apply runs what the connected user may run, says so before, and looks again") {
  const OneServer server;
  server.on_source(
      "CREATE TABLE public.parts (id integer, day integer, PRIMARY KEY (id, day)) "
      "PARTITION BY RANGE (day);"
      "CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (10);"
      "CREATE PUBLICATION headgate_test FOR TABLE public.parts WITH (publish = 'insert')");
  Daemon daemon(server.folder(), server.pipeline());
  const std::string before = server.state();
  CHECK(daemon.command({"check"}).status->code == kExitOperator);
  CHECK(server.state() == before);

  const RunResult applied = daemon.command({"check", "--apply"});
  INFO(applied.out + applied.err);
  CHECK(applied.status->code == kExitOk);
  for (const char* statement :
       {"ALTER PUBLICATION \"headgate_test\" SET (publish = 'insert, update, delete, truncate')",
        "ALTER PUBLICATION \"headgate_test\" SET (publish_via_partition_root = true)",
        "ALTER PUBLICATION \"headgate_test\" ADD TABLE ONLY \"public\".\"items\""}) {
    CHECK(says(applied.out, std::string("run   source: ") + statement + ";\n      done\n"));
  }
  CHECK(lines(applied, "FAIL").empty());
  CHECK(says(applied.out, "headgate will create replication slot"));  // not before it is read
  CHECK(server.ask("SELECT string_agg(tablename, ',' ORDER BY tablename) FROM "
                   "pg_publication_tables") == "items,parts");
  CHECK(server.ask("SELECT count(*) FROM pg_replication_slots") == "0");

  // There is nothing left to do.
  const std::string after = server.state();
  const RunResult again = daemon.command({"check", "--apply"});
  CHECK(again.status->code == kExitOk);
  CHECK(lines(again, "run").empty());
  CHECK(server.state() == after);
}

// What is new is told apart from what comes with its table, and a publication that was altered
// under a mirror is seen.
TEST_CASE("new partitions of a mirrored table are no news, a new table is") {
  const OneServer server;
  server.on_source(
      "CREATE TABLE public.parts (id integer PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (10)");
  Daemon daemon(server.folder(), server.pipeline());
  daemon.start();
  daemon.wait_ready();
  CHECK(daemon.terminate().ok());
  server.on_source(
      "CREATE TABLE public.parts_2 PARTITION OF public.parts FOR VALUES FROM (10) TO (20);"
      "CREATE TABLE public.fresh (id integer PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE public.fresh_1 PARTITION OF public.fresh FOR VALUES FROM (0) TO (10)");
  const RunResult check = daemon.command({"check"});
  INFO(check.out);
  CHECK(check.status->ok());
  CHECK(lines(check, "warn").empty());
  CHECK(lines(check, "plan").size() == 1);
  CHECK(says(check.out, "plan  source: headgate will add public.fresh to publication"));

  server.on_source("ALTER PUBLICATION headgate_test SET (publish_via_partition_root = false)");
  const RunResult altered = daemon.command({"check"});
  INFO(altered.out);
  CHECK(altered.status->code == kExitOperator);
  CHECK(says(altered.out, "sends rows of partitioned tables under the names of their partitions"));
}

TEST_CASE("--apply tells what is refused and leaves it to a person, by words and exit code") {
  const OneServer server;
  server.on_source(
      "CREATE ROLE reader LOGIN REPLICATION;"
      "CREATE PUBLICATION headgate_test FOR TABLE public.items");
  Daemon daemon(server.folder(), server.pipeline("reader"));
  const std::string before = server.state();
  const RunResult applied = daemon.command({"check", "--apply"});
  INFO(applied.out + applied.err);
  CHECK(applied.status->code == kExitOperator);
  CHECK(says(applied.out, "run   source: GRANT USAGE ON SCHEMA \"public\" TO \"reader\";\n"));
  CHECK(lines(applied, "FAIL").size() == 1);
  CHECK(lines(applied, "left") ==
        std::vector<std::string>{"left  1 point to a person: another user's right, a restart, or a "
                                 "choice"});
  CHECK(server.state() == before);

  const RunResult json = daemon.command({"check", "--apply", "--json"});
  CHECK(says(json.out, R"("applied":[{"place":"source","statement":"GRANT USAGE ON SCHEMA)"));
  CHECK(json.out.front() == '{');
  CHECK(daemon.command({"check", "--apply", "--offline"}).status->code == kExitUsage);
}

TEST_CASE("settings that need a restart are made, and the restart is left to a person") {
  OneServer server(
      {.settings = {{"wal_level", "replica"}, {"max_replication_slots", "1"}}, .fsync = false});
  Daemon daemon(server.folder(), server.pipeline());
  const RunResult missing = daemon.command({"check"});
  INFO(missing.out);
  CHECK(missing.status->code == kExitOperator);
  CHECK(says(missing.out, "0 of 1 replication slots are in use, and 2 more are needed"));
  CHECK(server.ask("SHOW wal_level") == "replica");

  const RunResult applied = daemon.command({"check", "--apply"});
  INFO(applied.out);
  CHECK(applied.status->code == kExitOperator);
  CHECK(says(applied.out, "run   source: ALTER SYSTEM SET wal_level = 'logical';\n      done\n"));
  CHECK(says(applied.out, "restart the server: wal_level is set, but not in force"));
  CHECK(says(applied.out, "restart the server: max_replication_slots is set, but not in force"));
  server.cluster().restart();
  CHECK(daemon.command({"check"}).status->code == kExitOk);
  daemon.start();
  daemon.wait_ready();
  CHECK(daemon.terminate().ok());
}

// Named is exactly what PostgreSQL itself refuses: each table's own UPDATE is the judge.
TEST_CASE("a publication that makes the application's updates fail is named, and only such a one") {
  const OneServer server;
  server.on_source(
      "CREATE TABLE public.keyless (id integer, t text);"
      "CREATE TABLE public.nothing (id integer PRIMARY KEY, t text);"
      "ALTER TABLE public.nothing REPLICA IDENTITY NOTHING;"
      "CREATE TABLE public.lost_index (id integer NOT NULL, t text);"
      "CREATE UNIQUE INDEX lost ON public.lost_index (id);"
      "ALTER TABLE public.lost_index REPLICA IDENTITY USING INDEX lost;"
      "DROP INDEX public.lost;"
      "CREATE TABLE public.deferred (id integer PRIMARY KEY DEFERRABLE, t text);"
      "CREATE TABLE public.whole (id integer, t text);"
      "ALTER TABLE public.whole REPLICA IDENTITY FULL;"
      "CREATE TABLE public.by_index (id integer NOT NULL, t text);"
      "CREATE UNIQUE INDEX by_index_id ON public.by_index (id);"
      "ALTER TABLE public.by_index REPLICA IDENTITY USING INDEX by_index_id;"
      "CREATE TABLE public.parts (id integer, t text) PARTITION BY RANGE (id);"
      "CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE public.listed (id integer PRIMARY KEY, t text, more text);"
      "CREATE TABLE public.listed_badly (id integer PRIMARY KEY, t text, more text);"
      "CREATE TABLE public.filtered (id integer PRIMARY KEY, t text);"
      "CREATE TABLE public.filtered_badly (id integer PRIMARY KEY, t text)");
  const std::vector<std::string> tables{"items",    "keyless",      "nothing",  "lost_index",
                                        "deferred", "whole",        "by_index", "parts",
                                        "listed",   "listed_badly", "filtered", "filtered_badly"};
  server.on_source(
      "CREATE PUBLICATION headgate_test FOR TABLE public.items, public.keyless, public.nothing, "
      "public.lost_index, public.deferred, public.whole, public.by_index, public.parts, "
      "public.listed (id, t), public.listed_badly (t), public.filtered WHERE (id > 0), "
      "public.filtered_badly WHERE (t <> 'x') WITH (publish_via_partition_root = true)");
  Daemon daemon(server.folder(), server.pipeline());
  const RunResult check = daemon.command({"check"});
  INFO(check.out + check.err);
  CHECK(check.status->code == kExitOk);  // it harms the application, not the pipeline
  const std::vector<std::string> warnings = lines(check, "warn");
  for (const std::string& table : tables) {
    INFO("table " << table);
    const std::string refused = server.refusal("UPDATE public." + table + " SET t = 'y'");
    // A partitioned table's partition is what has, or lacks, the identity.
    const std::string published = "public." + (table == "parts" ? "parts_1" : table);
    const auto named =
        std::count_if(warnings.begin(), warnings.end(), [&](const std::string& line) {
          return says(line, " " + published + " ") || says(line, " " + published + ",");
        });
    // And once more those of which only inserts are mirrored; the root of the partition is another.
    const bool keyless =
        table == "keyless" || table == "nothing" || table == "lost_index" || table == "deferred";
    CHECK(named == (refused.empty() ? 0 : 1) + (keyless ? 1 : 0));
  }
  CHECK(says(check.out, "sends only the rows of table public.filtered where (id > 0)"));
  // Each with the statement that gives it an identity.
  CHECK(says(check.out, "REPLICA IDENTITY is NOTHING): its inserts"));
  CHECK(says(check.out, "ALTER TABLE \"public\".\"nothing\" REPLICA IDENTITY DEFAULT;"));
  CHECK(says(check.out, "the index of its REPLICA IDENTITY was dropped): its inserts"));
  CHECK(says(check.out, "its primary key is DEFERRABLE): its inserts"));
  CHECK(says(check.out, "ALTER TABLE \"public\".\"deferred\" REPLICA IDENTITY FULL;"));

  server.on_source(
      "ALTER TABLE public.nothing REPLICA IDENTITY DEFAULT;"
      "ALTER TABLE public.deferred REPLICA IDENTITY FULL");
  const RunResult mended = daemon.command({"check"});
  for (const std::string& line : lines(mended, "warn")) {
    CHECK_FALSE(says(line, "public.nothing"));
    CHECK_FALSE(says(line, "public.deferred"));
  }
}

TEST_CASE("two column lists of one table are refused before the server trips over them") {
  const OneServer server;
  server.on_source(
      "CREATE PUBLICATION headgate_test FOR TABLE public.items;"
      "CREATE PUBLICATION headgate_test_append FOR TABLE public.items (id) "
      "WITH (publish = 'insert, truncate')");
  Daemon daemon(server.folder(), server.pipeline());
  const RunResult applied = daemon.command({"check", "--apply"});
  INFO(applied.out);
  CHECK(applied.status->code == kExitOk);
  CHECK(says(applied.out, "ALTER PUBLICATION \"headgate_test_append\" DROP TABLE"));
  CHECK(server.ask("SELECT count(*) FROM pg_publication_tables") == "1");
}

TEST_CASE("rows in a sink's table are named before the first copy meets them") {
  const OneServer server;
  server.on_sink(
      "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
      "INSERT INTO public.items VALUES (1, 'mine')");
  PipelineConfig config = server.pipeline();
  const RunResult refused = Daemon(server.folder(), config).command({"check"});
  CHECK(refused.status->code == kExitOperator);
  CHECK(says(refused.out, "table public.items holds rows already"));
  config.more = "snapshot: { existing: replace }\n";
  const RunResult replaced = Daemon(server.folder(), config, "replace").command({"check"});
  INFO(replaced.out);
  CHECK(replaced.status->code == kExitOk);
}

TEST_CASE("a slot of another kind is refused with what to do about it") {
  const OneServer server;
  server.on_source("CREATE DATABASE other");
  PgSession other(server.cluster().conninfo("other"));
  const auto refused = [&](const std::string& words) {
    const RunResult result = Daemon(server.folder(), server.pipeline()).command({"check"});
    INFO(result.out);
    CHECK(result.status->code == kExitOperator);
    CHECK(says(result.out, words));
    CHECK(says(result.out, "name another slot in source.slot"));
  };
  SECTION("physical") {
    server.on_source("SELECT pg_create_physical_replication_slot('headgate_test')");
    refused("is not a pgoutput slot of database postgres");
  }
  SECTION("of another database") {
    other.execute("SELECT pg_create_logical_replication_slot('headgate_test', 'pgoutput')");
    refused("is not a pgoutput slot of database postgres");
  }
  SECTION("temporary") {
    PgSession holder(server.cluster().conninfo());
    holder.execute("SELECT pg_create_logical_replication_slot('headgate_test', 'pgoutput', true)");
    refused("is temporary");
  }
  SECTION("two-phase") {
    server.on_source(
        "SELECT pg_create_logical_replication_slot('headgate_test', 'pgoutput', false, true)");
    refused("was made with TWO_PHASE");
  }
}

TEST_CASE("walsenders that are all in use are named, and waited for") {
  const OneServer server({.settings = {{"max_wal_senders", "1"}}, .fsync = false});
  PgSession holder(server.cluster().conninfo() + " replication=database");
  Daemon daemon(server.folder(), server.pipeline());
  const RunResult check = daemon.command({"check"});
  INFO(check.out + check.err);
  CHECK(check.status->code == kExitUnavailable);
  CHECK(says(check.out, "all 1 walsenders are in use (max_wal_senders)"));
}

TEST_CASE("a database in SQL_ASCII is warned of on both sides") {
  const OneServer server;
  for (const char* name : {"from_here", "to_here"}) {
    server.on_source(std::string("CREATE DATABASE ") + name +
                     " ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0");
  }
  PgSession(server.cluster().conninfo("from_here"))
      .execute("CREATE TABLE public.items (id integer PRIMARY KEY)");
  PipelineConfig config = server.pipeline();
  config.source_dsn = server.cluster().conninfo("from_here");
  config.sinks = {postgres_sink("report", server.cluster().conninfo("to_here"))};
  const RunResult check = Daemon(server.folder(), config).command({"check"});
  INFO(check.out + check.err);
  CHECK(lines(check, "warn").size() == 2);
  CHECK(says(check.out, "source: the database's encoding is SQL_ASCII"));
  CHECK(says(check.out, "sink report: the database's encoding is SQL_ASCII"));
}

TEST_CASE("what a slot's creation waits for is found, prepared transactions too") {
  const OneServer server({.settings = {{"max_prepared_transactions", "2"}}, .fsync = false});
  pq::ConnectOptions options;
  options.conninfo = server.cluster().conninfo();
  options.role = "source";
  pq::Connection connection(options);
  CHECK(source::postgres::slot_blockers(connection, 0s).empty());

  PgSession idle(server.cluster().conninfo() + " application_name=billing");
  idle.execute("BEGIN");
  idle.execute("SELECT * FROM public.items");
  CHECK(source::postgres::slot_blockers(connection, 0s).empty());  // has written nothing
  idle.execute("INSERT INTO public.items VALUES (100, 'open')");
  idle.execute("SAVEPOINT a");
  idle.execute("INSERT INTO public.items VALUES (101, 'open')");
  PgSession prepared(server.cluster().conninfo());
  prepared.execute("BEGIN");
  prepared.execute("INSERT INTO public.items VALUES (102, 'open')");
  prepared.execute("PREPARE TRANSACTION 'forgotten'");

  const auto blockers = source::postgres::slot_blockers(connection, 0s);
  REQUIRE(blockers.size() == 2);
  CHECK(says(blockers[0], "billing, user postgres"));
  CHECK(says(blockers[0], "idle in transaction"));
  CHECK(says(blockers[1], "prepared transaction 'forgotten' of postgres"));
  CHECK(source::postgres::slot_blockers(connection, 1h).empty());
}
