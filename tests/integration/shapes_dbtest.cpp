// Tables of every shape: columns that are computed, dropped, listed or many; rows that a
// publication filters; what is no table at all.

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

// What a query shows at the source, and another one in both sinks.
void check_same(MirrorSetup& setup, const std::string& at_source, const std::string& in_sinks) {
  INFO(at_source);
  const TextRows expected = PgSession(setup.source().conninfo()).query(at_source);
  CHECK(SqliteFile(setup.sqlite_path()).query(in_sinks) == expected);
  CHECK(PgSession(setup.sink().conninfo()).query(in_sinks) == expected);
}

// `count` columns, each made of `format` with # for its number.
std::string columns(int count, const std::string& format) {
  std::string list;
  for (int i = 1; i <= count; ++i) {
    std::string column = format;
    column.replace(column.find('#'), 1, std::to_string(i));
    list += (list.empty() ? "" : ", ") + column;
  }
  return list;
}

}  // namespace

TEST_CASE("generated and dropped columns, identities, defaults and checks of the source") {
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.computed (first integer GENERATED ALWAYS AS (id * 2) STORED, id integer "
      "  PRIMARY KEY, v text, middle text GENERATED ALWAYS AS (upper(v)) STORED, w text, "
      "  last integer GENERATED ALWAYS AS (length(w)) STORED);"
      "CREATE TABLE public.dropped (gone_1 integer, a integer, gone_2 text, b integer, v text, "
      "  gone_3 text, PRIMARY KEY (b, a));"
      "INSERT INTO public.dropped SELECT i, i, 'gone', i, 'v', 'gone' FROM generate_series(1, 9) i;"
      "ALTER TABLE public.dropped DROP COLUMN gone_1, DROP COLUMN gone_2, DROP COLUMN gone_3;"
      "CREATE TABLE public.numbered (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "
      "  s serial, d date DEFAULT '2026-01-01', n integer DEFAULT 7 CHECK (n > 0), "
      "  r text NOT NULL DEFAULT 'x', u uuid DEFAULT gen_random_uuid());"
      "CREATE TABLE public.checked (id integer PRIMARY KEY, a integer, b integer, "
      "  CHECK (a < b), EXCLUDE USING gist (int4range(a, b) WITH &&));"
      "CREATE TABLE public.references_itself (id integer PRIMARY KEY, parent integer REFERENCES "
      "  public.references_itself DEFERRABLE INITIALLY DEFERRED, UNIQUE (parent, id));"
      "INSERT INTO public.computed (id, v, w) VALUES (1, 'a', 'b'), (2, NULL, NULL);"
      "INSERT INTO public.numbered DEFAULT VALUES");
  setup.daemon().start();
  setup.daemon().wait_ready();
  source.execute("INSERT INTO public.computed (id, v, w) VALUES (3, 'x', 'yz')");
  source.execute("UPDATE public.computed SET v = 'new', id = id + 10 WHERE id < 3");
  source.execute(
      "UPDATE public.dropped SET v = 'new' WHERE a < 4; DELETE FROM public.dropped WHERE a = 9");
  source.execute(
      "UPDATE public.dropped SET a = a + 100 WHERE b > 5; INSERT INTO public.dropped VALUES (0, "
      "0)");
  source.execute(
      "INSERT INTO public.numbered DEFAULT VALUES; INSERT INTO public.numbered (n, d) VALUES (1, "
      "NULL);"
      "UPDATE public.numbered SET n = n + 1; DELETE FROM public.numbered WHERE id = 1");
  source.execute(
      "INSERT INTO public.checked VALUES (1, 1, 5), (2, 5, 9); UPDATE public.checked SET b = 4 "
      "WHERE "
      "id = 1; UPDATE public.checked SET a = 4 WHERE id = 2");
  source.execute(
      "INSERT INTO public.references_itself VALUES (2, 1), (1, NULL);"
      "UPDATE public.references_itself SET parent = NULL; DELETE FROM public.references_itself");
  setup.catch_up();
  CHECK(setup.differences({"public.computed", "public.dropped", "public.numbered", "public.checked",
                           "public.references_itself"}) == "");
}

// A table of the sink's own may hold its key as an identity that takes no value but by OVERRIDING.
TEST_CASE("an identity column of the PostgreSQL sink takes the source's numbers") {
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.items (id integer PRIMARY KEY, big text, n integer);"
      "ALTER TABLE public.items ALTER big SET STORAGE EXTERNAL;"
      "INSERT INTO public.items SELECT i, repeat('x', 5000), 0 FROM generate_series(1, 3) i");
  PgSession(setup.sink().conninfo())
      .execute(
          "CREATE TABLE public.items (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, big "
          "text, "
          "n integer)");
  setup.daemon().start();
  setup.daemon().wait_ready();
  source.execute("UPDATE public.items SET n = 1");  // without `big`, which stays
  source.execute("UPDATE public.items SET n = 2, big = 'y' WHERE id = 2");
  source.execute(
      "INSERT INTO public.items VALUES (77, 'z', 0); DELETE FROM public.items WHERE id = 3");
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
}

