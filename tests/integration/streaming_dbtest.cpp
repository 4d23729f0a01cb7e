// Transactions that the source sends while they are in progress, prepares, or has itself received
// from elsewhere: nothing of them is seen before their commit, and all of them afterwards.

#include <atomic>
#include <list>
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

const std::vector<std::string> kTables{"public.items", "public.other"};

// A pipeline whose source streams every transaction of more than some hundred rows.
class Streaming : public MirrorSetup {
 public:
  explicit Streaming(const std::string& more = {}) : MirrorSetup(kTables, options(more)) {
    on_source(
        "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
        "CREATE TABLE public.other (id integer PRIMARY KEY, t text);"
        "INSERT INTO public.items VALUES (-1, 'there from the start')");
    daemon().start();
    daemon().wait_ready();
    catch_up();
  }

  static headgate::test::MirrorOptions options(const std::string& more) {
    headgate::test::MirrorOptions options;
    options.source_settings = {{"logical_decoding_work_mem", "64kB"},
                               {"max_prepared_transactions", "10"}};
    options.more = more;
    return options;
  }

  void on_source(const std::string& sql) { PgSession(source().conninfo()).execute(sql); }

  // How many segments the server has sent so far.
  int streamed() {
    return std::stoi(PgSession(source().conninfo())
                         .value("SELECT coalesce(sum(stream_count), 0) FROM "
                                "pg_stat_replication_slots WHERE slot_name = 'headgate_test'"));
  }
  void wait_until_streamed(int more_than) {
    daemon().wait_until("the server to stream", 30s, [&] { return streamed() > more_than; });
  }

  void check_equal() {
    catch_up();
    CHECK(differences(kTables) == "");
  }

  // Since it began again behind a backlog.
  void check_stream_kept() {
    const std::string log = daemon().log();
    const std::size_t again = log.find("backlog worked off");
    REQUIRE(again != std::string::npos);
    CHECK(log.find("source unavailable", again) == std::string::npos);
  }
};

std::string insert(const std::string& table, int from, int to) {
  return "INSERT INTO public." + table + " SELECT i, repeat('x', 100) || i FROM generate_series(" +
         std::to_string(from) + ", " + std::to_string(to) + ") i;";
}

}  // namespace

TEST_CASE("transactions that are streamed in turns arrive whole, and none before its commit") {
  Streaming setup;
  PgSession first(setup.source().conninfo());
  PgSession second(setup.source().conninfo());
  PgSession third(setup.source().conninfo());
  first.execute("BEGIN");
  second.execute("BEGIN");
  third.execute("BEGIN");
  const int before = setup.streamed();
  for (int round = 0; round < 5; ++round) {
    first.execute(insert("items", round * 1000, round * 1000 + 799));
    second.execute(insert("other", round * 1000, round * 1000 + 799));
    third.execute(insert("other", 100000 + round * 1000, 100000 + round * 1000 + 799));
    setup.on_source("INSERT INTO public.other VALUES (" + std::to_string(-10 - round) +
                    ", 'small')");
  }
  setup.wait_until_streamed(before);
  setup.catch_up();
  SqliteFile mirror(setup.sqlite_path());
  CHECK(mirror.value("SELECT count(*) FROM items") == "1");
  CHECK(mirror.value("SELECT count(*) FROM other") == "5");

  third.execute("ROLLBACK");
  second.execute("UPDATE public.other SET t = 'changed' WHERE id % 7 = 0; COMMIT");
  setup.check_equal();
  CHECK(mirror.value("SELECT count(*) FROM items") == "1");
  first.execute("DELETE FROM public.items WHERE id % 3 = 0; COMMIT");
  setup.check_equal();
}

TEST_CASE("what was rolled back to a savepoint within a streamed transaction never arrives") {
  Streaming setup;
  PgSession session(setup.source().conninfo());
  const int before = setup.streamed();
  session.execute(
      "BEGIN;"
      // The table is described within a savepoint that is rolled back, and once more behind it.
      "SAVEPOINT a;" +
      insert("items", 1, 2000) + "ROLLBACK TO a;" + insert("items", 1, 1000) + "SAVEPOINT b;" +
      insert("other", 1, 1500) + "SAVEPOINT c;" + insert("items", 5001, 6500) + "RELEASE c;" +
      "UPDATE public.items SET t = 'wrong'; ROLLBACK TO b;" + insert("other", 2001, 3000) +
      "SAVEPOINT d;" + insert("items", 3001, 4500) +
      "RELEASE d; DELETE FROM public.items WHERE id BETWEEN 500 AND 600; COMMIT");
  setup.check_equal();
  setup.wait_until_streamed(before);
}

