// Copies from SQL Server, by the whole daemon, into SQLite and PostgreSQL, under a storm of
// changes, killed at any moment. The server is the double, through FreeTDS's real driver, which
// captures as late as it likes, or the one that HEADGATE_TEST_SQLSERVER names.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/random_seed.hpp"
#include "support/sqlite_file.hpp"
#include "support/sqlserver_database.hpp"
#include "support/temp_dir.hpp"

using namespace headgate;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr int kRows = 600;
constexpr int kHot = 8;
constexpr std::uint64_t kKills = 4;  // for each sink; more with HEADGATE_KILL_ROUNDS

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++found;
  }
  return found;
}

// In the server's order of uniqueidentifier, neither of the texts nor of the bytes: the last group
// counts first.
std::string guid(int number) {
  return fmt::format("{:08X}-0000-4000-8000-{:012X}", (kRows - number) * 7919, number % 97);
}

// An application that changes all tables in small transactions until it is stopped.
class Storm {
 public:
  Storm(const SqlServerDatabase& server, std::uint64_t seed)
      : random_(seed),
        session_(server.connection_string()),
        thread_([this](const std::stop_token& stop) {
          // Slower than changes can be read, on whatever machine: a stream that falls behind never
          // comes to a copy point.
          constexpr auto kPace = 3ms;
          for (auto due = std::chrono::steady_clock::now(); !stop.stop_requested(); due += kPace) {
            std::this_thread::sleep_until(due);
            session_.execute(next());
            ++done_;
            done_.notify_all();
          }
        }) {}

  void run_for(std::uint64_t statements) const {
    const std::uint64_t until = done_ + statements;
    for (std::uint64_t done = done_; done < until; done = done_) {
      done_.wait(done);
    }
  }
  void stop() {
    thread_.request_stop();
    thread_.join();
  }

