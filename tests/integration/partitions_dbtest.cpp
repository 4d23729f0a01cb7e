// Partitioned tables, mirrored as one table or partition by partition, and inheritance.

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
void check_same(MirrorSetup& setup, const std::string& at_source, const std::string& in_file,
                const std::string& in_server) {
  INFO(at_source);
  const TextRows expected = PgSession(setup.source().conninfo()).query(at_source);
  CHECK(SqliteFile(setup.sqlite_path()).query(in_file) == expected);
  CHECK(PgSession(setup.sink().conninfo()).query(in_server) == expected);
}

int server_version(MirrorSetup& setup) {
  return std::stoi(PgSession(setup.source().conninfo()).value("SHOW server_version_num"));
}

// From 18 on the server refuses updates of a published table whose replica identity has a generated
// column that is not published.
bool refuses_generated_identities(MirrorSetup& setup) {
  return server_version(setup) >= 180000;
}

// A tree of partitions that differ from their root in what may differ: order of the columns,
// dropped columns, the replica identity where the server allows that beside a generated column.
constexpr const char* kEvents = R"sql(
CREATE TABLE public.events (
  id integer, day integer, v text, doubled integer GENERATED ALWAYS AS (id * 2) STORED, w text,
  PRIMARY KEY (day, id)) PARTITION BY RANGE (day);
CREATE TABLE public.events_1 PARTITION OF public.events FOR VALUES FROM (0) TO (10);
CREATE TABLE public.events_2 (
  gone integer, w text, v text, day integer NOT NULL, id integer NOT NULL,
  doubled integer GENERATED ALWAYS AS (id * 2) STORED);
ALTER TABLE public.events_2 DROP COLUMN gone;
ALTER TABLE public.events ATTACH PARTITION public.events_2 FOR VALUES FROM (10) TO (20);
CREATE TABLE public.events_3 PARTITION OF public.events FOR VALUES FROM (20) TO (100)
  PARTITION BY LIST (id);
CREATE TABLE public.events_3_odd PARTITION OF public.events_3 FOR VALUES IN (21, 23, 25, 27, 29);
CREATE TABLE public.events_3_rest PARTITION OF public.events_3 DEFAULT;
ALTER TABLE public.events ALTER v SET STORAGE EXTERNAL;
INSERT INTO public.events (id, day, v, w)
  SELECT i, i, repeat(md5(i::text), 100), 'w' || i FROM generate_series(0, 29) i;
)sql";

void create_events(MirrorSetup& setup) {
  PgSession source(setup.source().conninfo());
  source.execute(kEvents);
  if (!refuses_generated_identities(setup)) {
    source.execute("ALTER TABLE public.events_3_rest REPLICA IDENTITY FULL");
  }
}

void change_events(PgSession& source) {
  source.execute("UPDATE public.events SET w = 'new' WHERE id % 10 = 1");
  // From one partition into another: a delete and an insert.
  source.execute("UPDATE public.events SET day = day + 10 WHERE id % 10 < 4");
  source.execute("UPDATE public.events SET id = id + 100, w = w || '!' WHERE day BETWEEN 5 AND 25");
  source.execute(
      "BEGIN; UPDATE public.events SET day = 5 WHERE day = 33; UPDATE public.events SET w = "
      "'twice' "
      "WHERE day = 5; DELETE FROM public.events WHERE day = 4; INSERT INTO public.events (id, day, "
      "v) VALUES (7, 4, 'again'); COMMIT");
  source.execute("DELETE FROM public.events WHERE day IN (6, 16, 26)");
}

}  // namespace

TEST_CASE("a partitioned table is mirrored as one, whatever its partitions look like") {
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  create_events(setup);
  setup.daemon().start();
  setup.daemon().wait_ready();
  change_events(source);
  setup.catch_up();
  CHECK(setup.differences({"public.events"}) == "");

  // Partitions that come while it runs: made, or attached before they have rows.
  source.execute(
      "CREATE TABLE public.events_4 PARTITION OF public.events FOR VALUES FROM (100) TO (200)");
  source.execute(
      "CREATE TABLE public.events_5 (LIKE public.events INCLUDING GENERATED);"
      "ALTER TABLE public.events ATTACH PARTITION public.events_5 FOR VALUES FROM (200) TO (300)");
  source.execute(
      "INSERT INTO public.events (id, day, v) SELECT i, 90 + i * 10, repeat('x', 5000) FROM "
      "generate_series(1, 15) i");
  source.execute("UPDATE public.events SET day = day + 100 WHERE day BETWEEN 100 AND 150");
  source.execute("DELETE FROM public.events WHERE day IN (160, 230)");
  setup.catch_up();
  CHECK(setup.differences({"public.events"}) == "");

  source.execute(
      "BEGIN; TRUNCATE public.events; INSERT INTO public.events VALUES (1, 250, 'last'); COMMIT");
  setup.catch_up();
  CHECK(setup.differences({"public.events"}) == "");
  const std::string partitions = "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'events_%'";
  CHECK(SqliteFile(setup.sqlite_path()).value(partitions) == "0");

  // None of the partitions is reported as a table that is left out.
  CHECK(setup.daemon().terminate().ok());
  setup.daemon().start();
  setup.daemon().wait_ready();
  CHECK(setup.daemon().log().find("is new and matches a pattern") == std::string::npos);
}

