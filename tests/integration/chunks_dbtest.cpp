// Copies in chunks: under a storm of changes, killed at any moment, into sinks that begin empty.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/random_seed.hpp"
#include "support/sqlite_file.hpp"

using namespace headgate;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr int kKills = 12;  // more with HEADGATE_KILL_ROUNDS

// pad is kept out of line, so that an update which leaves it alone does not send it.
constexpr const char* kTables = R"(
  CREATE SCHEMA app;
  CREATE TABLE app.big (id int PRIMARY KEY, n int NOT NULL, pad text);
  ALTER TABLE app.big ALTER pad SET STORAGE EXTERNAL;
  CREATE TABLE app.pair (a text, b int, note text, PRIMARY KEY (a, b));
  CREATE TABLE app.hot (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), n int NOT NULL, pad text);
  ALTER TABLE app.hot ALTER pad SET STORAGE EXTERNAL;
  CREATE TABLE app.loose (a int, b text);
  ALTER TABLE app.loose REPLICA IDENTITY FULL;
  CREATE TABLE app.empty (id int PRIMARY KEY);
  CREATE TABLE app.one (id int PRIMARY KEY, t text);
  INSERT INTO app.big SELECT i * 10, i, repeat(md5(i::text), 100) FROM generate_series(1, 4000) i;
  INSERT INTO app.pair SELECT chr(65 + i % 50) || i % 7, i, 'n' || i FROM generate_series(1, 3000) i;
  INSERT INTO app.hot (n, pad) SELECT i, repeat(md5(i::text), 100) FROM generate_series(1, 300) i;
  INSERT INTO app.loose SELECT i % 100, 'x' || i % 10 FROM generate_series(1, 500) i;
  INSERT INTO app.one VALUES (1, NULL);
)";

const std::vector<std::string> kNames = {"app.big",   "app.pair",  "app.hot",
                                         "app.loose", "app.empty", "app.one"};

// An application that does to the tables what applications do, one small transaction after the
// other, until it is stopped.
class Storm {
 public:
  Storm(const std::string& conninfo, std::uint64_t seed)
      : random_(seed), thread_([this, conninfo](const std::stop_token& stop) {
          demo::PgSession session(conninfo);
          while (!stop.stop_requested()) {
            session.execute(next());
            ++done_;
          }
        }) {}

  void run_for(std::uint64_t statements) const {
    const std::uint64_t until = done_ + statements;
    while (done_ < until) {
      std::this_thread::yield();
    }
  }

  void stop() {
    thread_.request_stop();
    thread_.join();
  }

 private:
  int any(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  std::string next() {
    const int id = (1 + any(4000)) * 10;
    const int letter = any(50);
    switch (any(14)) {
      case 0:
        return fmt::format(
            "INSERT INTO app.big VALUES ({}, 0, repeat('y', 4000)) ON CONFLICT (id) "
            "DO UPDATE SET n = 0",
            id + any(10));
      case 1:
        return fmt::format("DELETE FROM app.big WHERE id = {}", id);
      case 2:  // moved, all values sent
        return fmt::format(
            "UPDATE app.pair SET b = b + 100000 WHERE a = chr({}) || {} AND b < 5000", 65 + letter,
            any(7));
      case 3:
        return fmt::format(
            "UPDATE app.pair SET a = chr({}) || '!', note = note || '.' WHERE b = {}", 65 + letter,
            1 + any(3000));
      case 4:
        return fmt::format(
            "INSERT INTO app.pair VALUES (chr({}) || {}, {}, NULL) ON CONFLICT DO "
            "NOTHING",
            65 + letter, any(7), 10000 + any(1000));
      case 5:
        return fmt::format("DELETE FROM app.pair WHERE b = {}", 1 + any(3000));
      case 6:
        return fmt::format(
            "BEGIN; UPDATE app.big SET n = n + 1 WHERE id BETWEEN {} AND {}; UPDATE "
            "app.hot SET n = n + 1 WHERE n % 3 = 0; COMMIT",
            id, id + 100);
      case 7:
        return fmt::format("INSERT INTO app.loose VALUES ({}, 'z')", any(100));
      case 8:
        return fmt::format("DELETE FROM app.loose WHERE a = {} AND b = 'z'", any(100));
      case 9:
        if (any(10) == 0) {  // moved, without pad
          return fmt::format(
              "UPDATE app.big SET id = id + 1 WHERE id = {} AND NOT EXISTS (SELECT 1 "
              "FROM app.big WHERE id = {})",
              id, id + 1);
        }
        return "UPDATE app.one SET t = md5(random()::text)";
      default:
        return "UPDATE app.hot SET n = n + 1 WHERE n % 2 = 0";
    }
  }

  std::mt19937_64 random_;  // the thread's alone
  std::atomic<std::uint64_t> done_ = 0;
  std::jthread thread_;  // last: it uses all of the above
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (auto place = text.find(part); place != std::string::npos;
       place = text.find(part, place + 1)) {
    ++found;
  }
  return found;
}

}  // namespace