 private:
  int any(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  std::string next() {
    const int id = any(kRows);
    switch (any(10)) {
      case 0:
        return fmt::format("DELETE FROM dbo.goods WHERE id = {}", any(kRows + 300));
      case 1:
        return fmt::format(
            "IF NOT EXISTS (SELECT 1 FROM dbo.goods WHERE id = {0}) "
            "INSERT INTO dbo.goods VALUES ({0}, 0, N'new {1}')",
            any(kRows + 300), id);
      case 2:
        if (any(50) > 0) {
          return fmt::format("UPDATE dbo.goods SET n = n + {} WHERE id = {}", any(100), id);
        }
        // The row is moved, and in one of the server's two shapes body is not recorded.
        return fmt::format(
            "IF NOT EXISTS (SELECT 1 FROM dbo.goods WHERE id = {0}) "
            "UPDATE dbo.goods SET id = {0} WHERE id = {1}",
            any(kRows + 300), id);
      case 3:
        return fmt::format(
            "IF NOT EXISTS (SELECT 1 FROM dbo.pairs WHERE a = 'k{0}' AND b = {2}) "
            "UPDATE dbo.pairs SET b = {2} WHERE a = 'k{0}' AND b = {1}",
            id % 50, id, id + 10000);
      case 4:
        return fmt::format(
            "BEGIN TRAN; DELETE FROM dbo.pairs WHERE a = 'k{0}' AND b = {1}; "
            "INSERT INTO dbo.pairs VALUES ('k{0}', {1}, 0); COMMIT",
            id % 50, id);
      case 5:
        return fmt::format("UPDATE dbo.ids SET n = n + 1 WHERE id = '{}'", guid(id));
      case 6:
        return fmt::format("DELETE FROM dbo.ids WHERE id = '{}'", guid(id));
      case 7:
        // Rows of a log, which has no key, and is tidied up at its old end.
        return any(5) == 0   ? fmt::format("DELETE FROM dbo.loose WHERE a < {}", ++entries_ - 200)
               : any(2) == 0 ? fmt::format("INSERT INTO dbo.loose VALUES ({}, 'late')", ++entries_)
                             : fmt::format("UPDATE dbo.goods SET body = N'text {}' WHERE id = {}",
                                           any(100), id);
      default:
        return fmt::format(
            "BEGIN TRAN; UPDATE dbo.goods SET n = n - 1 WHERE id = {}; UPDATE dbo.hot SET n = n + "
            "1 WHERE id = {}; COMMIT",
            id, any(kHot));
    }
  }

  std::mt19937_64 random_;
  SqlServerSession session_;
  int entries_ = 1000;  // of the log
  std::atomic<std::uint64_t> done_ = 0;
  std::jthread thread_;
};

void fill(SqlServerDatabase& server) {
  server.execute(
      "CREATE TABLE dbo.goods (id int NOT NULL PRIMARY KEY, n int NOT NULL, body nvarchar(max) "
      "NULL); CREATE TABLE dbo.pairs (a varchar(10) NOT NULL, b int NOT NULL, n int NOT NULL, "
      "PRIMARY KEY (a, b)); CREATE TABLE dbo.ids (id uniqueidentifier NOT NULL PRIMARY KEY, n int "
      "NOT NULL); CREATE TABLE dbo.hot (id int NOT NULL PRIMARY KEY, n int NOT NULL, pad "
      "nvarchar(max) NULL); CREATE TABLE dbo.loose (a int NULL, b varchar(10) NULL)");
  std::string batch = "BEGIN TRAN; ";
  for (int i = 0; i < kRows; ++i) {
    batch += fmt::format(
        "INSERT INTO dbo.goods VALUES ({0}, 10, N'body of {0}'); INSERT INTO dbo.pairs VALUES "
        "('k{1}', {0}, 10); INSERT INTO dbo.ids VALUES ('{2}', 0); ",
        i, i % 50, guid(i));
  }
  for (int i = 0; i < kHot; ++i) {
    batch += fmt::format("INSERT INTO dbo.hot VALUES ({}, 0, N'never recorded again'); ", i);
    batch += "INSERT INTO dbo.loose VALUES (1, 'x'); ";
  }
  server.execute(batch + "COMMIT");
  for (const char* name : {"goods", "pairs", "ids", "hot", "loose"}) {
    server.enable(name);
  }
  server.wait_captured();
}

enum class To { kSqlite, kPostgres };

// A source under a storm, its changes captured with a lag that changes all the time, and a daemon
// that copies it.
class Copying {
 public:
  // `rate`: of the copy, as the configuration writes it.
  explicit Copying(const std::string& name, const std::string& rate = "null", To to = To::kSqlite)
      : seed(random_seed(name)), random(seed) {
    if (server.scripted() != nullptr) {
      misbehave(*server.scripted());
    }
    fill(server);
    config.pipeline = "copy";
    config.tables = {"dbo.*"};
    if (to == To::kPostgres) {
      cluster.emplace(demo::ClusterOptions{{}, {}, false});
      config.sinks = {postgres_sink("server", cluster->conninfo())};
    } else {
      config.sinks = {sqlite_sink("file", folder.path("mirror.db"))};
    }
    config.more = fmt::format("snapshot: {{ chunk_rows: 40, max_rate: {} }}\n", rate);
    config.source_type = "sqlserver";
    config.source_dsn = server.connection_string();
  }

  std::uint64_t any(std::uint64_t least, std::uint64_t most) {
    return std::uniform_int_distribution<std::uint64_t>(least, most)(random);
  }

  // How far the copy of each table is, as the sink remembers it.
  demo::TextRows progress() {
    return mirrored("SELECT table_id, description FROM headgate_tables ORDER BY 1");
  }

  // Of the sink.
  demo::TextRows mirrored(const std::string& query) {
    return cluster ? demo::PgSession(cluster->conninfo()).query(query)
                   : SqliteFile(folder.path("mirror.db")).query(query);
  }

