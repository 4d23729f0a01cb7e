// A first start that meets an obstacle, and a restart after something changed at the source: what
// is said, what stays behind, and that nothing is lost without a word.

#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/mirror_setup.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

bool says(const std::string& log, const std::string& words) {
  return log.find(words) != std::string::npos;
}

std::size_t count_of(const std::string& log, const std::string& words) {
  std::size_t count = 0;
  for (std::size_t at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) {
    ++count;
  }
  return count;
}

// One source with table public.items of one row, and a SQLite sink.
struct Source {
  TempDir folder;
  ThrowawayCluster cluster;
  PipelineConfig config;

  Source() {
    execute(
        "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
        "INSERT INTO public.items VALUES (1, 'one')");
    config.source_dsn = cluster.conninfo();
    config.tables = {"public.*"};
    config.sinks = {sqlite_sink("file", folder.path("mirror.db"))};
  }

  void execute(const std::string& sql) const { PgSession(cluster.conninfo()).execute(sql); }
  std::string ask(const std::string& sql) const { return PgSession(cluster.conninfo()).value(sql); }
};

// CPU time of a process in clock ticks: fields 14 and 15 of /proc/PID/stat.
long cpu_ticks(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  const std::string text((std::istreambuf_iterator<char>(file)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string skipped;
  for (int i = 0; i < 11; ++i) {
    fields >> skipped;
  }
  long user = 0;
  long system = 0;
  fields >> user >> system;
  return user + system;
}

}  // namespace

// The slot of a pipeline that never began would keep the source's log for ever.
TEST_CASE("a first start that a person must mend leaves no slot behind") {
  Source source;
  source.config.sinks = {postgres_sink("report", source.cluster.conninfo("report"))};
  source.execute("CREATE DATABASE report");
  PgSession(source.cluster.conninfo("report"))
      .execute(
          "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
          "INSERT INTO public.items VALUES (5, 'mine')");
  Daemon daemon(source.folder, source.config);
  daemon.start();
  CHECK(daemon.wait_exit().code == 77);
  CHECK(says(daemon.log(), "existing"));
  INFO(daemon.log());
  CHECK(source.ask("SELECT count(*) FROM pg_replication_slots") == "0");
}

// Creating a slot waits for every open transaction. The first attempts give up; they must leave no
// half-made slot that the next one trips over.
TEST_CASE("a first start beside a long transaction waits for it, says so, and then begins") {
  Source source;
  PgSession busy(source.cluster.conninfo());
  busy.execute("BEGIN");
  busy.execute("INSERT INTO public.items VALUES (2, 'late')");
  Daemon daemon(source.folder, source.config);
  daemon.start();
  wait_until("the daemon to say what it waits for", 60s,
             [&] { return says(daemon.log(), "waits for transactions that were open"); });
  CHECK(daemon.running());
  CHECK_FALSE(daemon.ready());
  busy.execute("COMMIT");
  daemon.wait_ready(60s);
  CHECK(source.ask("SELECT count(*) FROM pg_replication_slots") == "1");
  CHECK(daemon.terminate().ok());
}

// The wait is the server's, and may last for hours.
TEST_CASE("a first start that waits for a long transaction can be stopped at once") {
  Source source;
  // The pipeline's own slot is waited for, or that of the first copy.
  const bool copying = GENERATE(false, true);
  INFO("in the first copy: " << copying);
  if (copying) {
    source.execute("SELECT pg_create_logical_replication_slot('headgate_test', 'pgoutput')");
  }
  PgSession busy(source.cluster.conninfo());
  busy.execute("BEGIN");
  busy.execute("INSERT INTO public.items VALUES (2, 'late')");
  Daemon daemon(source.folder, source.config);
  daemon.start();
  wait_until("a slot to be waited for", 30s, [&] {
    return source.ask(
               "SELECT count(*) FROM pg_stat_activity "
               "WHERE backend_type = 'walsender' AND wait_event_type = 'Lock'") == "1";
  });
  const std::string unfinished =
      "SELECT count(*) FROM pg_replication_slots WHERE confirmed_flush_lsn IS NULL";
  CHECK(source.ask(unfinished) == "1");
  const auto begun = std::chrono::steady_clock::now();
  CHECK(daemon.terminate().ok());
  CHECK(std::chrono::steady_clock::now() - begun < 10s);  // shutdown_timeout is 30 s
  INFO(daemon.log());
  CHECK_FALSE(says(daemon.log(), "shutdown_timeout passed"));
  CHECK(source.ask(unfinished) == "0");
  busy.execute("COMMIT");
  daemon.start();
  daemon.wait_ready();
  CHECK(daemon.terminate().ok());
}

// Defaults of a role or database are made for applications. A copy takes as long as it takes.
TEST_CASE("a statement_timeout of the database does not end the first copy") {
  Source source;
  source.execute(
      "INSERT INTO public.items SELECT i, repeat('x', 100) FROM generate_series(2, 400000) i;"
      "ALTER DATABASE postgres SET statement_timeout = '50ms'");
  Daemon daemon(source.folder, source.config);
  daemon.start();
  daemon.wait_ready(60s);
  CHECK_FALSE(says(daemon.log(), "statement timeout"));
  CHECK(daemon.terminate().ok());
}

TEST_CASE("tables that are created later stop no restart, whatever they look like") {
  Source source;
  Daemon daemon(source.folder, source.config);
  daemon.start();
  daemon.wait_ready();
  CHECK(daemon.terminate().ok());
  source.execute(
      "CREATE TABLE public.scratch (a integer);"
      "CREATE UNLOGGED TABLE public.cache (id integer PRIMARY KEY);"
      "CREATE TABLE public.keyed (id integer PRIMARY KEY)");
  daemon.start();
  daemon.wait_ready();
  CHECK(says(daemon.log(), "table public.cache is new"));  // its changes are in no log
  for (const char* table : {"public.scratch", "public.keyed"}) {
    CHECK_FALSE(says(daemon.log(), std::string("table ") + table + " is new"));
  }
  daemon.wait_until("the others are copied", 30s,
                    [&] { return says(daemon.log(), "copy read tables=2"); });
  CHECK(daemon.terminate().ok());
}

// How soon the first change arrives is mostly how much is asked before. The bounds have some room;
// what they refuse is a statement for each table, or a session for each question.
TEST_CASE("a start asks the source few things, through two sessions, however many tables it has") {
  constexpr std::size_t kStatementsMax = 35;
  Source source;
  std::string tables;
  for (int i = 0; i < 40; ++i) {
    tables += fmt::format("CREATE TABLE public.t{} (id integer PRIMARY KEY, t text);", i);
  }
  source.execute(tables);
  source.execute("CREATE DATABASE report");
  source.config.sinks = {postgres_sink("report", source.cluster.conninfo("report"))};
  Daemon daemon(source.folder, source.config);
  daemon.start();
  daemon.wait_ready();
  CHECK(daemon.terminate().ok());
  for (const char* sql : {"ALTER DATABASE postgres SET log_statement = 'all'",
                          "ALTER SYSTEM SET log_connections = on",
                          "ALTER SYSTEM SET log_replication_commands = on"}) {
    source.execute(sql);
  }
  source.ask("SELECT pg_reload_conf()");

  const std::size_t before = read_file(source.cluster.log_path()).size();
  daemon.start();
  std::string log;
  daemon.wait_until("the stream to begin", 30s, [&] {
    log = read_file(source.cluster.log_path()).substr(before);
    return says(log, "command: START_REPLICATION");
  });
  log.resize(log.find("command: START_REPLICATION"));
  INFO(log);
  CHECK(count_of(log, "LOG:  statement: ") + count_of(log, "LOG:  execute ") +
            count_of(log, "replication command: ") <=
        kStatementsMax);
  CHECK(count_of(log, "connection authorized: ") - count_of(log, "database=report") == 2);
  daemon.wait_ready();
  CHECK(daemon.terminate().ok());
}

// Without truncate, a TRUNCATE at the source would leave the mirror full, and nobody would know.
TEST_CASE("a publication that leaves an operation out is refused") {
  Source source;
  source.execute(
      "CREATE PUBLICATION headgate_test FOR TABLE public.items "
      "WITH (publish = 'insert, update, delete')");
  Daemon daemon(source.folder, source.config);
  const RunResult check = daemon.command({"check"});
  CHECK(check.status->code == 77);
  daemon.start();
  CHECK(daemon.wait_exit().code == 77);
  CHECK(says(daemon.log(), "does not publish every operation"));
  CHECK(says(daemon.log(), "truncate"));
}

// The server's data is put back as it was: same system, same timeline, an older log. Read from the
// sink's position, everything until there would be skipped without a word.
TEST_CASE("a source that was restored to an earlier state is noticed") {
  Source source;
  Daemon daemon(source.folder, source.config);
  daemon.start();
  daemon.wait_ready();
  CHECK(daemon.terminate().ok());
  const std::string data = source.cluster.folder() + "/data";
  REQUIRE(std::filesystem::is_directory(data));
  source.cluster.stop(ThrowawayCluster::StopMode::kFast);
  const std::string backup = source.cluster.folder() + "/backup";
  REQUIRE(std::system(("cp -a '" + data + "' '" + backup + "'").c_str()) == 0);

  source.cluster.start();
  source.execute(
      "INSERT INTO public.items SELECT i, repeat('x', 100) FROM generate_series(2, 20000) i");
  daemon.start({"--until", "now"});
  CHECK(daemon.wait_exit().ok());
  source.cluster.stop(ThrowawayCluster::StopMode::kFast);
  REQUIRE(std::system(("rm -rf '" + data + "' && mv '" + backup + "' '" + data + "'").c_str()) ==
          0);

  source.cluster.start();
  daemon.start();
  CHECK(daemon.wait_exit().code == 76);
  CHECK(says(daemon.log(), "was the source restored"));
}

// A value that the sink refuses must not be repeated in the log, however the server quotes it.
TEST_CASE("no value reaches the log when a sink refuses one") {
  Source source;
  source.execute("CREATE DATABASE report");
  source.execute(
      "CREATE TYPE public.pair AS (a text, b text);"
      "ALTER TABLE public.items ADD COLUMN p public.pair");
  PgSession(source.cluster.conninfo("report"))
      .execute(
          "CREATE TYPE public.pair AS (a text, b integer);"
          "CREATE TABLE public.items (id integer PRIMARY KEY, t text, p public.pair)");
  source.config.sinks = {postgres_sink("report", source.cluster.conninfo("report"))};
  Daemon daemon(source.folder, source.config);
  daemon.start();
  daemon.wait_ready();
  source.execute("INSERT INTO public.items VALUES (7, 'x', ('my \"secret', 'my other secret'))");
  CHECK(daemon.wait_exit().code == 77);
  CHECK(says(daemon.log(), "kind=row"));
  CHECK_FALSE(says(daemon.log(), "secret"));
}

TEST_CASE("a sink that is away costs no processor time, although transactions wait for it") {
  MirrorSetup setup({"public.items"});
  PgSession(setup.source().conninfo())
      .execute("CREATE TABLE public.items (id integer PRIMARY KEY, t text)");
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.sink().stop(ThrowawayCluster::StopMode::kFast);
  PgSession(setup.source().conninfo()).execute("INSERT INTO public.items VALUES (1, 'waits')");
  wait_until("the sink to be missed", 30s,
             [&] { return says(setup.daemon().log(), "sink unavailable"); });

  const long before = cpu_ticks(setup.daemon().pid());
  const auto begun = std::chrono::steady_clock::now();
  wait_until("three seconds to pass", 30s,
             [&] { return std::chrono::steady_clock::now() - begun > 3s; });
  const long ticks = cpu_ticks(setup.daemon().pid()) - before;
  // A spinning thread takes all of one processor. A tenth of it is far above what waiting costs.
  CHECK(ticks < 3 * sysconf(_SC_CLK_TCK) / 10);
  setup.sink().start();
  setup.catch_up(60s);
}

TEST_CASE("--until takes an LSN or now, and anything else is a wrong command line") {
  Source source;
  Daemon daemon(source.folder, source.config);
  for (const char* wrong : {"foo", "00000027:00000ac0:0002", "0x12"}) {
    daemon.start({"--until", wrong});
    CHECK(daemon.wait_exit().code == 64);
  }
  CHECK(says(daemon.log(), "--until foo"));
}
