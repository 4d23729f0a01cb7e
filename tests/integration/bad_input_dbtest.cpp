// What people get wrong: each must be refused with the documented exit code, a message that names
// the place, and a remedy; and no message may hold a password.

#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>
#include <algorithm>
#include <cctype>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/small_disk.hpp"
#include "support/sqlite_file.hpp"
#include "support/temp_dir.hpp"
#include "support/wait_until.hpp"

using namespace headgate;
using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

const std::string kPassword = "hunter2-never-shown";

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

bool says(const std::string& text, const std::string& word) {
  return lower(text).find(lower(word)) != std::string::npos;
}

struct Refusal {
  std::vector<int> codes;          // one of these
  std::vector<std::string> words;  // all of these, in any case
};

void check_refused(const RunResult& result, const Refusal& wanted) {
  const std::string text = result.out + result.err;
  INFO(text);
  REQUIRE(result.status);
  INFO(result.status->describe());
  CHECK(result.status->signal == 0);
  CHECK(std::count(wanted.codes.begin(), wanted.codes.end(), result.status->code) == 1);
  for (const std::string& word : wanted.words) {
    INFO("expected word: " << word);
    CHECK(says(text, word));
  }
  CHECK_FALSE(says(text, kPassword));
}

// Both ask the same questions of the same servers, so both must refuse alike.
void check_and_run_refused(const Daemon& daemon, const Refusal& wanted) {
  {
    INFO("check");
    check_refused(daemon.command({"check"}), wanted);
  }
  INFO("run");
  check_refused(daemon.command({"run"}), wanted);
}

// A source with one table, and a pipeline from it to a SQLite file.
struct Source {
  TempDir folder;
  ThrowawayCluster cluster;

  explicit Source(ClusterOptions options = {.fsync = false}) : cluster(std::move(options)) {
    PgSession(cluster.conninfo())
        .execute(
            "CREATE TABLE public.items (id integer PRIMARY KEY, name text);"
            "INSERT INTO public.items SELECT i, 'item ' || i FROM generate_series(1, 100) i");
  }

  PipelineConfig pipeline() const {
    PipelineConfig config;
    config.source_dsn = cluster.conninfo();
    config.tables = {"public.items"};
    config.sinks = {sqlite_sink("file", folder.path("mirror.db"))};
    return config;
  }
};

bool is_root() {
  return ::geteuid() == 0;
}

}  // namespace

TEST_CASE("a wrong command line is a usage error") {
  check_refused(headgate::test::headgate({"no-such-command"}), {{kExitUsage}, {"no-such-command"}});
  check_refused(headgate::test::headgate({"run", "--no-such-option"}),
                {{kExitUsage}, {"--no-such-option"}});
  check_refused(headgate::test::headgate({"run"}), {{kExitUsage}, {"--config"}});
}

TEST_CASE("a wrong configuration file is refused with file, line and key") {
  const TempDir folder;
  PipelineConfig config;
  config.source_dsn = "host=/nowhere dbname=shop";
  config.tables = {"public.items"};
  config.sinks = {sqlite_sink("file", folder.path("mirror.db"))};

  check_refused(headgate::test::headgate({"check", "--config", folder.path("absent.yml")}),
                {{kExitConfig}, {folder.path("absent.yml")}});
  check_refused(headgate::test::headgate({"check", "--config", folder.path()}),
                {{kExitConfig}, {folder.path()}});
  const std::string no_yaml = folder.write("noise.yml", "pipeline: [unclosed\n\x01\x02");
  check_refused(headgate::test::headgate({"run", "--config", no_yaml}), {{kExitConfig}, {no_yaml}});

  config.more = "storrage: { dir: ./data }\n";
  const Daemon misspelt(folder, config, "misspelt");
  // The nearest known key is the remedy; the line is the last one of the file.
  check_and_run_refused(misspelt,
                        {{kExitConfig}, {misspelt.config_path() + ":", "storrage", "storage"}});
  check_refused(misspelt.command({"check", "--offline"}), {{kExitConfig}, {"storrage"}});

  config.more = "cdc: { interval: soon }\n";
  check_refused(Daemon(folder, config, "interval").command({"check", "--offline"}),
                {{kExitConfig}, {"interval", "soon"}});
  config.more = "";
  config.sinks = {"{ name: file, type: oracle, path: x }"};
  check_refused(Daemon(folder, config, "type").command({"check", "--offline"}),
                {{kExitConfig}, {"oracle", "sqlite", "postgres"}});
}

TEST_CASE("a source that nobody serves is unavailable, and so is a daemon that does not run") {
  const TempDir folder;
  PipelineConfig config;
  config.source_dsn = "host=" + folder.path() + " port=5432 dbname=shop user=headgate";
  config.tables = {"public.items"};
  config.sinks = {sqlite_sink("file", folder.path("mirror.db"))};
  const Daemon daemon(folder, config);
  check_refused(daemon.command({"check"}), {{kExitUnavailable}, {folder.path()}});
  check_refused(daemon.command({"status"}), {{kExitUnavailable}, {daemon.socket_path()}});
}