  std::string progress_text() {
    std::string text;
    for (const auto& row : progress()) {
      text += row.back().value_or("");
    }
    return text;
  }

  // Once nothing changes any more.
  void compare(Daemon& daemon) {
    const std::string of_mirror = cluster ? "dbo." : "";
    const std::string guid_text = cluster ? "upper(id::text)" : "id";
    for (const char* query : {"SELECT id, n, body FROM {}goods", "SELECT a, b, n FROM {}pairs",
                              "SELECT {1}, n FROM {0}ids", "SELECT id, n, pad FROM {}hot",
                              "SELECT a, b FROM {}loose"}) {
      auto source = server.query(fmt::format(fmt::runtime(query), "dbo.", "id"));
      std::sort(source.begin(), source.end());
      const std::string what = fmt::format("the mirror is like the source: {}", query);
      daemon.wait_until(what, 60s, [&] {
        std::vector<std::vector<std::string>> mirror;
        for (const auto& row : mirrored(fmt::format(fmt::runtime(query), of_mirror, guid_text))) {
          std::vector<std::string>& values = mirror.emplace_back();
          for (const auto& value : row) {
            values.push_back(value.value_or("NULL"));
          }
        }
        std::sort(mirror.begin(), mirror.end());
        return mirror == source;
      });
    }
  }

  const std::uint64_t seed;
  std::mt19937_64 random;
  TempDir folder;
  SqlServerDatabase server;
  std::optional<demo::ThrowawayCluster> cluster;  // the sink, where that is PostgreSQL
  PipelineConfig config;

 private:
  void misbehave(SqlServerDouble& scripted) {
    scripted.change_traits([&](sqlserver::ServerTraits& traits) {
      traits.unchanged_large_values_kept = false;
      traits.key_updates = random() % 2 == 0 ? sqlserver::KeyUpdateShape::kUpdatePair
                                             : sqlserver::KeyUpdateShape::kDeleteInsert;
      traits.empty_scans_keep_first_start = random() % 2 == 0;
    });
    scripted.set_capture(CaptureMode::kAutomatic,
                         [lags = std::make_shared<std::mt19937_64>(seed + 1)] {
                           return std::chrono::milliseconds((*lags)() % 7 == 0 ? 60 : 0);
                         });
  }
};

}  // namespace

TEST_CASE("a first copy under a storm of changes, killed again and again, is like the source") {
  const To to = GENERATE(To::kSqlite, To::kPostgres);
  Copying copying("sqlserver_copy_mirror", "64KiB", to);
  INFO("HEADGATE_SEED=" << copying.seed);
  Daemon daemon(copying.folder, copying.config);
  Storm storm(copying.server, copying.seed);
  const std::uint64_t kills = number_from_environment("HEADGATE_KILL_ROUNDS", kKills);
  for (std::uint64_t kill = 0; kill < kills; ++kill) {
    const auto before = kill == 0 ? demo::TextRows{} : copying.progress();
    daemon.start();
    if (kill == 0) {
      daemon.wait_until("the copy begins", 30s,
                        [&] { return count(daemon.log(), "copy started") > 0; });
    } else if (copying.any(0, 3) > 0 && count(daemon.log(), "copy read ") == 0) {
      daemon.wait_until("the copy gets on", 30s, [&] { return copying.progress() != before; });
    }
    storm.run_for(copying.any(0, 500));
    REQUIRE(daemon.running());
    daemon.kill9();
  }
  daemon.start();
  // What the log says may be an earlier run's, and what that run read lost with it.
  daemon.wait_until("the copy is in the sink", 120s,
                    [&] { return count(copying.progress_text(), "\"consistent_from\":") == 5; });
  storm.stop();
  copying.compare(daemon);
  CHECK(count(daemon.log(), "copy goes on table=") > 0);  // it did interrupt
  CHECK(count(daemon.log(), "table is left behind") == 0);
  CHECK(daemon.terminate().ok());
}

