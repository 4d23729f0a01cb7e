// The whole daemon over a SQL Server whose tables are altered and get new capture instances while
// it runs, is killed, or is not there, into SQLite and a real PostgreSQL. The server is the double,
// through FreeTDS's real driver, or the one that HEADGATE_TEST_SQLSERVER names.

#include <random>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/sqlite_file.hpp"
#include "support/sqlserver_database.hpp"
#include "support/temp_dir.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

// Two captured tables whose sums are always the same, and the daemon that mirrors them.
class Shop {
 public:
  explicit Shop(std::vector<std::string> source_keys = {}) {
    for (const std::string name : {"items", "totals"}) {
      server.execute("CREATE TABLE dbo." + name + " (id int NOT NULL PRIMARY KEY, n int NOT NULL)");
      enable(name, "first_" + name);
    }
    server.wait_captured();
    config.pipeline = "shop";
    config.tables = {"dbo.*"};
    config.sinks = {sqlite_sink("file", folder.path("mirror.db")),
                    postgres_sink("server", sink.conninfo())};
    config.more = "snapshot: { mode: never }\n";
    config.source_type = "sqlserver";
    config.source_dsn = server.connection_string();
    config.source_keys = std::move(source_keys);
  }

  void enable(const std::string& table, const std::string& instance) {
    server.execute("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'" +
                   table + "', @capture_instance = N'" + instance + "', @role_name = NULL");
  }
  void disable(const std::string& table, const std::string& instance) {
    server.execute("EXEC sys.sp_cdc_disable_table @source_schema = N'dbo', @source_name = N'" +
                   table + "', @capture_instance = N'" + instance + "'");
  }
  void start(Daemon& daemon) {
    daemon.start();
    daemon.wait_ready();
  }

  std::string in_file(const std::string& sql) {
    return SqliteFile(folder.path("mirror.db")).value(sql);
  }
  std::string in_server(const std::string& sql) { return PgSession(sink.conninfo()).value(sql); }
  // Until both sinks answer `sql` with `wanted`; "{}" in it becomes the schema of the sink's
  // tables.
  void wait_for(Daemon& daemon, const std::string& sql, const std::string& wanted) {
    daemon.wait_until(sql + " to be " + wanted, 30s,
                      [&] { return in(sql, false) == wanted && in(sql, true) == wanted; });
  }
  std::string in(std::string sql, bool postgres) {
    for (auto at = sql.find("{}"); at != std::string::npos; at = sql.find("{}")) {
      sql.replace(at, 2, postgres ? "dbo." : "");
    }
    try {
      return postgres ? in_server(sql) : in_file(sql);
    } catch (const std::exception& error) {
      return error.what();  // a column that is not there yet
    }
  }
  void wait_for_log(Daemon& daemon, const std::string& words) {
    daemon.wait_until("the log to say: " + words, 30s,
                      [&] { return daemon.log().find(words) != std::string::npos; });
  }

  TempDir folder;
  SqlServerDatabase server;
  ThrowawayCluster sink;
  PipelineConfig config;
};

}  // namespace