TEST_CASE("a copy that is killed at any moment goes on, and ends like the source") {
  const std::uint64_t seed = random_seed("chunks");
  INFO("HEADGATE_SEED=" << seed);
  const auto kills = number_from_environment("HEADGATE_KILL_ROUNDS", kKills);
  std::mt19937_64 random(seed);
  MirrorOptions options;
  // Slow enough that most of the kills meet it.
  options.more = "snapshot: { chunk_rows: 100, max_rate: 4MiB }\n";
  MirrorSetup setup({"app.*"}, options);
  demo::PgSession(setup.source().conninfo()).execute(kTables);

  Storm storm(setup.source().conninfo(), seed);
  for (std::uint64_t round = 0; round < kills; ++round) {
    setup.daemon().start();
    if (round == 0) {
      setup.daemon().wait_until("the copy begins", 30s,
                                [&] { return count(setup.daemon().log(), "copy started") > 0; });
    }
    storm.run_for(std::uniform_int_distribution<std::uint64_t>(20, 600)(random));
    REQUIRE(setup.daemon().running());
    setup.daemon().kill9();
  }
  setup.daemon().start();
  setup.daemon().wait_ready(120s);
  storm.run_for(500);
  storm.stop();
  setup.catch_up(120s);
  CHECK(setup.differences(kNames) == "");
  CHECK(count(setup.daemon().log(), "copy goes on table=app.big") > 0);  // it did interrupt
  CHECK(setup.daemon().terminate().ok());
}

// One chunk, which takes its time, and rows that change all the while.
TEST_CASE("rows that change hundreds of times while their own chunk is read end like the source") {
  MirrorOptions options;
  options.more = "snapshot: { chunk_rows: 1000000 }\n";
  MirrorSetup setup({"public.wide"}, options);
  Daemon& daemon = setup.daemon();
  demo::PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.wide (id int PRIMARY KEY, n int NOT NULL, pad text);"
      "ALTER TABLE public.wide ALTER pad SET STORAGE EXTERNAL;"
      "INSERT INTO public.wide SELECT i, 0, repeat(md5(i::text), 100) "
      "FROM generate_series(1, 60000) i");
  std::jthread changes([&](const std::stop_token& stop) {
    demo::PgSession session(setup.source().conninfo());
    while (!stop.stop_requested()) {
      session.execute("UPDATE public.wide SET n = n + 1 WHERE id % 6000 = 0");
    }
  });
  const auto changed = [&] {
    return std::stoi(source.value("SELECT min(n) FROM public.wide WHERE id % 6000 = 0"));
  };
  const auto logged = [&](const std::string& part) {
    daemon.wait_until(part, 60s, [&] { return count(daemon.log(), part) > 0; });
  };
  daemon.start();
  logged("copy started");
  const int before = changed();
  logged("table read table=public.wide");
  const int after = changed();
  daemon.wait_ready(60s);
  changes.request_stop();
  changes.join();
  CHECK(after - before > 50);  // else the test does not show what it says
  setup.catch_up(120s);
  CHECK(setup.differences({"public.wide"}) == "");
}

TEST_CASE("the source works on as many chunks of a table at a time as it is told to") {
  const int parallel = GENERATE(1, 3);
  CAPTURE(parallel);
  MirrorOptions options;
  options.more = fmt::format("snapshot: {{ chunk_rows: 1000, parallel: {} }}\n", parallel);
  MirrorSetup setup({"public.many"}, options);
  Daemon& daemon = setup.daemon();
  demo::PgSession source(setup.source().conninfo());
  source.execute(
      "CREATE TABLE public.many (a int, b text, t text, PRIMARY KEY (b, a));"
      "INSERT INTO public.many SELECT i, md5(i::text), repeat('t', 3000) "
      "FROM generate_series(1, 30050) i");
  daemon.start();
  int seen = 0;
  daemon.wait_until("the copy", 60s, [&] {
    // What a session did last, if it is idle.
    seen = std::max(seen, std::stoi(source.value("SELECT count(*) FROM pg_stat_activity "
                                                 "WHERE query LIKE 'COPY %public%many%'")));
    return count(daemon.log(), "table read table=public.many") > 0;
  });
  CHECK(seen == parallel);
  daemon.wait_ready();
  setup.catch_up();
  CHECK(setup.differences({"public.many"}) == "");
}