TEST_CASE("a table altered within a streamed transaction is altered between the same rows") {
  Streaming setup;
  PgSession session(setup.source().conninfo());
  session.execute("BEGIN;" + insert("items", 1, 1500) +
                  "ALTER TABLE public.items ADD COLUMN n integer DEFAULT 7;"
                  "INSERT INTO public.items SELECT i, 'n', i FROM generate_series(2001, 3500) i;"
                  "SAVEPOINT s; ALTER TABLE public.items ADD COLUMN never integer;"
                  "INSERT INTO public.items SELECT i, 'no', i FROM generate_series(4001, 5500) i;"
                  "ROLLBACK TO s;"
                  "INSERT INTO public.items SELECT i, 'yes', i FROM generate_series(6001, 7500) i;"
                  "COMMIT");
  setup.check_equal();
}

TEST_CASE("a daemon killed while transactions are streamed reads them again") {
  Streaming setup;
  PgSession session(setup.source().conninfo());
  const int before = setup.streamed();
  session.execute("BEGIN;" + insert("items", 1, 3000));
  setup.wait_until_streamed(before);
  setup.daemon().kill9();
  setup.daemon().start();
  setup.daemon().wait_ready();
  session.execute(insert("items", 3001, 5000));
  setup.on_source(insert("other", 1, 10));
  setup.catch_up();
  session.execute("COMMIT");
  setup.daemon().kill9();
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.check_equal();
}

TEST_CASE("a prepared transaction arrives when it is committed, or never") {
  Streaming setup;
  setup.on_source("BEGIN;" + insert("items", 1, 2000) + "PREPARE TRANSACTION 'large'");
  setup.on_source("BEGIN;" + insert("other", 1, 5) + "PREPARE TRANSACTION 'small'");
  setup.on_source("BEGIN;" + insert("other", 11, 15) + "PREPARE TRANSACTION 'never'");
  setup.catch_up();
  SqliteFile mirror(setup.sqlite_path());
  CHECK(mirror.value("SELECT count(*) FROM items") == "1");
  CHECK(mirror.value("SELECT count(*) FROM other") == "0");
  setup.on_source("COMMIT PREPARED 'small'");
  setup.check_equal();
  setup.daemon().kill9();
  setup.on_source("ROLLBACK PREPARED 'never'");
  setup.on_source("COMMIT PREPARED 'large'");
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.check_equal();
}

TEST_CASE("a full spill space stops the daemon with the remedy, and nothing is lost") {
  Streaming setup("limits: { spill_disk: 64MiB }\n");
  PgSession session(setup.source().conninfo());
  session.execute(
      "BEGIN; INSERT INTO public.items SELECT i, repeat('y', 1000) FROM generate_series(1, 80000) "
      "i");
  const ExitStatus stopped = setup.daemon().wait_exit(120s);
  CHECK(stopped.code == 74);
  CHECK(setup.daemon().log().find("raise limits.spill_disk") != std::string::npos);
  session.execute("ROLLBACK");
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.check_equal();
}

TEST_CASE("a backlog comes in whole transactions, and what is in progress at its end is streamed") {
  Streaming setup;
  setup.daemon().kill9();
  const int before = setup.streamed();
  PgSession open(setup.source().conninfo());
  open.execute("BEGIN;" + insert("other", 1, 2000) + "SAVEPOINT s;" + insert("items", 1, 2000));
  setup.on_source(
      "INSERT INTO public.items SELECT i, repeat('z', 1000) FROM generate_series(10001, 80000) i");
  setup.on_source(insert("other", 10001, 10010));
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.catch_up();
  SqliteFile mirror(setup.sqlite_path());
  CHECK(mirror.value("SELECT count(*) FROM items") == "70001");
  CHECK(mirror.value("SELECT count(*) FROM other") == "10");
  setup.daemon().wait_until("the stream to begin again", 30s, [&] {
    return setup.daemon().log().find("backlog worked off") != std::string::npos;
  });
  const std::string whole =
      PgSession(setup.source().conninfo())
          .value(
              "SELECT spill_txns > 0 FROM pg_stat_replication_slots WHERE slot_name = "
              "'headgate_test'");
  CHECK(whole == "t");
  open.execute("ROLLBACK TO s;" + insert("other", 3001, 5000));
  setup.wait_until_streamed(before);
  CHECK(mirror.value("SELECT count(*) FROM other") == "10");
  open.execute("COMMIT");
  setup.check_equal();
  setup.check_stream_kept();
}