TEST_CASE("tables are copied anew beside a storm: paused, gone on with, killed, and cancelled") {
  Copying copying("sqlserver_copy_again", "64KiB");
  INFO("HEADGATE_SEED=" << copying.seed);
  Daemon daemon(copying.folder, copying.config);
  daemon.start();
  daemon.wait_ready(60s);
  Storm storm(copying.server, copying.seed);

  REQUIRE(daemon.command({"snapshot", "start", "dbo.goods", "dbo.hot"}).ok());
  daemon.wait_until("the copy gets on", 30s,
                    [&] { return count(copying.progress_text(), "\"chunks\":") > 0; });
  REQUIRE(daemon.command({"snapshot", "pause"}).ok());
  daemon.wait_until("it is paused", 30s, [&] {
    return count(daemon.command({"snapshot", "status"}).out, "paused") > 0;
  });
  storm.run_for(300);
  REQUIRE(daemon.command({"snapshot", "resume"}).ok());
  storm.run_for(300);
  daemon.kill9();
  daemon.start();
  daemon.wait_until("the copy ends", 60s,
                    [&] { return count(daemon.log(), "copy read tables=2") == 1; });

  REQUIRE(daemon.command({"snapshot", "start"}).ok());
  daemon.wait_until("the copy of all tables runs", 30s, [&] {
    return count(daemon.command({"snapshot", "status"}).out, " of 5 tables") > 0;
  });
  REQUIRE(daemon.command({"snapshot", "cancel"}).ok());
  daemon.wait_until("it is cancelled", 30s,
                    [&] { return count(daemon.log(), "copy cancelled") == 1; });
  storm.stop();
  copying.compare(daemon);
  CHECK(daemon.terminate().ok());
}

TEST_CASE("a capture process that is behind holds a copy up, and not the changes") {
  if (!needs_the_double("captures when it is told to")) {
    return;
  }
  Copying copying("sqlserver_copy_behind");
  Daemon daemon(copying.folder, copying.config);
  daemon.start();
  daemon.wait_ready(60s);
  SqlServerDouble& server = *copying.server.scripted();
  server.set_capture(CaptureMode::kManual);
  server.execute("UPDATE dbo.hot SET n = 100 WHERE id = 1");
  server.execute("UPDATE dbo.hot SET n = 200 WHERE id = 1");
  server.forget_statements();
  REQUIRE(daemon.command({"snapshot", "start", "dbo.hot"}).ok());
  daemon.wait_until("a copy point is asked for", 30s,
                    [&] { return server.count_statements("SAVE TRANSACTION") > 0; });
  server.capture(1);
  daemon.wait_until("the change has come", 30s, [&] {
    return SqliteFile(copying.folder.path("mirror.db")).value("SELECT n FROM hot WHERE id = 1") ==
           "100";
  });
  CHECK(count(daemon.log(), "copy read") == 1);  // the first one
  server.capture();
  server.write_idle_row();
  daemon.wait_until("the copy ends", 30s, [&] { return count(daemon.log(), "copy read") == 2; });
  copying.compare(daemon);
}

namespace {

// A table with rows, changed from the moment on from which it is captured.
void add_later(SqlServerDatabase& server) {
  server.execute(
      "CREATE TABLE dbo.later (id int NOT NULL PRIMARY KEY, t nvarchar(20) NULL); "
      "INSERT INTO dbo.later VALUES (1, N'before'), (2, N'before')");
  server.execute(
      "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'later', @role_name = "
      "NULL");
  server.execute("UPDATE dbo.later SET t = N'seen' WHERE id = 1");
}

constexpr const char* kLater = "SELECT group_concat(t, ',') FROM (SELECT t FROM later ORDER BY id)";
constexpr const char* kHasLater = "SELECT COUNT(*) FROM sqlite_master WHERE name = 'later'";

}  // namespace

