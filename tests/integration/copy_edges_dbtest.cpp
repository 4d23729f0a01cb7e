// First copies in chunks of what is unusual: wide, large, partitioned, referred to, forbidden, and
// sinks that hold something already.

#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.hpp"
#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/small_disk.hpp"
#include "support/sqlite_file.hpp"

using namespace headgate;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

const std::string kSmallChunks = "snapshot: { chunk_rows: 10 }\n";

// Referred to by `line`, and by itself; `tag` is referred to and copied before both by name.
constexpr const char* kShop = R"(
  CREATE TABLE public.a_line (id int PRIMARY KEY, of_order int NOT NULL, tag text);
  CREATE TABLE public.b_order (id int PRIMARY KEY, before int, tag text);
  CREATE TABLE public.c_tag (name text PRIMARY KEY);
)";
constexpr const char* kReferences = R"(
  ALTER TABLE public.a_line ADD FOREIGN KEY (of_order) REFERENCES public.b_order;
  ALTER TABLE public.a_line ADD FOREIGN KEY (tag) REFERENCES public.c_tag;
  ALTER TABLE public.b_order ADD FOREIGN KEY (before) REFERENCES public.b_order;
  ALTER TABLE public.b_order ADD FOREIGN KEY (tag) REFERENCES public.c_tag;
)";
const std::vector<std::string> kShopTables = {"public.a_line", "public.b_order", "public.c_tag"};

void fill_shop(demo::PgSession& source) {
  source.execute(
      "INSERT INTO public.c_tag SELECT 't' || i FROM generate_series(1, 30) i;"
      "INSERT INTO public.b_order SELECT i, NULLIF(i - 1, 0), 't' || 1 + i % 30 "
      "FROM generate_series(1, 200) i;"
      "INSERT INTO public.a_line SELECT i, 1 + i % 200, 't' || 1 + i % 30 "
      "FROM generate_series(1, 1000) i");
}

}  // namespace

TEST_CASE("tables with foreign keys at the sink are copied, and copied again, in the keys' order") {
  const std::string existing = GENERATE("keep", "replace");
  CAPTURE(existing);
  MirrorSetup setup(kShopTables, {.more = fmt::format(
                                      "snapshot: {{ chunk_rows: 70, existing: {} }}\n", existing)});
  Daemon& daemon = setup.daemon();
  demo::PgSession source(setup.source().conninfo());
  demo::PgSession sink(setup.sink().conninfo());
  source.execute(kShop);
  fill_shop(source);
  sink.execute(kShop);
  sink.execute(kReferences);
  // The last of these go only with what replaces all.
  sink.execute(
      "INSERT INTO public.c_tag VALUES ('t1'), ('old');"
      "INSERT INTO public.b_order VALUES (1, NULL, 'old'), (9001, 1, 'old'), (9002, 9001, 'old');"
      "INSERT INTO public.a_line VALUES (1, 9001, 'old'), (9001, 9002, 'old')");
  daemon.start();
  daemon.wait_ready(120s);
  if (existing == "replace") {
    CHECK(setup.differences(kShopTables) == "");
  } else {
    CHECK(sink.value("SELECT count(*) FROM public.b_order") == "202");
    CHECK(sink.value("SELECT count(*) FROM public.a_line WHERE tag = 'old'") == "1");
  }

  // And with rows that are referred to by others then than now.
  source.execute("BEGIN; UPDATE public.a_line SET of_order = 7 WHERE of_order = 8; COMMIT;");
  setup.catch_up();
  sink.execute(
      "UPDATE public.a_line SET of_order = 9 WHERE id < 50;"
      "DELETE FROM public.a_line WHERE id BETWEEN 100 AND 150;"
      "INSERT INTO public.b_order VALUES (8001, 5, 't3');"
      "UPDATE public.b_order SET before = 8001 WHERE id = 6");
  REQUIRE(daemon.command({"snapshot", "start"}).status.value().ok());
  const std::string at_end = fmt::format("copy read tables={}", kShopTables.size() + 1);
  daemon.wait_until("the fresh copy", 60s, [&] {
    const std::string log = daemon.log();
    const auto first = log.find(at_end);
    return first != std::string::npos && log.find(at_end, first + 1) != std::string::npos;
  });
  setup.catch_up();
  CHECK(setup.differences(kShopTables) == "");
  CHECK(daemon.terminate().ok());
}

