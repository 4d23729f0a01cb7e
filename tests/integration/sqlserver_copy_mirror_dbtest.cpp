// A first copy from SQL Server, by the whole daemon: the double, through FreeTDS's real driver,
// into SQLite, under a storm of changes that are captured late, killed at any moment.

#include <atomic>
#include <cstdint>
#include <random>
#include <string>
#include <thread>

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include "support/daemon.hpp"
#include "support/random_seed.hpp"
#include "support/sqlite_file.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"
#include "support/temp_dir.hpp"

using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr int kRows = 1500;
constexpr std::uint64_t kKills = 5;  // more with HEADGATE_KILL_ROUNDS

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++found;
  }
  return found;
}

// An application that changes both tables in small transactions until it is stopped.
class Storm {
 public:
  Storm(SqlServerDouble& server, std::uint64_t seed)
      : random_(seed), thread_([this, &server](const std::stop_token& stop) {
          while (!stop.stop_requested()) {
            server.execute(next());
            ++done_;
          }
        }) {}

  void run_for(std::uint64_t statements) const {
    const std::uint64_t until = done_ + statements;
    while (done_ < until) {
      std::this_thread::sleep_for(1ms);
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
    switch (any(5)) {
      case 0:
        return fmt::format("DELETE FROM dbo.goods WHERE id = {}", kRows + any(300));
      case 1:
        return fmt::format(
            "IF NOT EXISTS (SELECT 1 FROM dbo.goods WHERE id = {0}) "
            "INSERT INTO dbo.goods VALUES ({0}, 0, N'new')",
            kRows + any(300));
      case 2:
        return fmt::format("UPDATE dbo.pairs SET b = b + 10000 WHERE a = 'k{}' AND b = {}", id % 50,
                           id);
      default:
        return fmt::format(
            "BEGIN TRAN; UPDATE dbo.goods SET n = n - 1 WHERE id = {}; UPDATE dbo.pairs SET n = n "
            "+ 1 WHERE a = 'k1' AND b = {}; COMMIT",
            id, 1 + 50 * any(20));
    }
  }

  std::mt19937_64 random_;
  std::atomic<std::uint64_t> done_ = 0;
  std::jthread thread_;
};

void fill(SqlServerDouble& server) {
  server.execute("EXEC sys.sp_cdc_enable_db");
  server.execute(
      "CREATE TABLE dbo.goods (id int NOT NULL PRIMARY KEY, n int NOT NULL, body nvarchar(max) "
      "NULL); CREATE TABLE dbo.pairs (a varchar(10) NOT NULL, b int NOT NULL, n int NOT NULL, "
      "PRIMARY KEY (a, b))");
  std::string batch = "BEGIN TRAN; ";
  for (int i = 0; i < kRows; ++i) {
    batch += fmt::format(
        "INSERT INTO dbo.goods VALUES ({0}, 10, N'body of {0}'); INSERT INTO dbo.pairs VALUES "
        "('k{1}', {0}, 10); ",
        i, i % 50);
  }
  server.execute(batch + "COMMIT");
  for (const char* name : {"goods", "pairs"}) {
    server.execute(
        fmt::format("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', "
                    "@source_name = N'{}', @role_name = NULL",
                    name));
  }
}

}  // namespace

TEST_CASE("a first copy under a storm of changes, killed again and again, is like the source") {
  const std::uint64_t seed = random_seed("sqlserver_copy_mirror");
  INFO("HEADGATE_SEED=" << seed);
  std::mt19937_64 random(seed);
  TempDir folder;
  SqlServerDouble server;
  server.change_traits(
      [](sqlserver::ServerTraits& traits) { traits.unchanged_large_values_kept = false; });
  server.set_capture(CaptureMode::kAutomatic, 30ms);
  fill(server);

  PipelineConfig config;
  config.pipeline = "copy";
  config.tables = {"dbo.*"};
  config.sinks = {sqlite_sink("file", folder.path("mirror.db"))};
  config.more = "snapshot: { chunk_rows: 100, max_rate: 256KiB }\n";
  config.source_type = "sqlserver";
  config.source_dsn = server.connection_string(HEADGATE_TDSODBC);
  Daemon daemon(folder, config);
  Storm storm(server, seed);
  const std::uint64_t kills = number_from_environment("HEADGATE_KILL_ROUNDS", kKills);
  for (std::uint64_t kill = 0; kill < kills; ++kill) {
    daemon.start();
    if (kill == 0) {
      daemon.wait_until("the copy begins", 30s,
                        [&] { return count(daemon.log(), "copy started") > 0; });
    }
    storm.run_for(std::uniform_int_distribution<std::uint64_t>(50, 1000)(random));
    REQUIRE(daemon.running());
    daemon.kill9();
  }
  daemon.start();
  daemon.wait_ready(120s);
  storm.run_for(200);
  storm.stop();

  const auto goods = server.execute("SELECT id, n, body FROM dbo.goods ORDER BY id");
  const auto pairs = server.execute("SELECT a, b, n FROM dbo.pairs ORDER BY b, a");
  SqliteFile file(folder.path("mirror.db"));
  const auto same = [&](const std::string& sql, const SqlServerResult& at_source) {
    const auto mirrored = file.query(sql);
    bool equal = mirrored.size() == at_source.rows.size();
    for (std::size_t row = 0; equal && row < mirrored.size(); ++row) {
      for (std::size_t column = 0; column < at_source.columns.size(); ++column) {
        equal = equal && mirrored[row][column] == at_source.rows[row][column];
      }
    }
    return equal;
  };
  daemon.wait_until("the mirror is like the source", 60s, [&] {
    return same("SELECT id, n, body FROM goods ORDER BY id", goods.back()) &&
           same("SELECT a, b, n FROM pairs ORDER BY b, a", pairs.back());
  });
  CHECK(count(daemon.log(), "copy goes on table=") > 0);  // it did interrupt
  CHECK(daemon.terminate().ok());
}