TEST_CASE(
    "a fresh copy of some tables, asked for while changes flow, mends what was broken there") {
  const std::uint64_t seed = random_seed("chunks");
  INFO("HEADGATE_SEED=" << seed);
  MirrorOptions options;
  options.more = "snapshot: { chunk_rows: 100, max_rate: 2MiB }\n";
  MirrorSetup setup({"app.*"}, options);
  Daemon& daemon = setup.daemon();
  demo::PgSession(setup.source().conninfo()).execute(kTables);
  daemon.start();
  daemon.wait_ready(120s);

  // Somebody has written to the mirrors: rows gone, changed, and of their own.
  const auto damage = [](const std::string& big, const std::string& loose) {
    return fmt::format(
        "DELETE FROM {0} WHERE id % 3 = 0; UPDATE {0} SET n = -1 WHERE id % 7 = 0; "
        "INSERT INTO {0} VALUES (-5, 0, NULL); DELETE FROM {1};",
        big, loose);
  };
  demo::PgSession(setup.sink().conninfo()).execute(damage("app.big", "app.loose"));
  SqliteFile(setup.sqlite_path()).execute(damage("\"app.big\"", "\"app.loose\""));
  REQUIRE(setup.differences({"app.big", "app.loose"}) != "");

  Storm storm(setup.source().conninfo(), seed);
  CHECK(daemon.command({"snapshot", "pause"}).status->code == 1);  // there is none
  CHECK(daemon.command({"snapshot", "start", "app.none"}).ok());   // might be there by then
  const auto foreign = daemon.command({"snapshot", "start", "other.big"});
  CHECK_FALSE(foreign.ok());
  CHECK_THAT(foreign.err, Catch::Contains("other.big"));
  daemon.wait_until("the copy of no table ends", 30s, [&] {
    return count(daemon.log(), "copy read tables=0") == 1 &&
           count(daemon.command({"status"}).out, "polling, ready") == 1;
  });

  const auto copies = [&] { return count(daemon.log(), "copy read tables=2"); };
  const auto started = daemon.command({"snapshot", "start", "app.big", "app.loose"});
  INFO(started.err);
  REQUIRE(started.ok());
  daemon.wait_until("the copy runs", 30s, [&] {
    return daemon.command({"snapshot", "status"}).out.find(" of 2 tables") != std::string::npos;
  });
  const auto again = daemon.command({"snapshot", "start"});
  CHECK(again.status->code == 1);
  CHECK_THAT(again.err, Catch::Contains("running already"));

  // Readers keep the copy that they have, damaged as it is, and it goes on changing.
  CHECK(demo::PgSession(setup.sink().conninfo()).value("SELECT n FROM app.big WHERE id = -5") ==
        "0");
  REQUIRE(daemon.command({"snapshot", "pause"}).ok());
  storm.run_for(300);
  CHECK(copies() == 0);
  REQUIRE(daemon.command({"snapshot", "resume"}).ok());
  storm.run_for(100);
  daemon.kill9();
  daemon.start();
  daemon.wait_until("the copy ends", 120s, [&] { return copies() == 1; });
  daemon.wait_ready(60s);

  REQUIRE(daemon.command({"snapshot", "start"}).ok());
  daemon.wait_until("the copy of all tables runs", 30s, [&] {
    return daemon.command({"snapshot", "status"}).out.find(" of 7 tables") != std::string::npos;
  });
  REQUIRE(daemon.command({"snapshot", "cancel"}).ok());
  daemon.wait_until("it is cancelled", 30s,
                    [&] { return count(daemon.log(), "copy cancelled") == 1; });
  daemon.wait_ready(60s);
  storm.stop();
  setup.catch_up(120s);
  CHECK(setup.differences(kNames) == "");
  CHECK(demo::PgSession(setup.sink().conninfo())
            .value("SELECT count(*) FROM pg_class WHERE relname LIKE 'headgate_copy%'") == "0");
  CHECK(daemon.terminate().ok());
}