TEST_CASE("as many columns as PostgreSQL can have") {
  constexpr int kColumns = 1600;
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  source.execute("CREATE TABLE public.wide (id integer PRIMARY KEY, big text, " +
                 columns(kColumns - 2, "c# integer") +
                 "); ALTER TABLE public.wide ALTER big SET STORAGE EXTERNAL;"
                 "CREATE TABLE public.wide_keyless (" +
                 columns(kColumns, "c# integer") +
                 "); ALTER TABLE public.wide_keyless REPLICA IDENTITY FULL;"
                 "CREATE TABLE public.wide_key (" +
                 columns(kColumns, "c# integer") + ", PRIMARY KEY (" + columns(32, "c#") + "));");
  const auto insert = [&](const std::string& table, int key) {
    source.execute("INSERT INTO public." + table + " SELECT " + std::to_string(key) + ", " +
                   (table == "wide" ? "repeat('x', 5000), " : "0, ") +
                   columns(kColumns - 2, "CASE WHEN i % 2 = 0 THEN # END") +
                   " FROM generate_series(1, 1) i");
  };
  for (const std::string table : {"wide", "wide_keyless"}) {
    insert(table, 1);
    insert(table, 2);
  }
  const auto insert_key = [&](int key) {
    source.execute("INSERT INTO public.wide_key SELECT " +
                   columns(kColumns, std::to_string(key) + " + #"));
  };
  insert_key(1);
  insert_key(2);
  setup.daemon().start();
  setup.daemon().wait_ready();
  insert("wide", 3);
  insert("wide_keyless", 2);
  insert_key(3);
  source.execute("UPDATE public.wide SET c5 = 5 WHERE id = 1");
  source.execute("UPDATE public.wide SET id = 20, c1598 = NULL WHERE id = 2");
  source.execute("UPDATE public.wide_keyless SET c1600 = 7 WHERE c1 = 1");
  source.execute(
      "DELETE FROM public.wide_keyless WHERE ctid = (SELECT min(ctid) FROM public.wide_keyless "
      "WHERE c1 = 2)");
  source.execute("UPDATE public.wide_key SET c32 = 0, c1600 = NULL WHERE c1 = 2");
  source.execute("DELETE FROM public.wide_key WHERE c1 = 3");
  setup.catch_up();
  CHECK(setup.differences({"public.wide", "public.wide_key"}) == "");
  // Too wide to be sorted by all of its columns.
  for (const std::string more : {"c2, c3, c4, c1599", "c800, c801"}) {
    check_same(setup, "SELECT c1, c1600, " + more + " FROM public.wide_keyless ORDER BY c1",
               "SELECT c1, c1600, " + more + " FROM wide_keyless ORDER BY c1");
  }
}

TEST_CASE("types of extensions, with and without the extension in the sink") {
  const bool in_sink = GENERATE(false, true);
  INFO("in the sink: " << in_sink);
  const std::string extensions =
      "CREATE EXTENSION citext; CREATE EXTENSION hstore; CREATE EXTENSION ltree;"
      "CREATE EXTENSION isn; CREATE EXTENSION cube";
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  source.execute(extensions);
  if (in_sink) {
    PgSession(setup.sink().conninfo()).execute(extensions);
  }
  source.execute(
      "CREATE TABLE public.extended (id integer PRIMARY KEY, c citext, h hstore, l ltree, i "
      "isbn13, "
      "  q cube, a citext[]);"
      "CREATE TABLE public.extended_keyless (c citext, h hstore, l ltree, q cube);"
      "ALTER TABLE public.extended_keyless REPLICA IDENTITY FULL;"
      "CREATE TABLE public.by_citext (c citext PRIMARY KEY, v text);"
      "CREATE TABLE public.by_path (l ltree PRIMARY KEY, v text)");
  const auto insert = [&](int id) {
    const std::string n = std::to_string(id);
    source.execute(
        "INSERT INTO public.extended VALUES (" + n +
        ", 'MiXed', 'a=>1, \"b c\"=>NULL', 'Top.Sub', '978-0-393-04002-9', '(1,2),(3,4)', "
        "'{A,NULL}'), (-" +
        n +
        ", NULL, '', '', NULL, NULL, NULL);"
        "INSERT INTO public.extended_keyless VALUES ('x', 'a=>" +
        n +
        "', 'a.b', '(1)'), "
        "('X', 'a=>" +
        n +
        "', 'a.b', '(1)'), (NULL, NULL, NULL, NULL);"
        "INSERT INTO public.by_citext VALUES ('Key" +
        n +
        "', 'v');"
        "INSERT INTO public.by_path VALUES ('a.b" +
        n + "', 'v')");
  };
  insert(1);
  setup.daemon().start();
  setup.daemon().wait_ready();
  insert(2);
  source.execute("UPDATE public.extended SET h = h || 'z=>9', c = 'lower' WHERE id > 0");
  source.execute("DELETE FROM public.extended_keyless WHERE c::text = 'X' AND h = 'a=>1'");
  source.execute("UPDATE public.extended_keyless SET l = 'moved' WHERE c::text = 'x'");
  source.execute("UPDATE public.by_citext SET c = lower(c) WHERE c = 'key1'");
  source.execute("UPDATE public.by_citext SET v = 'new' WHERE c = 'key2'");
  source.execute("UPDATE public.by_path SET v = 'new' WHERE l = 'a.b1'");
  source.execute("DELETE FROM public.by_path WHERE l = 'a.b2'");
  setup.catch_up();
  CHECK(setup.differences({"public.extended", "public.extended_keyless", "public.by_citext",
                           "public.by_path"}) == "");
}