TEST_CASE("a column added at a SQL Server reaches the sinks with the second capture instance") {
  Shop shop({GENERATE(std::string("query_mode: direct"), std::string("query_mode: functions"))});
  Daemon daemon(shop.folder, shop.config);
  shop.start(daemon);
  shop.server.execute("INSERT INTO dbo.items VALUES (1, 1)");
  shop.wait_for(daemon, "SELECT count(*) FROM {}items", "1");

  shop.server.execute("ALTER TABLE dbo.items ADD note nvarchar(20) NULL");
  SECTION("and nothing was written in between: as NULL in the rows that were there") {
    shop.enable("items", "second_items");
    shop.server.execute("INSERT INTO dbo.items VALUES (2, 2, N'two')");
    shop.wait_for(daemon, "SELECT note FROM {}items WHERE id = 2", "two");
    CHECK(shop.in("SELECT count(*) FROM {}items WHERE note IS NULL", false) == "1");
    CHECK(shop.in("SELECT count(*) FROM {}items WHERE note IS NULL", true) == "1");
    CHECK(daemon.log().find("capture instance handed over table=dbo.items") != std::string::npos);
    // The first may go now, and a third come.
    shop.disable("items", "first_items");
    shop.server.execute("ALTER TABLE dbo.items DROP COLUMN n");
    shop.enable("items", "third_items");
    shop.server.execute("INSERT INTO dbo.items VALUES (3, N'three')");
    shop.wait_for(daemon, "SELECT note FROM {}items WHERE id = 3", "three");
    CHECK(shop.in("SELECT n FROM {}items", true).find("does not exist") != std::string::npos);
  }
  SECTION("after rows whose values nobody captured: a person is asked for them") {
    shop.server.execute("UPDATE dbo.items SET note = N'lost' WHERE id = 1");
    shop.wait_for_log(daemon, "no capture instance has");
    const RunResult check = daemon.command({"check"});
    CHECK(check.out.find("note") != std::string::npos);
    CHECK(check.out.find("@capture_instance = N'dbo_items_2'") != std::string::npos);
    shop.enable("items", "second_items");
    shop.server.execute("INSERT INTO dbo.items VALUES (2, 2, N'two')");
    shop.wait_for_log(daemon, "are not in its log; copy them after the statement");
    CHECK(shop.in("SELECT count(*) FROM {}items", true) == "1");
    daemon.kill9();  // it would wait for the person for as long as shutdown_timeout allows
    return;
  }
  CHECK(daemon.terminate().ok());
}

// Rows of both tables change in each transaction; instances come and go as the procedure says, and
// the daemon is killed wherever it is. No row may be lost or applied twice (n counts up), no
// transaction be seen in part.
TEST_CASE("hand-overs between capture instances survive kills at any point") {
  const unsigned seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937 random(seed);
  Shop shop;
  Daemon daemon(shop.folder, shop.config);
  shop.start(daemon);
  shop.server.execute(
      "BEGIN TRAN; INSERT INTO dbo.items VALUES (1, 1000), (2, 0); INSERT INTO dbo.totals VALUES "
      "(1, 1000); COMMIT");
  int columns = 0;
  const std::string sum =
      "SELECT coalesce((SELECT sum(n) FROM {}items) - (SELECT sum(n) FROM {}totals), 0)";
  for (int round = 1; round <= 6; ++round) {
    const auto write = [&] {
      for (auto i = random() % 12; i > 0; --i) {
        shop.server.execute(
            "BEGIN TRAN; UPDATE dbo.items SET n = n + 1 WHERE id = 2; UPDATE dbo.totals SET n = n "
            "+ "
            "1; COMMIT");
        CHECK(shop.in(sum, false) == "0");
        CHECK(shop.in(sum, true) == "0");
      }
    };
    const auto perhaps_kill = [&] {
      if (random() % 2 == 0) {
        daemon.kill9();
        daemon.start();
      }
    };
    write();
    const std::string next = std::to_string(round + 1);
    const std::string column = "c" + std::to_string(++columns);
    shop.server.execute("ALTER TABLE dbo.items ADD " + column + " int NULL");
    shop.enable("items", "items_" + next);
    perhaps_kill();
    shop.server.execute("UPDATE dbo.items SET " + column + " = " + next + " WHERE id = 1");
    write();
    perhaps_kill();
    shop.wait_for(daemon, "SELECT " + column + " FROM {}items WHERE id = 1", next);
    shop.disable("items", round == 1 ? "first_items" : "items_" + std::to_string(round));
    perhaps_kill();
  }
  const std::string total = shop.server.value("SELECT CONVERT(varchar(20), n) FROM dbo.totals");
  shop.wait_for(daemon, "SELECT n FROM {}totals", total);
  shop.wait_for(daemon, "SELECT sum(n) FROM {}items", total);
  daemon.wait_ready();
  CHECK(daemon.terminate().ok());
}
