// TRUNCATE in all its forms, applied as DELETE of all rows or, by option, as the sink's own.

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "mirror_scenarios.hpp"
#include "support/sqlite_file.hpp"

using namespace headgate::demo;
using namespace headgate::test;

namespace {

std::string table(const std::string& name, const std::string& key = " PRIMARY KEY") {
  return "CREATE TABLE @." + name + " (id integer" + key + ", v text);INSERT INTO @." + name +
         " SELECT i, 'v' || i FROM generate_series(1, 20) i;";
}

std::string insert(const std::string& name, int id) {
  return "INSERT INTO @." + name + " VALUES (" + std::to_string(id) + ", 'after')";
}

const std::vector<Scenario>& scenarios() {
  static const std::vector<Scenario> all{
      {table("alone"), {insert("alone", 30), "TRUNCATE @.alone", insert("alone", 1)}},
      {table("left_empty"), {"UPDATE @.left_empty SET v = 'x'", "TRUNCATE @.left_empty"}},
      {table("twice"),
       {"TRUNCATE @.twice", insert("twice", 2), "TRUNCATE @.twice", insert("twice", 3)}},
      {table("several_a") + table("several_b") + table("several_c"),
       {"DELETE FROM @.several_a WHERE id < 5", "TRUNCATE @.several_a, @.several_c",
        insert("several_b", 40) + ";" + insert("several_c", 1)}},
      {table("parent") +
           "CREATE TABLE @.child (id integer PRIMARY KEY, p integer REFERENCES @.parent);"
           "CREATE TABLE @.grandchild (c integer REFERENCES @.child, n integer, "
           "  PRIMARY KEY (c, n));"
           "INSERT INTO @.child SELECT i, i FROM generate_series(1, 20) i;"
           "INSERT INTO @.grandchild SELECT i, i FROM generate_series(1, 20) i",
       {"TRUNCATE @.parent CASCADE", insert("parent", 7) + ";INSERT INTO @.child VALUES (1, 7)",
        "INSERT INTO @.grandchild VALUES (1, 2)"}},
      {"CREATE TABLE @.numbered (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);"
       "INSERT INTO @.numbered (v) SELECT 'v' FROM generate_series(1, 20)",
       {"TRUNCATE @.numbered RESTART IDENTITY", "INSERT INTO @.numbered (v) VALUES ('first again')",
        "TRUNCATE @.numbered", "INSERT INTO @.numbered (v) VALUES ('goes on'), ('and on')"}},
      {table("rolled_back"),
       {"DO $$ BEGIN TRUNCATE @.rolled_back; RAISE EXCEPTION 'no'; EXCEPTION WHEN OTHERS THEN "
        "NULL; "
        "END $$",
        "UPDATE @.rolled_back SET v = 'there'"}},
      {table("keyless", ""),
       {insert("keyless", 1), "TRUNCATE @.keyless",
        insert("keyless", 2) + ";" + insert("keyless", 2)}},
      {table("keyless_full", "") + "ALTER TABLE @.keyless_full REPLICA IDENTITY FULL",
       {"UPDATE @.keyless_full SET v = 'x' WHERE id < 5", "TRUNCATE @.keyless_full",
        insert("keyless_full", 2) + ";" + insert("keyless_full", 2),
        "DELETE FROM @.keyless_full WHERE ctid = (SELECT min(ctid) FROM @.keyless_full)"}},
      {table("key_moves"),
       {"UPDATE @.key_moves SET id = id + 100", "TRUNCATE @.key_moves", insert("key_moves", 101),
        "UPDATE @.key_moves SET id = 1"}},
      {"CREATE TABLE @.parted (id integer PRIMARY KEY, v text) PARTITION BY RANGE (id);"
       "CREATE TABLE @.parted_low PARTITION OF @.parted FOR VALUES FROM (0) TO (10);"
       "CREATE TABLE @.parted_high PARTITION OF @.parted FOR VALUES FROM (10) TO (100);"
       "INSERT INTO @.parted SELECT i, 'v' || i FROM generate_series(1, 20) i",
       {"UPDATE @.parted SET id = id + 20", "TRUNCATE @.parted", insert("parted", 3)}},
      {"CREATE TABLE @.heir_parent (id integer PRIMARY KEY, v text);"
       "CREATE TABLE @.heir (PRIMARY KEY (id)) INHERITS (@.heir_parent);"
       "INSERT INTO @.heir SELECT i, 'h' FROM generate_series(1, 5) i",
       {"TRUNCATE ONLY @.heir_parent", insert("heir", 6), "TRUNCATE @.heir_parent",
        insert("heir_parent", 7)}},
  };
  return all;
}

// Of `table` in the PostgreSQL sink; changes with a TRUNCATE and with nothing else here.
std::string file_of(MirrorSetup& setup, const std::string& table) {
  return PgSession(setup.sink().conninfo()).value("SELECT pg_relation_filenode('" + table + "')");
}

}  // namespace

TEST_CASE("TRUNCATE empties the sinks' tables at its place among the rows") {
  MirrorScenarios mirror(scenarios());
  CHECK(mirror.run() == "");
}

TEST_CASE("the same with the sinks' own TRUNCATE") {
  MirrorScenarios mirror(scenarios(), {.mirror = "{ truncate: native }"});
  CHECK(mirror.run() == "");
}

// A reader that began before it still sees the rows, unless told otherwise.
TEST_CASE("TRUNCATE is a DELETE unless it is to be native") {
  for (const bool native : {false, true}) {
    INFO("native: " << native);
    MirrorSetup setup({"public.*"}, {.mirror = native ? "{ truncate: native }" : "true"});
    PgSession source(setup.source().conninfo());
    source.execute(
        "CREATE TABLE public.items (id integer PRIMARY KEY);INSERT INTO public.items VALUES (1), "
        "(2);"
        "CREATE TABLE public.owners (id integer PRIMARY KEY);INSERT INTO public.owners VALUES (1);"
        "CREATE TABLE public.owned (id integer PRIMARY KEY, o integer);"
        "INSERT INTO public.owned VALUES (1, 1)");
    // The sink's own foreign key, which forbids a TRUNCATE of the table it refers to.
    PgSession(setup.sink().conninfo())
        .execute(
            "CREATE TABLE public.owners (id integer PRIMARY KEY);"
            "CREATE TABLE public.owned (id integer PRIMARY KEY, o integer REFERENCES public.owners "
            "  DEFERRABLE INITIALLY DEFERRED)");
    setup.daemon().start();
    setup.daemon().wait_ready();
    setup.catch_up();
    const std::string before = file_of(setup, "items");
    source.execute("TRUNCATE public.items");
    source.execute("TRUNCATE public.owners, public.owned");
    setup.catch_up();
    CHECK((file_of(setup, "items") != before) == native);
    CHECK(setup.differences({"public.items", "public.owners", "public.owned"}) == "");
  }
}