TEST_CASE("a pattern takes tables only, and no pattern takes what is in no log") {
  MirrorSetup setup({"public.*", "!public.fast"});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.items (id integer PRIMARY KEY); INSERT INTO public.items VALUES (1);"
      "CREATE VIEW public.seen AS SELECT * FROM public.items;"
      "CREATE MATERIALIZED VIEW public.kept AS SELECT * FROM public.items;"
      "CREATE SEQUENCE public.numbers; CREATE INDEX items_index ON public.items (id);"
      "CREATE TYPE public.pair AS (a integer, b integer);"
      "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
      "CREATE FOREIGN TABLE public.elsewhere (id integer) SERVER files OPTIONS (filename "
      "'/dev/null');"
      "CREATE UNLOGGED TABLE public.fast (id integer PRIMARY KEY)");
  PgSession temporary(setup.source().conninfo());
  temporary.execute("CREATE TEMPORARY TABLE passing (id integer PRIMARY KEY)");
  setup.daemon().start();
  setup.daemon().wait_ready();
  source.execute(
      "INSERT INTO public.items VALUES (2); REFRESH MATERIALIZED VIEW public.kept; "
      "INSERT INTO public.fast VALUES (1); SELECT nextval('public.numbers')");
  temporary.execute("INSERT INTO passing VALUES (1)");
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK(SqliteFile(setup.sqlite_path())
            .value("SELECT group_concat(name) FROM (SELECT name FROM sqlite_schema WHERE type = "
                   "'table' AND name NOT LIKE 'headgate%' ORDER BY name)") == "items,sync_marker");

  PipelineConfig config = setup.config();
  config.pipeline = "named";
  config.tables = {"public.items", "public.seen", "public.elsewhere", "public.fast",
                   "public.empty"};
  source.execute("CREATE TABLE public.empty ()");
  const RunResult check = Daemon(setup.folder(), config, "named").command({"check"});
  INFO(check.out);
  CHECK(check.status->code == kExitOperator);
  CHECK(check.out.find("table public.seen does not exist") != std::string::npos);
  CHECK(check.out.find("table public.elsewhere does not exist") != std::string::npos);
  CHECK(check.out.find("table public.fast is unlogged") != std::string::npos);
  CHECK(check.out.find("table public.empty has no columns") != std::string::npos);
}

