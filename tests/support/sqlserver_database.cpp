#include "support/sqlserver_database.hpp"

#include <cstdlib>
#include <exception>
#include <iostream>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "base/hex.hpp"
#include "db/odbc/connection.hpp"
#include "db/odbc/connection_string.hpp"
#include "db/odbc/statement.hpp"
#include "support/wait_until.hpp"

namespace headgate::test {

namespace {

constexpr const char* kVariable = "HEADGATE_TEST_SQLSERVER";
constexpr auto kLockTimeout = std::chrono::seconds(30);

std::string named_server() {
  const char* text = std::getenv(kVariable);
  return text == nullptr ? std::string() : text;
}

std::string with_database(const std::string& connection_string, const std::string& database) {
  odbc::ConnectionString parsed(connection_string, "test");
  parsed.set("Database", database);
  std::string culprit;
  const auto text = parsed.render(odbc::BraceRule::kStandard, &culprit);
  if (!text) {
    throw std::runtime_error(fmt::format("{}: {} cannot be written", kVariable, culprit));
  }
  return *text;
}

// Tests may run side by side, and on the server of somebody who has other databases.
std::string new_name() {
  std::random_device random;
  return fmt::format("headgate_test_{:08x}{:08x}", random(), random());
}

}  // namespace

SqlServerSession::SqlServerSession(const std::string& connection_string) {
  odbc::ConnectOptions options;
  options.connection_string = connection_string;
  options.role = "test";
  options.application_name = "headgate test";
  options.settings = odbc::sql_server_settings(kLockTimeout);
  connection_ = std::make_unique<odbc::Connection>(options);
}

SqlServerSession::~SqlServerSession() = default;

void SqlServerSession::execute(const std::string& sql) {
  connection_->execute(sql, "run the test's statement");
}

SqlServerRows SqlServerSession::query(const std::string& sql) {
  odbc::Statement rows(*connection_, "run the test's query");
  rows.execute(sql);
  std::vector<odbc::FetchAs> kinds;
  for (const odbc::ColumnInfo& column : rows.columns()) {
    const odbc::FetchAs usual = odbc::default_fetch(column);
    const bool as_it_is = usual == odbc::FetchAs::kBytes || usual == odbc::FetchAs::kText;
    kinds.push_back(as_it_is ? usual : odbc::FetchAs::kPrinted);
  }
  rows.fetch_as(kinds);
  SqlServerRows result;
  while (rows.next()) {
    auto& row = result.emplace_back();
    for (std::size_t i = 0; i < rows.columns().size(); ++i) {
      row.push_back(rows.is_null(i)                     ? "NULL"
                    : kinds[i] == odbc::FetchAs::kBytes ? to_hex(rows.text(i))
                                                        : rows.text(i));
    }
  }
  return result;
}

std::string SqlServerSession::value(const std::string& sql) {
  const SqlServerRows rows = query(sql);
  return rows.empty() ? std::string() : rows[0][0];
}

SqlServerDatabase::SqlServerDatabase(SqlServerOptions options)
    : server_string_(named_server()), name_(new_name()) {
  if (server_string_.empty()) {
    double_ = std::make_unique<SqlServerDouble>(std::move(options));
    double_->use_database(name_);
    double_->set_capture(CaptureMode::kAutomatic, std::chrono::milliseconds(5));
    double_->set_idle_rows(std::chrono::milliseconds(50));
    server_string_ = double_->connection_string(HEADGATE_TDSODBC);
  }
  connection_string_ = with_database(server_string_, name_);
  SqlServerSession(with_database(server_string_, "master")).execute("CREATE DATABASE " + name_);
  try {
    session_ = std::make_unique<SqlServerSession>(connection_string_);
    session_->execute("ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON");
    session_->execute("EXEC sys.sp_cdc_enable_db");
    session_->execute("CREATE SCHEMA fence");
    session_->execute("CREATE TABLE fence.marks (n int NOT NULL PRIMARY KEY)");
    session_->execute(
        "EXEC sys.sp_cdc_enable_table @source_schema = N'fence', @source_name = N'marks', "
        "@role_name = NULL");
    wait_captured();
  } catch (...) {
    drop();
    throw;
  }
}

SqlServerDatabase::~SqlServerDatabase() {
  drop();
}

// The daemon of a test that failed may still be in it.
void SqlServerDatabase::drop() noexcept {
  try {
    session_.reset();
    SqlServerSession server(with_database(server_string_, "master"));
    server.execute("ALTER DATABASE " + name_ + " SET SINGLE_USER WITH ROLLBACK IMMEDIATE");
    server.execute("DROP DATABASE " + name_);
  } catch (const std::exception& error) {
    std::cerr << "the test's database " << name_ << " stays behind: " << error.what() << std::endl;
  }
}

void SqlServerDatabase::create_captured(const std::string& table, const std::string& columns) {
  execute(fmt::format("CREATE TABLE dbo.{} ({})", table, columns));
  enable(table);
}

void SqlServerDatabase::enable(const std::string& table) {
  execute(
      fmt::format("EXEC sys.sp_cdc_enable_table @source_schema = N'dbo', @source_name = N'{}', "
                  "@role_name = NULL",
                  table));
}

void SqlServerDatabase::wait_captured(Duration timeout) {
  const std::string mark = std::to_string(++fences_);
  execute("INSERT INTO fence.marks VALUES (" + mark + ")");
  wait_until("the capture process", timeout, [&] {
    return value("SELECT COUNT(*) FROM cdc.fence_marks_CT WHERE n = " + mark) == "1";
  });
}

bool needs_the_double(const std::string& why) {
  if (named_server().empty()) {
    return true;
  }
  std::cout << "skipped, since " << kVariable << " names a server, and only the double " << why
            << std::endl;
  return false;
}

}  // namespace headgate::test