TEST_CASE("tables that come later are copied alone, when the daemon starts again") {
  MirrorSetup setup({"app.*"});
  Daemon& daemon = setup.daemon();
  demo::PgSession source(setup.source().conninfo());
  source.execute(kTables);
  daemon.start();
  daemon.wait_ready(120s);
  REQUIRE(daemon.terminate().ok());

  source.execute(
      "CREATE TABLE app.later (id int PRIMARY KEY, t text); INSERT INTO app.later SELECT "
      "i, 'l' || i FROM generate_series(1, 500) i; CREATE TABLE app.log (line text); "
      "INSERT INTO app.log VALUES ('a'), ('a')");
  daemon.start();
  daemon.wait_until("the new tables are copied", 60s,
                    [&] { return count(daemon.log(), "copy read tables=2 rows=502") == 1; });
  daemon.wait_ready(60s);
  source.execute("UPDATE app.later SET t = 'u' WHERE id < 10; INSERT INTO app.log VALUES ('b')");
  setup.catch_up();
  std::vector<std::string> names = kNames;
  names.push_back("app.later");
  names.push_back("app.log");
  CHECK(setup.differences(names) == "");
  const std::string told = daemon.command({"tables"}).out;
  INFO(told);
  CHECK(count(told, "streaming") == 2 * 9);
  CHECK(count(told, "copying") == 0);
  REQUIRE(daemon.terminate().ok());

  // What was not published for a while has changed unseen.
  source.execute(
      "ALTER PUBLICATION headgate_test DROP TABLE app.later; "
      "DELETE FROM app.later WHERE id = 100");
  daemon.start();
  daemon.wait_until("it stops", 60s, [&] { return !daemon.running(); });
  CHECK_THAT(daemon.log_end(), Catch::Contains("app.later"));
  daemon.start();
  CHECK_FALSE(daemon.wait_exit().ok());
}

TEST_CASE(
    "where the first copy is none in chunks, or none at all, tables are copied when asked for") {
  const std::string first = GENERATE("method: bulk", "mode: never, existing: keep");
  INFO(first);
  MirrorOptions options;
  options.more = "snapshot: { " + first + ", chunk_rows: 100, max_rate: 64KiB }\n";
  MirrorSetup setup({"app.*"}, options);
  Daemon& daemon = setup.daemon();
  demo::PgSession source(setup.source().conninfo());
  source.execute(kTables);
  daemon.start();
  daemon.wait_ready(120s);
  setup.catch_up();

  REQUIRE(daemon.command({"snapshot", "start", "app.pair", "app.loose"}).ok());
  daemon.wait_until("the copy runs", 30s, [&] {
    return daemon.command({"snapshot", "status"}).out.find(" of 2 tables") != std::string::npos;
  });
  source.execute(
      "UPDATE app.pair SET note = 'new' WHERE b < 100; DELETE FROM app.pair WHERE b > 2900");
  daemon.kill9();
  daemon.start();
  daemon.wait_until("the copy ends", 60s,
                    [&] { return count(daemon.log(), "copy read tables=2 ") == 1; });
  setup.catch_up();
  CHECK(setup.differences({"app.pair", "app.loose"}) == "");
  CHECK(daemon.terminate().ok());
}

TEST_CASE("a transaction that stays open holds a copy up, and not the changes") {
  MirrorSetup setup({"app.*"});
  Daemon& daemon = setup.daemon();
  demo::PgSession source(setup.source().conninfo());
  source.execute(kTables);
  daemon.start();
  daemon.wait_ready(120s);
  demo::PgSession idle(setup.source().conninfo());
  idle.execute("BEGIN; UPDATE app.one SET t = 'open'");
  REQUIRE(daemon.command({"snapshot", "start", "app.big"}).ok());
  daemon.wait_until("the copy has waited once", 60s,
                    [&] { return count(daemon.log(), "the copy waits") == 1; });
  for (int round = 0; round < 3; ++round) {
    source.execute("UPDATE app.big SET n = n + 1 WHERE id < 100");
    setup.catch_up(30s);
  }
  CHECK(count(daemon.log(), "copy read") == 1);  // the first one
  CHECK(count(daemon.command({"snapshot", "status"}).out, "0 of 1 tables") == 1);
  idle.execute("COMMIT");
  daemon.wait_until("the copy ends", 60s, [&] { return count(daemon.log(), "copy read") == 2; });
  daemon.wait_ready(60s);
  setup.catch_up();
  CHECK(setup.differences(kNames) == "");
}
