// Tables whose rows nothing identifies: by policy their inserts are mirrored, or they are refused.
// Either way the application's own statements work as before (I10).

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/sqlite_file.hpp"

using namespace headgate;
using namespace headgate::demo;
using namespace headgate::test;

namespace {

// The values of the only column, in order, as one text.
std::string in_file(const MirrorSetup& setup, const std::string& expression,
                    const std::string& table) {
  return SqliteFile(setup.sqlite_path())
      .value("SELECT group_concat(v, ' ') FROM (SELECT " + expression + " AS v FROM " +
             quote_identifier(table) + " ORDER BY v)");
}

std::string in_server(const std::string& conninfo, const std::string& expression,
                      const std::string& table) {
  return PgSession(conninfo).value(
      "SELECT string_agg(v, ' ' ORDER BY v COLLATE \"C\") FROM (SELECT " + expression +
      " AS v FROM " + quote_identifier(table) + ") AS a");
}

void check_shows(MirrorSetup& setup, const std::string& expression, const std::string& table,
                 const std::string& expected) {
  INFO(table);
  CHECK(in_file(setup, expression, table) == expected);
  CHECK(in_server(setup.sink().conninfo(), expression, table) == expected);
}

}  // namespace

TEST_CASE(
    "of a table without a key the inserts are mirrored, and the application may do as before") {
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.log (v text);"
      // A unique index that may hold NULL identifies nothing, but ON CONFLICT can name it.
      "CREATE TABLE public.counted (k text UNIQUE, v text);"
      "CREATE TABLE public.nothing (id integer PRIMARY KEY, v text);"
      "ALTER TABLE public.nothing REPLICA IDENTITY NOTHING;"
      "CREATE TABLE public.deferred (id integer PRIMARY KEY DEFERRABLE, v text);"
      "INSERT INTO public.log VALUES ('a'), ('a'), (NULL);"
      "INSERT INTO public.counted VALUES ('k', 'a');"
      "INSERT INTO public.nothing VALUES (1, 'a');"
      "INSERT INTO public.deferred VALUES (1, 'a')");
  setup.daemon().start();
  setup.daemon().wait_ready();

  // Each of them would fail in a publication that publishes updates.
  source.execute("UPDATE public.log SET v = 'changed' WHERE v = 'a'");
  source.execute("DELETE FROM public.log WHERE v IS NULL");
  source.execute("INSERT INTO public.log VALUES ('b'), ('b')");
  source.execute(
      "INSERT INTO public.counted VALUES ('k', 'b'), ('l', 'c') "
      "ON CONFLICT (k) DO UPDATE SET v = EXCLUDED.v");
  source.execute(
      "INSERT INTO public.counted VALUES ('l', 'd') ON CONFLICT (k) DO UPDATE SET v = 'd'");
  source.execute("INSERT INTO public.counted VALUES ('l', 'e') ON CONFLICT DO NOTHING");
  source.execute("UPDATE public.nothing SET v = 'b'; INSERT INTO public.nothing VALUES (2, 'c')");
  source.execute(
      "DELETE FROM public.nothing WHERE id = 1; INSERT INTO public.nothing VALUES (1, 'd')");
  source.execute("UPDATE public.deferred SET v = 'b'; INSERT INTO public.deferred VALUES (2, 'c')");
  source.execute("DELETE FROM public.deferred WHERE id = 1");
  setup.catch_up();

  check_shows(setup, "coalesce(v, 'NULL')", "log", "NULL a a b b");
  check_shows(setup, "k || v", "counted", "ka lc");
  check_shows(setup, "id || v", "nothing", "1a 1d 2c");
  check_shows(setup, "id || v", "deferred", "1a 2c");

  const std::string log = setup.daemon().log();
  for (const std::string table : {"log", "counted", "nothing", "deferred"}) {
    CHECK(log.find("table public." + table + " has no usable key") != std::string::npos);
  }
}

TEST_CASE("a table without a key is refused where the policy says so, and nothing is made") {
  MirrorSetup setup({"public.*"}, {.more = "keyless: refuse\n"});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.log (v text); CREATE TABLE public.good (id integer PRIMARY KEY);"
      "CREATE TABLE public.whole (v text); ALTER TABLE public.whole REPLICA IDENTITY FULL;"
      "CREATE TABLE public.nothing (id integer PRIMARY KEY);"
      "ALTER TABLE public.nothing REPLICA IDENTITY NOTHING");
  setup.daemon().start();
  CHECK(setup.daemon().wait_exit().code == kExitOperator);

  const RunResult check = setup.daemon().command({"check"});
  INFO(check.out << check.err);
  CHECK(check.out.find("table public.log has no primary key") != std::string::npos);
  CHECK(check.out.find("table public.nothing has no primary key") != std::string::npos);
  CHECK(check.out.find("table public.whole has no") == std::string::npos);
  CHECK(check.out.find("table public.good has no") == std::string::npos);
  CHECK(source.value("SELECT count(*) FROM pg_publication") == "0");
  CHECK(source.value("SELECT count(*) FROM pg_replication_slots") == "0");
  source.execute("INSERT INTO public.log VALUES ('a'); UPDATE public.log SET v = 'b'");
}

// The server itself then refuses updates and deletes of the table, at once and by name, until it
// has an identity again. What reaches the log is mirrored all the while.
TEST_CASE("a table may lose its key and find another identity while the pipeline runs") {
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.items (id integer CONSTRAINT items_key PRIMARY KEY, v text);"
      "INSERT INTO public.items SELECT i, 'v' || i FROM generate_series(1, 9) i");
  setup.daemon().start();
  setup.daemon().wait_ready();

  source.execute("ALTER TABLE public.items DROP CONSTRAINT items_key");
  source.execute("INSERT INTO public.items VALUES (10, 'without a key')");
  CHECK_THROWS_AS(source.execute("UPDATE public.items SET v = 'x' WHERE id = 1"), PgError);
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");

  source.execute("ALTER TABLE public.items REPLICA IDENTITY FULL");
  source.execute("UPDATE public.items SET v = 'by the whole row' WHERE id < 4");
  source.execute("DELETE FROM public.items WHERE id = 9");
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");

  source.execute("ALTER TABLE public.items ADD CONSTRAINT items_key PRIMARY KEY (id)");
  source.execute("ALTER TABLE public.items REPLICA IDENTITY DEFAULT");
  source.execute("UPDATE public.items SET id = id + 100 WHERE id < 6");
  source.execute("UPDATE public.items SET v = 'by its key' WHERE id > 102");
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
}
