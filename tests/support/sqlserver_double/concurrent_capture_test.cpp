// Applications, capture process and reader at once: what a careful reader may rely on.

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include <catch2/catch.hpp>

#include "support/random_seed.hpp"
#include "support/sqlserver_double/odbc_client.hpp"
#include "support/sqlserver_double/sqlserver_double.hpp"
#include "support/wait_until.hpp"

namespace headgate::test {
namespace {

constexpr int kRows = 12;
constexpr int kEach = 100;
constexpr int kWriters = 3;
constexpr int kTransactions = 80;

std::string dsn(const SqlServerDouble& server) {
  return server.connection_string(HEADGATE_TDSODBC);
}

// Moves amounts between rows of two tables, so that their sum never changes; rows are also removed
// and made again, and given other keys. Deadlocks and lost connections end a transaction, not the
// writer.
class Writer {
 public:
  Writer(SqlServerDouble& server, std::uint64_t seed) : server_(server), random_(seed) {}

  void run() {
    for (int i = 0; i < kTransactions; ++i) {
      try {
        if (!client_) {
          client_ = std::make_unique<OdbcClient>(dsn(server_));
        }
        transaction();
      } catch (const OdbcFailure&) {
        recover();
      }
    }
  }

 private:
  int number(int least, int most) {
    return std::uniform_int_distribution<int>(least, most)(random_);
  }

  void transaction() {
    std::string sql = "BEGIN TRAN;";
    for (int moves = number(1, 4); moves > 0; --moves) {
      const std::string amount = std::to_string(number(1, 50));
      sql += "UPDATE " + table() + " SET v = v - " + amount +
             " WHERE id % 1000 = " + std::to_string(number(1, kRows)) + ";";
      sql += "UPDATE " + table() + " SET v = v + " + amount +
             " WHERE id % 1000 = " + std::to_string(number(1, kRows)) + ";";
    }
    if (number(0, 3) == 0) {
      const std::string id = std::to_string(number(1, kRows));
      const std::string name = table();
      sql += "UPDATE " + name +
             " SET id = CASE WHEN id > 1000 THEN id - 1000 ELSE id + 1000 END WHERE id % 1000 = " +
             id + ";";
    }
    if (number(0, 3) == 0) {
      const std::string id = std::to_string(number(1, kRows));
      const std::string name = table();
      sql += "DECLARE @k int, @v int; SELECT @k = id, @v = v FROM " + name +
             " WITH (UPDLOCK) WHERE id % 1000 = " + id + "; DELETE FROM " + name +
             " WHERE id = @k; INSERT INTO " + name + " (id, v) VALUES (@k, @v);";
    }
    client_->run(sql + (number(0, 4) == 0 ? "ROLLBACK" : "COMMIT"));
  }

  void recover() {
    try {
      client_->run("IF @@TRANCOUNT > 0 ROLLBACK");
    } catch (...) {
      client_.reset();
    }
  }

  std::string table() { return number(0, 1) == 0 ? "a" : "b"; }

  SqlServerDouble& server_;
  std::mt19937_64 random_;
  std::unique_ptr<OdbcClient> client_;
};

// Reads as a reader must: the window's end first, then every change table up to it.
class Reader {
 public:
  explicit Reader(const std::string& connection_string) : client_(connection_string) {}

  // Returns whether the window was empty.
  bool read() {
    const std::string end = client_.value("SELECT MAX(start_lsn) FROM cdc.lsn_time_mapping");
    if (end == position_ || end == "NULL") {
      return true;
    }
    for (const std::string table : {"a", "b"}) {
      const auto rows =
          client_
              .run("SELECT __$operation, id, v FROM cdc.dbo_" + table +
                   "_CT WHERE __$start_lsn > 0x" + position_ + " AND __$start_lsn <= 0x" + end +
                   " ORDER BY __$start_lsn, __$command_id, __$seqval, __$operation")
              .back()
              .rows;
      for (const auto& row : rows) {
        apply(rows_[table], *row[0], std::stoi(*row[1]), std::stoi(*row[2]));
      }
    }
    position_ = end;
    return false;
  }

  int sum() const {
    int total = 0;
    for (const auto& [table, rows] : rows_) {
      for (const auto& [id, v] : rows) {
        total += v;
      }
    }
    return total;
  }

  std::string text(const std::string& table) const {
    std::string text;
    for (const auto& [id, v] : rows_.at(table)) {
      text += (text.empty() ? "" : ";") + std::to_string(id) + "," + std::to_string(v);
    }
    return text;
  }

  bool consistent() const { return consistent_; }

 private:
  // A change must fit what is there, or it came out of order.
  void apply(std::map<int, int>& rows, const std::string& operation, int id, int v) {
    const auto found = rows.find(id);
    const bool removal = operation == "1" || operation == "3";
    consistent_ =
        consistent_ && (removal ? found != rows.end() && found->second == v : found == rows.end());
    if (removal) {
      rows.erase(id);
    } else {
      rows[id] = v;
    }
  }

  OdbcClient client_;
  std::string position_ = "00";
  std::map<std::string, std::map<int, int>> rows_;
  bool consistent_ = true;
};

TEST_CASE("a reader of windows sees whole transactions in commit order, whatever the lag") {
  const std::uint64_t seed = random_seed("concurrent_capture_test");
  std::mt19937_64 random(seed);
  SqlServerOptions options;
  options.traits.key_updates = random() % 2 == 0 ? sqlserver::KeyUpdateShape::kDeleteInsert
                                                 : sqlserver::KeyUpdateShape::kUpdatePair;
  SqlServerDouble server(options);
  server.execute("EXEC sys.sp_cdc_enable_db");
  for (const std::string table : {"a", "b"}) {
    server.execute("CREATE TABLE " + table +
                   " (id int PRIMARY KEY, v int);"
                   "EXEC sys.sp_cdc_enable_table N'dbo', N'" +
                   table +
                   "', @role_name = NULL;"
                   "INSERT INTO " +
                   table + " SELECT value, " + std::to_string(kEach) + " FROM GENERATE_SERIES(1, " +
                   std::to_string(kRows) + ")");
  }
  auto lags = std::make_shared<std::mt19937_64>(random());
  server.set_capture(CaptureMode::kAutomatic,
                     [lags] { return std::chrono::milliseconds((*lags)() % 4); });
  Reader reader(dsn(server));
  wait_until("the first rows", std::chrono::seconds(20), [&] { return server.uncaptured() == 0; });
  reader.read();
  REQUIRE(reader.sum() == 2 * kRows * kEach);

  std::atomic<int> running{kWriters};
  std::vector<std::thread> writers;
  for (int i = 0; i < kWriters; ++i) {
    writers.emplace_back([&server, &running, writer_seed = random()] {
      Writer(server, writer_seed).run();
      --running;
    });
  }
  int windows = 0;
  bool torn = false;
  while (running > 0 || server.uncaptured() > 0) {
    windows += reader.read() ? 0 : 1;
    torn = torn || reader.sum() != 2 * kRows * kEach;
  }
  for (std::thread& writer : writers) {
    writer.join();
  }
  wait_until("the last rows", std::chrono::seconds(20), [&] { return server.uncaptured() == 0; });
  while (!reader.read()) {
  }
  INFO("windows: " << windows);
  CHECK(windows > 3);
  CHECK_FALSE(torn);
  CHECK(reader.consistent());
  OdbcClient client(dsn(server));
  CHECK(reader.text("a") == client.table("SELECT id, v FROM a"));
  CHECK(reader.text("b") == client.table("SELECT id, v FROM b"));
}

}  // namespace
}  // namespace headgate::test