TEST_CASE("a sink's table that holds rows is refused, with the remedy, before anything is copied") {
  MirrorSetup setup({"public.items"});
  Daemon& daemon = setup.daemon();
  demo::PgSession source(setup.source().conninfo());
  demo::PgSession sink(setup.sink().conninfo());
  const char* table = "CREATE TABLE public.items (id int PRIMARY KEY)";
  source.execute(table);
  source.execute("INSERT INTO public.items VALUES (1)");
  sink.execute(table);
  sink.execute("INSERT INTO public.items VALUES (2)");
  daemon.start();
  CHECK(daemon.wait_exit().code == kExitOperator);
  CHECK_THAT(daemon.log_end(), Catch::Contains("public.items") && Catch::Contains("replace"));
  CHECK(sink.value("SELECT string_agg(id::text, ',') FROM public.items") == "2");
}

TEST_CASE("a table of a thousand columns is copied and followed") {
  MirrorSetup setup({"public.wide"}, {.more = kSmallChunks});
  demo::PgSession source(setup.source().conninfo());
  std::vector<std::string> columns;
  for (int i = 1; i < 1000; ++i) {
    columns.push_back(fmt::format("c{} {}", i, i % 3 == 0 ? "text" : "int"));
  }
  source.execute(
      fmt::format("CREATE TABLE public.wide (id int PRIMARY KEY, {})", fmt::join(columns, ", ")));
  source.execute(
      "INSERT INTO public.wide (id, c1, c999) SELECT i, i * 2, 'x' || i "
      "FROM generate_series(1, 45) i");
  setup.daemon().start();
  setup.daemon().wait_ready(120s);
  source.execute("UPDATE public.wide SET c500 = id, c3 = 'y' WHERE id < 20");
  setup.catch_up();
  CHECK(setup.differences({"public.wide"}) == "");
  CHECK(setup.daemon().terminate().ok());
}

TEST_CASE("rows of many megabytes are copied and followed") {
  MirrorSetup setup({"public.large"});
  demo::PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.large (id int PRIMARY KEY, t text, b bytea);"
      "INSERT INTO public.large SELECT i, repeat(md5(i::text), 1000000), "
      "decode(repeat(md5(i::text), 300000), 'hex') FROM generate_series(1, 4) i");
  setup.daemon().start();
  setup.daemon().wait_ready(120s);
  source.execute("UPDATE public.large SET id = id + 10 WHERE id = 2");
  setup.catch_up();
  CHECK(setup.differences({"public.large"}) == "");
  CHECK(setup.daemon().terminate().ok());
}

TEST_CASE("a partitioned table is copied as one, while rows move between its parts") {
  MirrorSetup setup({"public.parts"}, {.more = kSmallChunks});
  demo::PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.parts (id int, part int, t text, PRIMARY KEY (id, part)) "
      "PARTITION BY LIST (part);"
      "CREATE TABLE public.parts_1 PARTITION OF public.parts FOR VALUES IN (1);"
      "CREATE TABLE public.parts_2 PARTITION OF public.parts FOR VALUES IN (2);"
      "INSERT INTO public.parts SELECT i, 1 + i % 2, 'r' || i FROM generate_series(1, 300) i");
  setup.daemon().start();
  for (int i = 1; i <= 100; ++i) {
    source.execute(
        fmt::format("UPDATE public.parts SET part = 3 - part WHERE id % 100 = {}", i % 100));
  }
  setup.daemon().wait_ready(120s);
  setup.catch_up();
  CHECK(setup.differences({"public.parts"}) == "");
  CHECK(setup.daemon().terminate().ok());
}

