// From nothing to a live copy in two sinks at once, and on after a restart.

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/order_schema.hpp"
#include "demo/order_workload.hpp"
#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/sqlite_file.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kKinds = R"sql(
CREATE TABLE public.kinds (
  id integer PRIMARY KEY, b boolean, i bigint, r real, d double precision, n numeric, t text,
  c char(6), y bytea, z timestamptz, j jsonb, a int[], u uuid, v interval, "Select" text,
  g integer GENERATED ALWAYS AS (id * 2) STORED);
ALTER TABLE public.kinds ADD COLUMN gone text;
ALTER TABLE public.kinds DROP COLUMN gone;
CREATE TABLE public.parents (id integer PRIMARY KEY, name text);
CREATE TABLE public.children (
  parent integer REFERENCES public.parents, no integer, PRIMARY KEY (parent, no));
CREATE TABLE public.empty (id bigint PRIMARY KEY, t text);
)sql";

// One row of every special value for each `id` range, so that the copy and the stream both carry
// them.
std::string kinds_rows(int from) {
  const auto id = [&](int offset) { return std::to_string(from + offset); };
  return "INSERT INTO public.kinds VALUES (" + id(0) +
         ", true, -9223372036854775808, 1.1, 0.1, 12.340, '', 'ab', '\\x00ff', "
         "'2024-02-29 23:59:59.999999+02', '{\"a\": [1, null]}', '{1,NULL}', "
         "'6b4c2f0e-6f3b-4f2a-9a43-0d8f5d2f9a10', '1 mon 2 days 03:04:05', 'x'), (" +
         id(1) +
         ", false, 9223372036854775807, 1e20, 1e15, 1e-20, E'a\\tb\\n\\\\', NULL, '', 'infinity', "
         "'null', '{}', NULL, NULL, NULL), (" +
         id(2) +
         ", NULL, 0, 1e-5, '-0', 'NaN', 'ü\"''', '', NULL, '0001-01-01 00:00:00+00', NULL, NULL, "
         "NULL, NULL, ''), (" +
         id(3) +
         ", NULL, NULL, 'NaN', '-Infinity', 0.00, NULL, NULL, NULL, "
         "'9999-12-31 23:59:59.999999+00', NULL, '{}', NULL, NULL, NULL), (" +
         id(4) +
         std::string(
             ", NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, "
             "NULL, NULL)");
}

std::vector<std::string> all_tables() {
  std::vector<std::string> tables = order_tables();
  tables.insert(tables.end(),
                {"public.kinds", "public.parents", "public.children", "public.empty"});
  return tables;
}

// Statements that each are a transaction of their own; what the workload does not do.
void change_by_hand(PgSession& source) {
  source.execute(kinds_rows(100));
  source.execute("UPDATE public.kinds SET id = id + 1000 WHERE id = 100");
  source.execute("UPDATE public.kinds SET t = 'changed', \"Select\" = NULL WHERE id = 101");
  source.execute("DELETE FROM public.kinds WHERE id = 102");
  source.execute("BEGIN; INSERT INTO public.kinds (id) VALUES (555); ROLLBACK");
  source.execute(
      "BEGIN; DELETE FROM public.kinds WHERE id = 1; INSERT INTO public.kinds (id, t) "
      "VALUES (1, 'again'); SAVEPOINT s; DELETE FROM public.kinds; ROLLBACK TO s; COMMIT");
  // Keys that change places within one statement or one transaction.
  source.execute(
      "BEGIN; UPDATE public.kinds SET id = -1 WHERE id = 2; "
      "UPDATE public.kinds SET id = 2 WHERE id = 3; "
      "UPDATE public.kinds SET id = 3 WHERE id = -1; COMMIT");
  source.execute("INSERT INTO public.parents SELECT i, 'p' || i FROM generate_series(1, 50) i");
  source.execute("INSERT INTO public.children SELECT i % 50 + 1, i FROM generate_series(1, 500) i");
  source.execute("TRUNCATE public.parents, public.children");
  source.execute(
      "BEGIN; INSERT INTO public.parents VALUES (1, 'first'); TRUNCATE public.parents "
      "CASCADE; INSERT INTO public.parents VALUES (2, 'second'), (3, 'third'); "
      "INSERT INTO public.children VALUES (2, 1), (3, 1); COMMIT");
  source.execute("BEGIN; TRUNCATE public.kinds; ROLLBACK");
}

}  // namespace