TEST_CASE("column lists and row filters of a publication hold for copy and stream") {
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.listed (secret text, id integer PRIMARY KEY, kept text, other text);"
      "CREATE TABLE public.filtered (id integer PRIMARY KEY, region text, v text);"
      "ALTER TABLE public.filtered ALTER v SET STORAGE EXTERNAL;"
      "ALTER TABLE public.filtered REPLICA IDENTITY FULL;"
      "CREATE TABLE public.both (a integer, b integer, v text, hidden text, PRIMARY KEY (b, a));"
      "CREATE TABLE public.parted (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id);"
      "CREATE TABLE public.parted_1 PARTITION OF public.parted FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE public.parted_2 PARTITION OF public.parted FOR VALUES FROM (10) TO (1000);"
      "CREATE PUBLICATION headgate_test FOR TABLE public.listed (kept, id), "
      "  public.filtered WHERE (region = 'eu' OR region = 'it''s'), "
      "  public.both (a, b, v) WHERE (a > 10 AND b < 100), "
      "  public.parted WHERE (id % 2 = 0), public.sync_marker "
      "  WITH (publish_via_partition_root = true);"
      "INSERT INTO public.listed SELECT 's', i, 'k' || i, 'o' FROM generate_series(1, 9) i;"
      "INSERT INTO public.filtered SELECT i, (ARRAY['eu', 'us', NULL, 'it''s'])[i % 4 + 1], "
      "  repeat(i::text, 5000) FROM generate_series(1, 40) i;"
      "INSERT INTO public.both SELECT i, i, 'v', 'h' FROM generate_series(1, 200) i;"
      "INSERT INTO public.parted SELECT i, 'v' FROM generate_series(1, 20) i");
  setup.daemon().start();
  setup.daemon().wait_ready();
  const auto check_all = [&] {
    check_same(setup, "SELECT id, kept FROM public.listed ORDER BY id",
               "SELECT id, kept FROM listed ORDER BY id");
    check_same(
        setup,
        "SELECT id, region, v FROM public.filtered WHERE region IN ('eu', 'it''s') ORDER BY id",
        "SELECT id, region, v FROM filtered ORDER BY id");
    check_same(setup, "SELECT a, b, v FROM public.both WHERE a > 10 AND b < 100 ORDER BY a, b",
               "SELECT a, b, v FROM \"both\" ORDER BY a, b");
    check_same(setup, "SELECT id, v FROM public.parted WHERE id % 2 = 0 ORDER BY id",
               "SELECT id, v FROM parted ORDER BY id");
  };
  check_all();
  CHECK(SqliteFile(setup.sqlite_path())
            .value("SELECT group_concat(name) FROM pragma_table_info('listed')") == "id,kept");

  source.execute(
      "UPDATE public.listed SET secret = 'x'; UPDATE public.listed SET kept = 'new', other = "
      "'y' WHERE id < 4; UPDATE public.listed SET id = id + 100 WHERE id = 5");
  source.execute(
      "INSERT INTO public.listed VALUES ('s', 50, 'k', 'o'); DELETE FROM public.listed WHERE id = "
      "1");
  // In and out, with a large value that is not sent again, back and forth.
  source.execute("UPDATE public.filtered SET region = 'eu' WHERE id BETWEEN 5 AND 12");
  source.execute("UPDATE public.filtered SET region = 'us' WHERE id BETWEEN 8 AND 20");
  source.execute(
      "UPDATE public.filtered SET region = NULL, id = id + 100 WHERE id BETWEEN 18 AND 22");
  source.execute("UPDATE public.filtered SET region = 'it''s', id = id + 1000 WHERE id > 100");
  source.execute("DELETE FROM public.filtered WHERE id % 5 = 0");
  source.execute("UPDATE public.both SET a = a - 10 WHERE b < 30");
  source.execute("UPDATE public.both SET b = b + 50, a = a + 5 WHERE b BETWEEN 40 AND 120");
  source.execute("DELETE FROM public.both WHERE b % 7 = 0");
  source.execute("UPDATE public.parted SET id = id + 101");
  source.execute(
      "UPDATE public.parted SET v = 'new' WHERE id > 108; DELETE FROM public.parted WHERE id = "
      "112");
  setup.catch_up();
  check_all();
  source.execute(
      "TRUNCATE public.filtered; INSERT INTO public.filtered VALUES (1, 'eu', 'x'), (2, 'us', "
      "'y')");
  setup.catch_up();
  check_all();
}

// The server then sends an insert, but of a large value that the update left alone only that it is
// as it was: nobody but the source has it.
TEST_CASE("a row that a key change moves into a filter does not arrive without its large values") {
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.filtered (id integer PRIMARY KEY, v text);"
      "ALTER TABLE public.filtered ALTER v SET STORAGE EXTERNAL;"
      "CREATE PUBLICATION headgate_test FOR TABLE public.filtered WHERE (id > 100), "
      "  public.sync_marker WITH (publish_via_partition_root = true);"
      "INSERT INTO public.filtered VALUES (1, repeat('x', 5000)), (101, repeat('y', 5000))");
  setup.daemon().start();
  setup.daemon().wait_ready();
  source.execute("UPDATE public.filtered SET id = 102 WHERE id = 101");  // within the filter
  setup.catch_up();
  CHECK(setup.differences({}) == "");
  const std::string lengths = "SELECT id, length(v) FROM filtered ORDER BY id";
  CHECK(SqliteFile(setup.sqlite_path()).query(lengths) == TextRows{{"102", "5000"}});
  CHECK(PgSession(setup.sink().conninfo()).query(lengths) == TextRows{{"102", "5000"}});

  source.execute("UPDATE public.filtered SET id = 201 WHERE id = 1");
  CHECK_FALSE(setup.daemon().wait_exit().ok());
  CHECK(setup.daemon().log().find("column v: the source did not send") != std::string::npos);
  CHECK(SqliteFile(setup.sqlite_path()).query(lengths) == TextRows{{"102", "5000"}});
  CHECK(PgSession(setup.sink().conninfo()).query(lengths) == TextRows{{"102", "5000"}});
}