TEST_CASE("of many tables, one that may not be read is named with the GRANT, and mended at once") {
  MirrorSetup setup({"public.t*"}, {.source_keywords = "user=reader"});
  Daemon& daemon = setup.daemon();
  demo::PgSession source(setup.source().conninfo());
  for (int i = 1; i <= 5; ++i) {
    source.execute(fmt::format(
        "CREATE TABLE public.t{0} (id int PRIMARY KEY); INSERT INTO public.t{0} VALUES ({0})", i));
  }
  source.execute(
      "CREATE ROLE reader LOGIN REPLICATION;"
      "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader;"
      "REVOKE SELECT ON public.t4 FROM reader;"
      "CREATE PUBLICATION headgate_test FOR TABLE public.t1, public.t2, public.t3, public.t4, "
      "public.t5, public.sync_marker;"
      "CREATE PUBLICATION headgate_test_append WITH (publish = 'insert, truncate');");
  daemon.start();
  CHECK(daemon.wait_exit().code == kExitOperator);
  CHECK_THAT(daemon.log_end(), Catch::Contains("GRANT SELECT ON") && Catch::Contains("t4"));
  CHECK_THAT(daemon.command({"check"}).out, Catch::Contains("GRANT SELECT ON"));
  source.execute("GRANT SELECT ON public.t4 TO reader");
  daemon.start();
  daemon.wait_ready();
  setup.catch_up();
  CHECK(setup.differences({"public.t1", "public.t2", "public.t3", "public.t4", "public.t5"}) == "");
  CHECK(daemon.terminate().ok());
}

TEST_CASE("where the sink's disk is full, the copy stops, and goes on once there is room") {
  const bool on_server = GENERATE(false, true);
  INFO((on_server ? "PostgreSQL" : "SQLite"));
  MirrorSetup setup({"public.large"});
  const std::string owner = demo::PgSession(setup.sink().conninfo()).value("SHOW data_directory");
  const SmallDisk disk(setup.folder().path("small"), "24m", on_server ? owner : "");
  if (!disk.mounted()) {
    WARN("skipped: no right to mount a small file system");
    return;
  }
  PipelineConfig config = setup.config();
  const std::string file = disk.path() + "/mirror.db";
  if (on_server) {
    demo::PgSession sink(setup.sink().conninfo());
    sink.execute("CREATE TABLESPACE small LOCATION " + demo::quote_literal(disk.path()));
    sink.execute("CREATE DATABASE report TABLESPACE small");
    config.sinks = {postgres_sink("report", setup.sink().conninfo("report"))};
  } else {
    config.sinks = {sqlite_sink("file", file)};
  }
  config.more += "snapshot: { chunk_rows: 500 }\n";
  demo::PgSession(setup.source().conninfo())
      .execute(
          "CREATE TABLE public.large (id int PRIMARY KEY, t text);"
          "ALTER TABLE public.large ALTER t SET STORAGE EXTERNAL;"
          // No server makes them smaller.
          "INSERT INTO public.large SELECT i, (SELECT string_agg(md5((i * j)::text), '') "
          "FROM generate_series(1, 100) j) FROM generate_series(1, 15000) i");
  Daemon daemon(setup.folder(), config, "full");
  daemon.start();
  const demo::ExitStatus ended = daemon.wait_exit(180s);
  INFO(daemon.log_end());
  CHECK(ended.describe() == "exit code " + std::to_string(kExitStorage));
  CHECK_THAT(daemon.log(), Catch::Contains("space"));

  REQUIRE(disk.grow("400m"));
  demo::PgSession(setup.source().conninfo())
      .execute("UPDATE public.large SET t = t || '!' WHERE id % 100 = 0");
  daemon.start();
  daemon.wait_ready(120s);
  CHECK_THAT(daemon.log(), Catch::Contains("copy goes on table=public.large"));
  const std::string sums = "SELECT count(*) || ' ' || sum(length(t)) FROM large";
  daemon.wait_until("the changes", 60s, [&] {
    return "15000 48000150" == (on_server
                                    ? demo::PgSession(setup.sink().conninfo("report")).value(sums)
                                    : SqliteFile(file).value(sums));
  });
  CHECK(daemon.terminate().ok());
}