// What moves between tables for the partitioned one (a TRUNCATE, DETACH or ATTACH of a partition
// with rows) is then seen for what it is.
TEST_CASE("partitions may be mirrored as tables of their own") {
  const bool own_publication = GENERATE(false, true);
  INFO("a publication of the user's own: " << own_publication);
  MirrorSetup setup({"public.*", "!public.events", "!public.events_3"});
  const std::vector<std::string> partitions{"public.events_1", "public.events_2",
                                            "public.events_3_odd", "public.events_3_rest"};
  PgSession source(setup.source().conninfo());
  create_events(setup);
  if (own_publication) {
    source.execute(
        "CREATE PUBLICATION headgate_test FOR TABLE public.events, public.sync_marker "
        "WITH (publish_via_partition_root = false)");
  }
  setup.daemon().start();
  setup.daemon().wait_ready();
  change_events(source);
  source.execute("TRUNCATE public.events_2, public.events_3_odd");
  setup.catch_up();
  CHECK(setup.differences(partitions) == "");

  source.execute(
      "INSERT INTO public.events (id, day) SELECT i, i * 2 FROM generate_series(1, 14) i");
  source.execute(
      "BEGIN; TRUNCATE public.events_3; INSERT INTO public.events (id, day) VALUES (7, 44); "
      "COMMIT");
  if (!own_publication) {  // which would not hold a table of its own
    source.execute("ALTER TABLE public.events DETACH PARTITION public.events_1");
    source.execute("UPDATE public.events_1 SET w = 'on its own'");
    source.execute(
        "ALTER TABLE public.events ATTACH PARTITION public.events_1 FOR VALUES FROM (0) TO (10)");
  }
  source.execute("DELETE FROM public.events WHERE day = 4");
  setup.catch_up();
  CHECK(setup.differences(partitions) == "");
  source.execute("TRUNCATE public.events");
  setup.catch_up();
  CHECK(setup.differences(partitions) == "");
}

// The server does not send what TRUNCATE, ATTACH and DETACH of a partition do to its table's rows;
// see the source's README. This holds down what follows from it.
TEST_CASE("rows that come or go with their partition are not in the stream") {
  MirrorSetup setup({"public.events"});
  PgSession source(setup.source().conninfo());
  create_events(setup);
  setup.daemon().start();
  setup.daemon().wait_ready();
  source.execute(
      "CREATE TABLE public.other (LIKE public.events INCLUDING GENERATED);"
      "INSERT INTO public.other VALUES (1, 300, 'one'), (2, 300, 'two');"
      "ALTER TABLE public.events ATTACH PARTITION public.other FOR VALUES FROM (300) TO (400)");
  source.execute("ALTER TABLE public.events DETACH PARTITION public.events_1");
  source.execute("UPDATE public.events SET v = 'sent' WHERE id = 2 AND day = 300");
  setup.catch_up();
  const std::string new_rows = "SELECT id, v FROM events WHERE day = 300";
  // Before 15, a stream that has met the table on its own goes on taking it for unpublished.
  const TextRows sent = server_version(setup) < 150000 ? TextRows{} : TextRows{{"2", "sent"}};
  CHECK(SqliteFile(setup.sqlite_path()).query(new_rows) == sent);
  CHECK(PgSession(setup.sink().conninfo()).query(new_rows) == sent);
  const std::string old_rows = "SELECT count(*) FROM events WHERE day < 10";
  CHECK(SqliteFile(setup.sqlite_path()).value(old_rows) == "10");
  CHECK(PgSession(setup.sink().conninfo()).value(old_rows) == "10");
}