TEST_CASE("a wrong password is refused and never shown") {
  const Source source(
      {.hba = {"local all postgres trust", "local replication postgres trust",
               "local all all scram-sha-256", "local replication all scram-sha-256"},
       .fsync = false});
  PgSession(source.cluster.conninfo())
      .execute("CREATE ROLE reader LOGIN REPLICATION PASSWORD 'the right one'");
  const std::string file = source.folder.write("password", kPassword + "\n");
  ::chmod(file.c_str(), 0600);
  PipelineConfig config = source.pipeline();
  config.source_dsn = source.cluster.conninfo("postgres", "reader");
  config.source_keys = {"password_file: " + file};
  check_and_run_refused(Daemon(source.folder, config, "from_file"),
                        {{kExitOperator}, {"reader", "password"}});

  // In the DSN itself: used or refused, but not shown either.
  config.source_keys.clear();
  config.source_dsn += " password=" + kPassword;
  check_and_run_refused(Daemon(source.folder, config, "in_dsn"),
                        {{kExitOperator, kExitConfig}, {"password"}});
  config.source_dsn =
      "postgresql://reader:" + kPassword + "@/postgres?host=" + source.cluster.folder();
  check_and_run_refused(Daemon(source.folder, config, "in_uri"),
                        {{kExitOperator, kExitConfig}, {"password"}});
}

TEST_CASE("a server without logical decoding is refused with the statement that mends it") {
  const Source source({.settings = {{"wal_level", "replica"}}, .fsync = false});
  check_and_run_refused(Daemon(source.folder, source.pipeline()),
                        {{kExitOperator}, {"wal_level", "logical", "ALTER SYSTEM"}});
}

TEST_CASE("a missing database, table or right is named with its remedy") {
  const Source source;
  PgSession admin(source.cluster.conninfo());
  admin.execute(
      "CREATE ROLE no_replication LOGIN; GRANT SELECT ON public.items TO no_replication;"
      "CREATE ROLE no_select LOGIN REPLICATION; GRANT CREATE ON DATABASE postgres TO no_select");
  PipelineConfig config = source.pipeline();

  SECTION("database") {
    config.source_dsn = source.cluster.conninfo("absent_database");
    check_and_run_refused(Daemon(source.folder, config), {{kExitOperator}, {"absent_database"}});
  }
  SECTION("table") {
    config.tables = {"public.items", "public.absent_table"};
    check_and_run_refused(Daemon(source.folder, config),
                          {{kExitOperator}, {"public.absent_table"}});
  }
  SECTION("role without REPLICATION") {
    config.source_dsn = source.cluster.conninfo("postgres", "no_replication");
    check_and_run_refused(Daemon(source.folder, config),
                          {{kExitOperator}, {"no_replication", "ALTER ROLE", "REPLICATION"}});
  }
  SECTION("role without SELECT") {
    config.source_dsn = source.cluster.conninfo("postgres", "no_select");
    check_and_run_refused(Daemon(source.folder, config),
                          {{kExitOperator}, {"items", "GRANT SELECT", "no_select"}});
  }
}

TEST_CASE("a sink that cannot be written is refused") {
  const Source source;
  PipelineConfig config = source.pipeline();

  SECTION("role without CREATE on a server") {
    // Two calls: one string of statements is one transaction, where no database can be created.
    PgSession(source.cluster.conninfo()).execute("CREATE DATABASE report");
    PgSession(source.cluster.conninfo()).execute("CREATE ROLE plain LOGIN");
    config.sinks = {postgres_sink("report", source.cluster.conninfo("report", "plain"))};
    check_and_run_refused(Daemon(source.folder, config),
                          {{kExitOperator}, {"report", "plain", "GRANT CREATE"}});
  }
  SECTION("SQLite file in a missing folder") {
    const std::string path = source.folder.path("absent/mirror.db");
    config.sinks = {sqlite_sink("file", path)};
    check_and_run_refused(Daemon(source.folder, config), {{kExitOperator, kExitStorage}, {path}});
  }
  SECTION("SQLite file in a folder that cannot be written") {
    // Root may write anywhere but in /proc.
    const std::string path = is_root() ? "/proc/mirror.db" : "/mirror.db";
    config.sinks = {sqlite_sink("file", path)};
    check_and_run_refused(Daemon(source.folder, config), {{kExitOperator, kExitStorage}, {path}});
  }
  SECTION("a file that is no database") {
    const std::string path = source.folder.write("mirror.db", std::string(10000, 'x'));
    check_and_run_refused(Daemon(source.folder, config), {{kExitOperator, kExitStorage}, {path}});
    CHECK(read_file(path) == std::string(10000, 'x'));
  }
  SECTION("storage.dir that cannot be made") {
    const std::string path = source.folder.write("file", "in the way") + "/data";
    config.storage_dir = path;
    check_and_run_refused(Daemon(source.folder, config), {{kExitStorage}, {path}});
  }
}