TEST_CASE(
    "a table that is enabled while the daemon runs is copied and followed, without a restart") {
  Copying copying("sqlserver_copy_new");
  Daemon daemon(copying.folder, copying.config);
  daemon.start();
  daemon.wait_ready(60s);
  Storm storm(copying.server, copying.seed);
  add_later(copying.server);
  daemon.wait_until("it is copied", 60s,
                    [&] { return count(daemon.log(), "table copied sink=file table=later") == 1; });
  CHECK(count(daemon.log(), "tables are captured for the first time, and copied tables=1") == 1);
  CHECK(count(daemon.log(), "copy read tables=1 rows=2") == 1);  // and no other table
  copying.server.execute("UPDATE dbo.later SET t = N'between' WHERE id = 2");
  copying.server.execute("INSERT INTO dbo.later VALUES (3, N'after')");
  SqliteFile file(copying.folder.path("mirror.db"));
  daemon.wait_until("it is followed", 30s,
                    [&] { return file.value(kLater) == "seen,between,after"; });
  storm.stop();
  copying.compare(daemon);

  // Another one that comes, while all tables are copied anew, and the daemon is killed.
  copying.server.execute("CREATE TABLE dbo.last (id int NOT NULL PRIMARY KEY)");
  REQUIRE(daemon.command({"snapshot", "start"}).ok());
  daemon.wait_until("the copy runs", 30s,
                    [&] { return count(daemon.log(), "copy started tables=6") == 1; });
  copying.server.execute(
      "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'last', @role_name = "
      "NULL; INSERT INTO dbo.last VALUES (7)");
  daemon.kill9();
  daemon.start();
  daemon.wait_until("it is there", 60s, [&] {
    return count(daemon.log(), "table copied sink=file table=last") == 1 &&
           file.value("SELECT MAX(id) FROM last") == "7";
  });
  copying.compare(daemon);
  CHECK(daemon.terminate().ok());
}

TEST_CASE(
    "with new_tables: ignore a table that comes later is left out until somebody asks for it") {
  Copying copying("sqlserver_copy_ignored");
  copying.config.more += "new_tables: ignore\n";
  Daemon daemon(copying.folder, copying.config);
  daemon.start();
  daemon.wait_ready(60s);
  SqliteFile file(copying.folder.path("mirror.db"));
  const auto is_left_out = [&](std::size_t times) {
    copying.server.execute("UPDATE dbo.hot SET n = n + 1000");
    daemon.wait_until("it is told", 30s, [&] {
      return count(daemon.log(), "table dbo.later is captured for the first time, and ignored") ==
             times;
    });
    copying.compare(daemon);
    CHECK(file.value(kHasLater) == "0");
  };
  add_later(copying.server);
  is_left_out(1);
  REQUIRE(daemon.terminate().ok());
  daemon.start();
  copying.server.execute("INSERT INTO dbo.later VALUES (3, N'between')");
  is_left_out(2);

  REQUIRE(daemon.command({"snapshot", "start", "dbo.later"}).ok());
  daemon.wait_until("it is copied", 60s,
                    [&] { return count(daemon.log(), "table copied sink=file table=later") == 1; });
  copying.server.execute("INSERT INTO dbo.later VALUES (4, N'after')");
  daemon.wait_until("it is followed", 30s,
                    [&] { return file.value(kLater) == "seen,before,between,after"; });
  REQUIRE(daemon.terminate().ok());
  daemon.start();
  copying.server.execute("INSERT INTO dbo.later VALUES (5, N'for good')");
  daemon.wait_until("it is followed after a restart", 30s,
                    [&] { return file.value(kLater) == "seen,before,between,after,for good"; });
  CHECK(daemon.terminate().ok());
}