// Nor does the application's ALTER TABLE wait for ours, or die in a deadlock with it. From 16 on
// the server itself opens every published table that it is asked about, one after the other.
TEST_CASE("the tables are looked at without waiting for a lock") {
  MirrorSetup setup({"public.events"});
  if (server_version(setup) >= 160000) {
    return;
  }
  create_events(setup);
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.catch_up();
  CHECK(setup.daemon().terminate().ok());
  PgSession application(setup.source().conninfo());
  application.execute("BEGIN; LOCK TABLE public.events IN ACCESS EXCLUSIVE MODE");
  setup.daemon().start();
  setup.daemon().wait_ready();
  application.execute("COMMIT");
  setup.catch_up();
}

// Its rows would come under a name that is not captured, and be left out without a word.
TEST_CASE("a partition is refused whose changes the publication sends as those of its table") {
  MirrorSetup setup({"public.events_1"});
  PgSession source(setup.source().conninfo());
  create_events(setup);
  source.execute(
      "CREATE PUBLICATION headgate_test FOR TABLE public.events, public.sync_marker "
      "WITH (publish_via_partition_root = true)");
  setup.daemon().start();
  CHECK(setup.daemon().wait_exit().code == kExitOperator);
  CHECK(setup.daemon().log().find("public.events_1") != std::string::npos);
}

// Each would lose changes or make the application's own statements fail.
TEST_CASE("a partitioned table is refused when a partition's changes cannot be told") {
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  source.execute(
      // The identity of a root is not inherited.
      "CREATE TABLE public.whole (id integer, v text) PARTITION BY LIST (id);"
      "CREATE TABLE public.whole_1 PARTITION OF public.whole FOR VALUES IN (1);"
      "ALTER TABLE public.whole REPLICA IDENTITY FULL;"
      "CREATE TABLE public.silent (id integer PRIMARY KEY) PARTITION BY LIST (id);"
      "CREATE TABLE public.silent_1 PARTITION OF public.silent FOR VALUES IN (1);"
      "ALTER TABLE public.silent_1 REPLICA IDENTITY NOTHING;"
      "CREATE TABLE public.other_index (id integer, u integer NOT NULL, PRIMARY KEY (id, u)) "
      "  PARTITION BY LIST (u);"
      "CREATE TABLE public.other_index_1 PARTITION OF public.other_index FOR VALUES IN (1);"
      "CREATE UNIQUE INDEX other_index_u ON public.other_index_1 (u);"
      "ALTER TABLE public.other_index_1 REPLICA IDENTITY USING INDEX other_index_u;"
      "CREATE TABLE public.partly_logged (id integer PRIMARY KEY) PARTITION BY LIST (id);"
      "CREATE UNLOGGED TABLE public.fast PARTITION OF public.partly_logged FOR VALUES IN (1);"
      "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
      "CREATE TABLE public.partly_here (id integer) PARTITION BY LIST (id);"
      "CREATE FOREIGN TABLE public.elsewhere PARTITION OF public.partly_here FOR VALUES IN (1) "
      "  SERVER files OPTIONS (filename '/dev/null');"
      // These are right: an index of the root's, or the whole row.
      "CREATE TABLE public.by_index (id integer NOT NULL, v text) PARTITION BY LIST (id);"
      "CREATE TABLE public.by_index_1 PARTITION OF public.by_index FOR VALUES IN (1);"
      "CREATE UNIQUE INDEX by_index_id ON public.by_index (id);"
      "ALTER TABLE public.by_index REPLICA IDENTITY USING INDEX by_index_id;"
      "ALTER TABLE public.by_index_1 REPLICA IDENTITY USING INDEX by_index_1_id_idx;"
      "CREATE TABLE public.by_rows (id integer, v text) PARTITION BY LIST (id);"
      "CREATE TABLE public.by_rows_1 PARTITION OF public.by_rows FOR VALUES IN (1);"
      "ALTER TABLE public.by_rows REPLICA IDENTITY FULL;"
      "ALTER TABLE public.by_rows_1 REPLICA IDENTITY FULL");
  const std::string said = setup.daemon().command({"check"}).out;
  INFO(said);
  CHECK(said.find("public.whole_1 has another replica identity") != std::string::npos);
  CHECK(said.find("public.silent_1 has another replica identity") != std::string::npos);
  CHECK(said.find("public.other_index_1 has another replica identity") != std::string::npos);
  CHECK(said.find("public.fast of table public.partly_logged is unlogged") != std::string::npos);
  CHECK(said.find("public.elsewhere of table public.partly_here is unlogged or foreign") !=
        std::string::npos);
  CHECK(said.find("table public.by_index") == std::string::npos);
  CHECK(said.find("table public.by_rows") == std::string::npos);
}