TEST_CASE("a sink table that does not fit, or that has rows, is refused and left alone") {
  const Source source;
  PgSession(source.cluster.conninfo()).execute("CREATE DATABASE report");
  PgSession report(source.cluster.conninfo("report"));
  SqliteFile file(source.folder.path("mirror.db"));
  PipelineConfig config = source.pipeline();
  const bool on_server = GENERATE(false, true);
  INFO((on_server ? "PostgreSQL" : "SQLite"));
  const auto execute = [&](const std::string& sql) {
    on_server ? report.execute(sql) : file.execute(sql);
  };
  if (on_server) {
    config.sinks = {postgres_sink("report", source.cluster.conninfo("report"))};
  }

  SECTION("a column is missing") {
    execute("CREATE TABLE items (id INTEGER PRIMARY KEY)");
    check_refused(Daemon(source.folder, config).command({"run"}),
                  {{kExitOperator}, {"items", "name"}});
  }
  SECTION("the key is another one") {
    execute("CREATE TABLE items (id INTEGER NOT NULL, name TEXT PRIMARY KEY)");
    check_refused(Daemon(source.folder, config).command({"run"}),
                  {{kExitOperator}, {"items", "key"}});
  }
  SECTION("it has rows, and the configuration does not say what to do with them") {
    execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT);");
    execute("INSERT INTO items VALUES (7, 'mine')");
    check_refused(Daemon(source.folder, config).command({"run"}),
                  {{kExitOperator}, {"items", "existing"}});
    CHECK((on_server ? report.value("SELECT name FROM items")
                     : file.value("SELECT name FROM items")) == "mine");
  }
}

// The disk fills while the stream runs; the daemon stops within its failure budget, says so, and
// goes on without a loss once there is room.
TEST_CASE("a full disk under a sink stops the pipeline with nothing lost") {
  Source source;
  const SmallDisk disk(source.folder.path("small"), "3m");
  if (!disk.mounted()) {
    WARN("skipped: no right to mount a small file system");
    return;
  }
  const std::string path = source.folder.path("small/mirror.db");
  PipelineConfig config = source.pipeline();
  config.sinks = {sqlite_sink("file", path)};
  Daemon daemon(source.folder, config);
  daemon.start();
  daemon.wait_ready();
  PgSession(source.cluster.conninfo())
      .execute(
          "INSERT INTO public.items SELECT i, repeat(md5(i::text), 30) "
          "FROM generate_series(1000, 21000) i");
  const ExitStatus ended = daemon.wait_exit(180s);
  INFO(daemon.log_end());
  CHECK(ended.describe() == "exit code " + std::to_string(kExitStorage));
  CHECK(says(daemon.log(), path));
  CHECK(says(daemon.log(), "space"));

  REQUIRE(disk.grow("200m"));
  daemon.start();
  wait_until("the rows", 60s,
             [&] { return SqliteFile(path).value("SELECT count(*) FROM items") == "20101"; });
  CHECK(daemon.terminate().ok());
}

// The first holds the sink; the second must not write, must say whom it waits for, and take over
// when the first is gone.
TEST_CASE("of two processes of one pipeline the second waits and takes over") {
  const Source source;
  PgSession(source.cluster.conninfo()).execute("CREATE DATABASE report");
  PipelineConfig config = source.pipeline();
  const bool on_server = GENERATE(false, true);
  INFO((on_server ? "PostgreSQL" : "SQLite"));
  if (on_server) {
    config.sinks = {postgres_sink("report", source.cluster.conninfo("report"))};
  }
  const auto count = [&] {
    const std::string sql = "SELECT count(*) FROM items";
    return on_server ? PgSession(source.cluster.conninfo("report")).value(sql)
                     : SqliteFile(source.folder.path("mirror.db")).value(sql);
  };
  Daemon first(source.folder, config, "first");
  Daemon second(source.folder, config, "second");
  first.start();
  first.wait_ready();
  second.start();
  wait_until("the second to say that it waits", 60s, [&] {
    REQUIRE(second.running());
    return says(second.log(), "lock") &&
           (on_server || says(second.log(), std::to_string(first.pid())));
  });
  PgSession(source.cluster.conninfo())
      .execute("INSERT INTO public.items SELECT i, 'later' FROM generate_series(101, 200) i");
  wait_until("the first to go on", 60s, [&] { return count() == "200"; });
  CHECK_FALSE(second.ready());

  first.kill9();
  PgSession(source.cluster.conninfo())
      .execute("INSERT INTO public.items SELECT i, 'last' FROM generate_series(201, 300) i");
  second.wait_ready(120s);
  wait_until("the second to go on", 60s, [&] { return count() == "300"; });
  CHECK(second.terminate().ok());
}
