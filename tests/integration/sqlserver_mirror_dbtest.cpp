// The whole daemon with a SQL Server as its source: the double, through FreeTDS's real driver, into
// SQLite and a real PostgreSQL.

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/sqlite_file.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"
#include "support/temp_dir.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

// Accounts whose sum never changes at the source, over two tables, and the daemon that mirrors
// them.
class Bank {
 public:
  static constexpr int kAccounts = 20;

  Bank() {
    server.set_capture(CaptureMode::kAutomatic, 5ms);
    server.set_idle_rows(50ms);
    server.execute("EXEC sys.sp_cdc_enable_db");
    for (const std::string name : {"left_accounts", "right_accounts"}) {
      server.execute(
          "CREATE TABLE dbo." + name +
          " (id int NOT NULL PRIMARY KEY, balance int NOT NULL, note nvarchar(max) NULL)");
      server.execute("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'" +
                     name + "', @role_name = NULL");
    }
    config.pipeline = "bank";
    config.tables = {"dbo.*"};
    config.sinks = {sqlite_sink("file", folder.path("mirror.db")),
                    postgres_sink("server", sink.conninfo())};
    config.more = "snapshot: { mode: never }\n";
    config.source_type = "sqlserver";
    config.source_dsn = server.connection_string(HEADGATE_TDSODBC);
  }

  void open_accounts() {
    std::string batch = "BEGIN TRAN; ";
    for (int i = 0; i < kAccounts; ++i) {
      const std::string id = std::to_string(i);
      batch += "INSERT INTO dbo.left_accounts VALUES (" + id + ", 100, N'a'); " +
               "INSERT INTO dbo.right_accounts VALUES (" + id + ", 100, N'b'); ";
    }
    server.execute(batch + "COMMIT");
  }

  void transfer(int i) {
    const std::string from = std::to_string(i % kAccounts);
    const std::string to = std::to_string(i * 7 % kAccounts);
    server.execute(
        "BEGIN TRAN; UPDATE dbo.left_accounts SET balance = balance - 1 WHERE id = " + from +
        "; UPDATE dbo.right_accounts SET balance = balance + 1 WHERE id = " + to + "; COMMIT");
  }

  TempDir folder;
  SqlServerDouble server;
  ThrowawayCluster sink;
  PipelineConfig config;
};

const std::string kSum =
    "SELECT (SELECT coalesce(sum(balance), 0) FROM LEFT) + (SELECT coalesce(sum(balance), 0) FROM "
    "RIGHT)";

std::string sum_of(std::string left, std::string right) {
  std::string sql = kSum;
  sql.replace(sql.find("LEFT"), 4, left);
  sql.replace(sql.find("RIGHT"), 5, right);
  return sql;
}

}  // namespace

TEST_CASE("a SQL Server is mirrored whole transaction by whole transaction, whoever is killed") {
  Bank bank;
  Daemon daemon(bank.folder, bank.config);
  daemon.start();
  daemon.wait_ready();
  bank.open_accounts();

  SqliteFile file(bank.folder.path("mirror.db"));
  PgSession server(bank.sink.conninfo());
  const std::string whole = std::to_string(2 * 100 * Bank::kAccounts);
  const auto check_sums = [&] {
    const std::string in_file = file.value(sum_of("\"left_accounts\"", "\"right_accounts\""));
    const std::string in_server = server.value(sum_of("dbo.left_accounts", "dbo.right_accounts"));
    CHECK((in_file == "0" || in_file == whole));
    CHECK((in_server == "0" || in_server == whole));
  };
  for (int round = 0; round < 4; ++round) {
    for (int i = 0; i < 25; ++i) {
      bank.transfer(round * 25 + i);
      check_sums();
    }
    if (round == 1) {
      bank.server.drop_connections();
    } else {
      daemon.kill9();
      daemon.start();
      daemon.wait_ready();
    }
  }
  const auto rows = [&](const std::string& table) {
    return bank.server.value("SELECT CONVERT(varchar(30), SUM(id * 1000 + balance)) FROM dbo." +
                             table);
  };
  const std::string left = rows("left_accounts");
  const std::string right = rows("right_accounts");
  daemon.wait_until("both sinks to be like the source", 60s, [&] {
    return file.value("SELECT sum(id * 1000 + balance) FROM left_accounts") == left &&
           file.value("SELECT sum(id * 1000 + balance) FROM right_accounts") == right &&
           server.value("SELECT sum(id * 1000 + balance) FROM dbo.left_accounts") == left &&
           server.value("SELECT sum(id * 1000 + balance) FROM dbo.right_accounts") == right;
  });
  check_sums();
  // An update leaves what it does not record as it is.
  CHECK(file.value("SELECT count(*) FROM left_accounts WHERE note = 'a'") ==
        std::to_string(Bank::kAccounts));
  CHECK(server.value("SELECT count(*) FROM dbo.right_accounts WHERE note = 'b'") ==
        std::to_string(Bank::kAccounts));
  CHECK(daemon.terminate().ok());
}