TEST_CASE("nothing that is committed while the stream begins again behind a backlog is lost") {
  Streaming setup;
  setup.daemon().kill9();
  setup.on_source(
      "INSERT INTO public.items SELECT i, repeat('z', 1000) FROM generate_series(10001, 80000) i");
  std::atomic<bool> enough = false;
  std::list<std::jthread> writers;
  for (int writer = 0; writer < 3; ++writer) {
    writers.emplace_back([&, writer] {
      PgSession session(setup.source().conninfo());
      for (int id = writer; !enough; id += 3) {
        session.execute("INSERT INTO public.other VALUES (" + std::to_string(id) + ", 'row')");
      }
    });
  }
  setup.daemon().start();
  setup.daemon().wait_until("the stream to begin again", 60s, [&] {
    return setup.daemon().log().find("backlog worked off") != std::string::npos;
  });
  setup.on_source(insert("items", 1, 10));
  setup.catch_up();  // the writers go on meanwhile
  enough = true;
  writers.clear();
  setup.check_equal();
  setup.check_stream_kept();
}

TEST_CASE("with streaming off, the server keeps a large transaction until its commit") {
  headgate::test::MirrorOptions options = Streaming::options({});
  MirrorSetup setup(kTables, options);
  PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
      "CREATE TABLE public.other (id integer PRIMARY KEY, t text)");
  PipelineConfig config = setup.config();
  config.source_keys.push_back("streaming: off");
  config.sinks = {postgres_sink("server", setup.sink().conninfo())};
  Daemon daemon(setup.folder(), config, "whole");
  daemon.start();
  daemon.wait_ready();
  source.execute(insert("items", 1, 5000));
  PgSession sink(setup.sink().conninfo());
  daemon.wait_until("the rows", 30s,
                    [&] { return sink.value("SELECT count(*) FROM public.items") == "5000"; });
  const std::string of_slot = " FROM pg_stat_replication_slots WHERE slot_name = 'headgate_test'";
  daemon.wait_until("the server to count", 30s,
                    [&] { return source.value("SELECT spill_txns > 0" + of_slot) == "t"; });
  CHECK(source.value("SELECT stream_txns" + of_slot) == "0");
}

TEST_CASE("with origin none, what the source has received by replication stays out") {
  headgate::test::MirrorOptions options = Streaming::options({});
  MirrorSetup setup(kTables, options);
  PgSession(setup.source().conninfo())
      .execute(
          "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
          "CREATE TABLE public.other (id integer PRIMARY KEY, t text)");
  PipelineConfig config = setup.config();
  config.source_keys.push_back("origin: none");
  std::string sink_yaml = postgres_sink("server", setup.sink().conninfo());
  sink_yaml.insert(sink_yaml.rfind('}'), ", replication_origin: headgate_back");
  config.sinks = {sink_yaml};
  Daemon daemon(setup.folder(), config, "one-way");
  daemon.start();
  daemon.wait_ready();
  PgSession source(setup.source().conninfo());
  source.execute("INSERT INTO public.items VALUES (1, 'ours')");
  source.query("SELECT pg_replication_origin_create('elsewhere')");
  source.query("SELECT pg_replication_origin_session_setup('elsewhere')");
  source.execute("INSERT INTO public.items VALUES (2, 'theirs');" + insert("other", 1, 3000));
  // Before 16 such a transaction has no origin on the wire, where it is streamed.
  source.execute("BEGIN; TRUNCATE public.items;" + insert("other", 5001, 9000) + "COMMIT");
  source.query("SELECT pg_replication_origin_session_reset()");
  source.execute("INSERT INTO public.items VALUES (3, 'ours')");
  PgSession sink(setup.sink().conninfo());
  daemon.wait_until("the last row", 30s, [&] {
    return sink.value("SELECT count(*) FROM public.items WHERE id = 3") == "1";
  });
  CHECK(sink.value("SELECT string_agg(id::text, ',' ORDER BY id) FROM public.items") == "1,3");
  CHECK(sink.value("SELECT count(*) FROM public.other") == "0");
  // What headgate writes is marked for a reader in the other direction.
  CHECK(sink.value("SELECT count(*) FROM pg_replication_origin WHERE roname = 'headgate_back'") ==
        "1");
}