// Rows from before the first start, then live changes of every sort, into SQLite and PostgreSQL at
// once; then a clean stop, changes while nobody looks, and a second start, which must go on from
// its position: a row that only the sinks have would not survive a second copy.
TEST_CASE("a first mirror is complete, follows live changes, and goes on after a restart") {
  MirrorSetup setup(
      {"shop.*", "public.kinds", "public.parents", "public.children", "public.empty"});
  OrderWorkload workload({.conninfo = setup.source().conninfo(), .seed = 11});
  workload.create_schema();
  PgSession source(setup.source().conninfo());
  source.execute(kKinds);
  source.execute(kinds_rows(1));
  workload.start();
  wait_until("rows before the first start", 60s,
             [&] { return workload.counters().committed >= 500; });

  setup.daemon().start();
  setup.daemon().wait_ready();
  change_by_hand(source);
  const auto before = workload.counters().committed;
  wait_until("live changes", 60s, [&] { return workload.counters().committed >= before + 1000; });
  workload.stop();
  setup.catch_up();
  CHECK(setup.differences(all_tables()) == "");

  const RunResult status = setup.daemon().command({"status", "--json"});
  INFO(status.err);
  CHECK(status.ok());
  CHECK(status.out.find("\"ready\"") != std::string::npos);
  CHECK(setup.daemon().terminate().ok());

  SqliteFile(setup.sqlite_path()).execute("INSERT INTO parents VALUES (-7, 'only here')");
  PgSession(setup.sink().conninfo()).execute("INSERT INTO parents VALUES (-7, 'only here')");
  workload.start();
  const auto stopped_at = workload.counters().committed;
  wait_until("changes while the daemon is down", 60s,
             [&] { return workload.counters().committed >= stopped_at + 300; });
  source.execute("UPDATE public.kinds SET t = 'while down'");
  setup.daemon().start();
  setup.daemon().wait_ready();
  workload.stop();
  setup.catch_up();
  CHECK(SqliteFile(setup.sqlite_path()).value("SELECT name FROM parents WHERE id = -7") ==
        "only here");
  CHECK(PgSession(setup.sink().conninfo()).value("SELECT name FROM parents WHERE id = -7") ==
        "only here");
  SqliteFile(setup.sqlite_path()).execute("DELETE FROM parents WHERE id = -7");
  PgSession(setup.sink().conninfo()).execute("DELETE FROM parents WHERE id = -7");
  CHECK(setup.differences(all_tables()) == "");
  CHECK(SqliteFile(setup.sqlite_path()).query(order_invariant_sqlite()).empty());
  CHECK(PgSession(setup.sink().conninfo()).query(order_invariant_postgres()).empty());
  CHECK(setup.daemon().terminate().ok());
}

// `run --until now` is a copy that ends by itself: it exits 0 when all that was committed at its
// start is in every sink.
TEST_CASE("run --until now stops by itself with everything applied") {
  MirrorSetup setup({"public.items"});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
      "INSERT INTO public.items SELECT i, 't' || i FROM generate_series(1, 5000) i");
  setup.daemon().start({"--until", "now"});
  CHECK(setup.daemon().wait_exit().ok());
  CHECK(setup.differences({"public.items"}) == "");

  source.execute(
      "UPDATE public.items SET t = 'later' WHERE id % 2 = 0; "
      "DELETE FROM public.items WHERE id % 5 = 0");
  setup.daemon().start({"--until", "now"});
  CHECK(setup.daemon().wait_exit().ok());
  INFO(setup.daemon().log_end());
  CHECK(setup.differences({"public.items"}) == "");
}

// The replica identities other than the primary key: all columns, and a unique index.
TEST_CASE("tables with replica identity full or by index are mirrored") {
  MirrorSetup setup({"public.by_all", "public.by_index"});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.by_all (id integer PRIMARY KEY, t text, n numeric);"
      "ALTER TABLE public.by_all REPLICA IDENTITY FULL;"
      "CREATE TABLE public.by_index (id integer PRIMARY KEY, code text NOT NULL UNIQUE, t text);"
      "ALTER TABLE public.by_index REPLICA IDENTITY USING INDEX by_index_code_key;"
      "INSERT INTO public.by_all SELECT i, 't' || i, i / 7.0 FROM generate_series(1, 20) i;"
      "INSERT INTO public.by_index SELECT i, 'c' || i, 't' || i FROM generate_series(1, 20) i");
  setup.daemon().start();
  setup.daemon().wait_ready();
  for (const char* table : {"by_all", "by_index"}) {
    const std::string name = table;
    source.execute("UPDATE public." + name + " SET t = NULL WHERE id % 2 = 0");
    source.execute("DELETE FROM public." + name + " WHERE id % 5 = 0");
    source.execute("UPDATE public." + name + " SET id = id + 100 WHERE id % 7 = 0");
  }
  source.execute("UPDATE public.by_index SET code = 'other' WHERE id = 1");
  setup.catch_up();
  CHECK(setup.differences({"public.by_all", "public.by_index"}) == "");
}
