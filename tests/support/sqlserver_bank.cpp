#include "support/sqlserver_bank.hpp"

#include <stdexcept>

#include <fmt/format.h>

#include "support/wait_until.hpp"

namespace headgate::test {

namespace {

constexpr const char* kTables[] = {"left_accounts", "right_accounts", "journal", "slips", "totals"};

// What is torn is so for a moment only.
constexpr auto kReaderPause = std::chrono::milliseconds(4);

// One text per row and database, in the order of the key, which is a number everywhere.
std::string columns_of(const std::string& table) {
  return table == "journal"  ? "id, from_id, to_id, note"
         : table == "slips"  ? "id, amount"
         : table == "totals" ? "id, transfers"
                             : "id, balance, note";
}

std::string joined(const demo::TextRows& rows) {
  std::string text;
  for (const demo::TextRow& row : rows) {
    for (const auto& field : row) {
      text += field.value_or("NULL") + "|";
    }
    text += "\n";
  }
  return text;
}

// `Session`: SqliteFile or PgSession, which are asked in the same words.
template <typename Session>
class SqlBank final : public BankMirror {
 public:
  SqlBank(std::string place, std::string schema, InvariantQuery invariant)
      : place_(std::move(place)),
        schema_(std::move(schema)),
        reader_(std::move(invariant), kReaderPause) {}

  int transfers() override {
    try {
      const std::string count = session().value("SELECT transfers FROM " + schema_ + "totals");
      return count.empty() ? 0 : std::stoi(count);
    } catch (const std::exception&) {
      session_.reset();
      return 0;  // the tables are not there yet
    }
  }

  std::string contents() override {
    std::string text;
    for (const std::string table : kTables) {
      text += table + "\n" +
              joined(session().query("SELECT " + columns_of(table) + " FROM " + schema_ + table +
                                     " ORDER BY id"));
    }
    return text;
  }

  InvariantReader& reader() override { return reader_; }

 private:
  Session& session() {
    if (!session_) {
      session_ = std::make_unique<Session>(place_);
    }
    return *session_;
  }