// Where every column identifies a row, a partition's generated columns do, too.
TEST_CASE("a partition whose identity the server would not take is refused, and its root with it") {
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  const auto create = [&](const std::string& root) {
    source.execute("CREATE TABLE " + root +
                   " (id integer PRIMARY KEY, twice integer GENERATED ALWAYS AS (id * 2) STORED) "
                   "PARTITION BY LIST (id);"
                   "CREATE TABLE " +
                   root + "_1 PARTITION OF " + root +
                   " FOR VALUES IN (1, 2) PARTITION BY LIST (id);"
                   "CREATE TABLE " +
                   root + "_2 PARTITION OF " + root + "_1 FOR VALUES IN (1, 2)");
  };
  create("public.plain");
  create("public.whole");
  source.execute("ALTER TABLE public.whole_2 REPLICA IDENTITY FULL");
  // Not of ours: the same, and one that sends the column.
  create("public.theirs");
  source.execute(
      "ALTER TABLE public.theirs_2 REPLICA IDENTITY FULL;"
      "CREATE PUBLICATION theirs FOR TABLE public.theirs, public.sync_marker "
      "  WITH (publish_via_partition_root = true)");
  const bool refused = refuses_generated_identities(setup);
  const std::string said = setup.daemon().command({"check"}).out;
  INFO(said);
  const std::string finding =
      "partition public.whole_2 of table public.whole would hold a generated";
  CHECK((said.find(finding) != std::string::npos) == refused);
  CHECK(said.find("table public.plain") == std::string::npos);

  PipelineConfig config = setup.config();
  config.tables = {"public.theirs", "public.sync_marker"};
  config.source_keys.push_back("publication: theirs");
  const std::string checked = Daemon(setup.folder(), config, "theirs").command({"check"}).out;
  INFO(checked);
  CHECK((checked.find("updates of table public.theirs_2, whose replica identity has a generated") !=
         std::string::npos) == refused);
  if (refused) {
    source.execute("ALTER PUBLICATION theirs SET (publish_generated_columns = stored)");
    const std::string sent = Daemon(setup.folder(), config, "sent").command({"check"}).out;
    INFO(sent);
    CHECK(sent.find("theirs_2") == std::string::npos);
    source.execute("ALTER TABLE public.whole_2 REPLICA IDENTITY DEFAULT");
  }
  source.execute("DROP TABLE public.theirs");

  // What is not refused breaks no statement of the application's.
  setup.daemon().start();
  setup.daemon().wait_ready();
  source.execute("INSERT INTO public.whole VALUES (1), (2); INSERT INTO public.plain VALUES (1)");
  source.execute(
      "UPDATE public.whole SET id = id WHERE id = 1; DELETE FROM public.whole WHERE "
      "id = 2; UPDATE public.plain SET id = 2");
  setup.catch_up();
  CHECK(setup.differences({"public.whole", "public.plain"}) == "");
}

TEST_CASE("parent and children of an inheritance are tables of their own") {
  const bool in_sink = GENERATE(false, true);
  INFO("inherited in the PostgreSQL sink, too: " << in_sink);
  MirrorSetup setup({"public.*"});
  PgSession source(setup.source().conninfo());
  const std::string tables =
      "CREATE TABLE public.animals (id integer PRIMARY KEY, name text);"
      "CREATE TABLE public.birds (wings integer, PRIMARY KEY (id)) INHERITS (public.animals);"
      "CREATE TABLE public.owls (PRIMARY KEY (id)) INHERITS (public.birds);";
  if (in_sink) {
    PgSession(setup.sink().conninfo()).execute(tables);
  }
  source.execute(tables +
                 "INSERT INTO public.animals VALUES (1, 'animal');"
                 // The same keys in each: they are no keys of all.
                 "INSERT INTO public.birds VALUES (1, 'bird', 2), (2, 'second bird', 2);"
                 "INSERT INTO public.owls VALUES (1, 'owl', 2)");
  setup.daemon().start();
  setup.daemon().wait_ready();
  const auto check_all = [&] {
    for (const std::string table : {"animals", "birds", "owls"}) {
      const std::string rows = " ORDER BY id";
      check_same(setup, "SELECT id, name FROM ONLY public." + table + rows,
                 "SELECT id, name FROM " + table + rows,
                 "SELECT id, name FROM ONLY " + table + rows);
    }
  };
  check_all();
  source.execute("UPDATE public.animals SET name = name || '!'");  // of all three
  source.execute("UPDATE ONLY public.birds SET id = id + 10");
  source.execute("DELETE FROM public.animals WHERE id = 1");
  source.execute("INSERT INTO public.owls VALUES (1, 'second owl', 2), (11, 'third', NULL)");
  setup.catch_up();
  check_all();
  source.execute("TRUNCATE ONLY public.animals");
  setup.catch_up();
  check_all();
}