// Its rows are two, which are changed to one another all the time.
TEST_CASE("a table without a key that no point tells is left behind, told, and taken with a lock") {
  Copying copying("sqlserver_copy_restless");
  copying.config.more = "snapshot: { commit_settles: 50ms }\ncdc: { interval: 20ms }\n";
  copying.server.execute(
      "CREATE TABLE dbo.lamps (lit int NULL); INSERT INTO dbo.lamps VALUES (0), (1)");
  copying.server.execute(
      "EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'lamps', @role_name = "
      "NULL");
  std::jthread switcher([&](const std::stop_token& stop) {
    SqlServerSession session(copying.server.connection_string());
    for (auto due = std::chrono::steady_clock::now(); !stop.stop_requested(); due += 5ms) {
      std::this_thread::sleep_until(due);
      session.execute("UPDATE dbo.lamps SET lit = 1 - lit");
    }
  });
  Daemon daemon(copying.folder, copying.config);
  daemon.start();
  daemon.wait_until("it is left behind", 120s, [&] {
    return count(daemon.log(), "table is left behind, and copied by itself table=dbo.lamps") == 1 &&
           count(daemon.log(), "table copied sink=file table=loose") == 1;
  });
  copying.compare(daemon);  // the others are followed
  CHECK(count(daemon.log(), "snapshot.locking: brief") > 0);
  CHECK(
      count(daemon.command({"snapshot", "status"}).out,
            "dbo.lamps: it has no key, and rows of it that are like others change all the time") ==
      1);
  SqliteFile file(copying.folder.path("mirror.db"));
  CHECK(file.value("SELECT COUNT(*) FROM sqlite_master WHERE name = 'lamps'") == "0");
  REQUIRE(daemon.terminate().ok());

  copying.config.more = "snapshot: { locking: brief }\n";
  Daemon locking(copying.folder, copying.config, "locking");
  locking.start();
  locking.wait_until("it is copied", 60s, [&] {
    return count(locking.log(), "table copied sink=file table=lamps rows=2") == 1;
  });
  switcher.request_stop();
  switcher.join();
  copying.server.execute("UPDATE dbo.lamps SET lit = lit + 5");
  locking.wait_until("it is followed", 30s,
                     [&] { return file.value("SELECT SUM(lit) FROM lamps") == "11"; });
  copying.compare(locking);
  CHECK(locking.terminate().ok());
}

TEST_CASE("a first copy without snapshot isolation stops with the statement that allows it") {
  Copying copying("sqlserver_copy_refused");
  copying.server.execute("ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION OFF");
  Daemon daemon(copying.folder, copying.config);
  daemon.start();
  CHECK(daemon.wait_exit().code == 77);
  CHECK(count(daemon.log(), "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON") > 0);
  const auto check = daemon.command({"check"});
  CHECK(count(check.out, "ALTER DATABASE [" + copying.server.name() +
                             "] SET ALLOW_SNAPSHOT_ISOLATION ON;") > 0);
  CHECK(daemon.command({"check", "--apply"}).ok());
  daemon.start();
  daemon.wait_ready(60s);
  copying.compare(daemon);
}

TEST_CASE("a copy that a person asks for waits for snapshot isolation, and changes go on") {
  Copying copying("sqlserver_copy_waits");
  Daemon daemon(copying.folder, copying.config);
  daemon.start();
  daemon.wait_ready(60s);
  copying.compare(daemon);
  copying.server.execute("ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION OFF");
  REQUIRE(daemon.command({"snapshot", "start"}).ok());
  daemon.wait_until("the copy waits", 30s, [&] {
    return count(daemon.log(), "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON") > 0;
  });
  copying.server.execute("UPDATE dbo.goods SET n = n + 1");
  copying.compare(daemon);
  CHECK(daemon.running());
  copying.server.execute("ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON");
  daemon.wait_until("the copy is made", 60s, [&] { return count(daemon.log(), "copy read") == 2; });
  copying.compare(daemon);
  CHECK(daemon.terminate().ok());
}