  std::string place_;
  std::string schema_;
  std::unique_ptr<Session> session_;
  InvariantReader reader_;
};

std::string first_difference(const std::string& source, const std::string& mirror) {
  std::size_t at = 0;
  while (at < source.size() && at < mirror.size() && source[at] == mirror[at]) {
    ++at;
  }
  const std::size_t line = at == 0 ? 0 : source.rfind('\n', at - 1) + 1;
  return fmt::format("source: {}\nmirror: {}", source.substr(line, 200), mirror.substr(line, 200));
}

}  // namespace

SqlServerBank::SqlServerBank(SqlServerDatabase& database, std::uint64_t seed)
    : database_(database), session_(database.connection_string()), random_(seed) {
  const std::string account =
      "id int NOT NULL PRIMARY KEY, balance int NOT NULL, note nvarchar(max) NULL";
  database.create_captured("left_accounts", account);
  database.create_captured("right_accounts", account);
  database.create_captured(
      "journal",
      "id int NOT NULL PRIMARY KEY, from_id int NOT NULL, to_id int NOT NULL, note nvarchar(100)");
  database.create_captured("slips", "id int NOT NULL, amount int NOT NULL");
  database.create_captured("totals", "id int NOT NULL PRIMARY KEY, transfers int NOT NULL");
  database.wait_captured();
}

void SqlServerBank::open_accounts() {
  std::string batch = "BEGIN TRAN; INSERT INTO dbo.totals VALUES (1, 0); ";
  for (int i = 0; i < kAccounts; ++i) {
    batch += fmt::format(
        "INSERT INTO dbo.left_accounts VALUES ({0}, {1}, N'left {0}'); INSERT INTO "
        "dbo.right_accounts VALUES ({0}, {1}, N'right \u00e4\u65e5 {0}'); ",
        i, kBalance);
  }
  database_.execute(batch + "COMMIT");
}

void SqlServerBank::transfer() {
  transfer_at_once(any(6) == 0 ? 1 + any(8) : 1);
}

void SqlServerBank::transfer_at_once(int count) {
  std::string batch = "BEGIN TRAN; ";
  int number = transfers_;
  for (int i = 0; i < count; ++i) {
    ++number;
    const int from = any(kAccounts);
    const int to = any(kAccounts);
    batch += fmt::format(
        "UPDATE dbo.left_accounts SET balance = balance - 1 WHERE id = {0}; INSERT INTO "
        "dbo.journal VALUES ({2}, {0}, {1}, N'transfer {2}'); UPDATE dbo.right_accounts SET "
        "balance = balance + 1 WHERE id = {1}; INSERT INTO dbo.slips VALUES ({2}, 1); ",
        from, to, number);
    if (any(4) == 0) {
      batch += fmt::format("UPDATE dbo.right_accounts SET note = N'note {}' WHERE id = {}; ",
                           number, to);
    }
    batch += fmt::format("UPDATE dbo.totals SET transfers = {} WHERE id = 1; ", number);
  }
  session_.execute(batch + "COMMIT");
  transfers_ = number;
}

void SqlServerBank::transfer(int transactions) {
  for (int i = 0; i < transactions; ++i) {
    transfer();
  }
}

BankStorm::BankStorm(SqlServerBank& bank)
    : bank_(bank), thread_([this](const std::stop_token& stop) {
        try {
          while (!stop.stop_requested()) {
            bank_.transfer();
          }
        } catch (const std::exception& error) {
          const std::lock_guard lock(mutex_);
          failure_ = error.what();
        }
      }) {}

void BankStorm::run_for(int transfers) {
  const int until = bank_.transfers() + transfers;
  wait_until("the storm", std::chrono::seconds(60), [&] {
    const std::lock_guard lock(mutex_);
    if (!failure_.empty()) {
      throw std::runtime_error("the storm has ended: " + failure_);
    }
    return bank_.transfers() >= until;
  });
}

void BankStorm::stop() {
  thread_.request_stop();
  thread_.join();
}

PipelineConfig SqlServerBank::config(const std::vector<std::string>& sinks) const {
  PipelineConfig config;
  config.pipeline = "bank";
  config.source_type = "sqlserver";
  config.source_dsn = database_.connection_string();
  config.tables = {"dbo.*"};
  config.sinks = sinks;
  config.more = "snapshot: { mode: never }\ncdc: { interval: 20ms }\n";
  return config;
}

std::string SqlServerBank::invariant(const std::string& schema) {
  return fmt::format(
      "SELECT l, r, lines, last_line, slips, moved FROM (SELECT "
      "(SELECT coalesce(sum(balance), 0) FROM {0}left_accounts) AS l, "
      "(SELECT coalesce(sum(balance), 0) FROM {0}right_accounts) AS r, "
      "(SELECT count(*) FROM {0}journal) AS lines, "
      "(SELECT coalesce(max(id), 0) FROM {0}journal) AS last_line, "
      "(SELECT coalesce(sum(amount), 0) FROM {0}slips) AS slips, "
      "(SELECT coalesce(sum(transfers), 0) FROM {0}totals) AS moved) AS sums "
      "WHERE NOT ((l = 0 AND r = 0 AND lines = 0 AND slips = 0 AND moved = 0) OR (l = {1} - moved "
      "AND "
      "r = {1} + moved AND lines = moved AND last_line = moved AND slips = moved))",
      schema, kAccounts * kBalance);
}

std::unique_ptr<BankMirror> sqlite_bank(const std::string& path) {
  return std::make_unique<SqlBank<SqliteFile>>(
      path, "", sqlite_invariant(path, SqlServerBank::invariant("")));
}

std::unique_ptr<BankMirror> postgres_bank(const std::string& conninfo) {
  return std::make_unique<SqlBank<demo::PgSession>>(
      conninfo, "dbo.", postgres_invariant(conninfo, SqlServerBank::invariant("dbo.")));
}

std::string bank_contents(SqlServerDatabase& database) {
  std::string text;
  for (const std::string table : kTables) {
    demo::TextRows rows;
    for (const auto& row :
         database.query("SELECT " + columns_of(table) + " FROM dbo." + table + " ORDER BY id")) {
      rows.emplace_back(row.begin(), row.end());
    }
    text += table + "\n" + joined(rows);
  }
  return text;
}

void wait_equal(const SqlServerBank& bank, SqlServerDatabase& database, const Daemon& daemon,
                const std::vector<BankMirror*>& mirrors, Duration timeout) {
  for (BankMirror* mirror : mirrors) {
    daemon.wait_until(fmt::format("{} transfers in a mirror", bank.transfers()), timeout,
                      [&] { return mirror->transfers() == bank.transfers(); });
  }
  const std::string source = bank_contents(database);
  for (BankMirror* mirror : mirrors) {
    if (const std::string contents = mirror->contents(); contents != source) {
      throw std::runtime_error(first_difference(source, contents) + daemon.log_end());
    }
  }
}

}  // namespace headgate::test
