#include "db/sqlite/connection.hpp"

#include <filesystem>

#include <sqlite3.h>

#include "base/check.hpp"
#include "db/sqlite/sqlite_error.hpp"
#include "db/sqlite/statement.hpp"

namespace headgate::db::sqlite {
namespace {

// An absolute name can never be read as a URI.
std::string name_to_open(const std::string& path) {
  return path == ":memory:" ? path : std::filesystem::absolute(path).string();
}

int open_flags(const OpenOptions& options) {
  // NOMUTEX: a connection belongs to one thread at a time, so SQLite's own mutex is only a cost.
  const int common = SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
  if (options.read_only) {
    return common | SQLITE_OPEN_READONLY;
  }
  return common | SQLITE_OPEN_READWRITE | (options.create ? SQLITE_OPEN_CREATE : 0);
}

}  // namespace

Connection::Connection(const std::string& path, const OpenOptions& options) : path_(path) {
  const int code =
      sqlite3_open_v2(name_to_open(path).c_str(), &handle_, open_flags(options), nullptr);
  if (code != SQLITE_OK) {
    const SqliteError error = make_error(code, path_, "open", sqlite3_errstr(code));
    sqlite3_close_v2(handle_);
    throw error;
  }
  sqlite3_busy_timeout(handle_, static_cast<int>(options.busy_timeout.count()));
  // A misspelt "column" is an error, not the string 'column'.
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  sqlite3_db_config(handle_, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
}

Connection::~Connection() {
  sqlite3_close_v2(handle_);
}

void Connection::execute(const std::string& sql) {
  const int code = sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) {
    fail(code, "execute");
  }
}

std::string Connection::query_text(const std::string& sql) {
  Statement statement(*this, sql, "query");
  Rows rows = statement.rows();
  HEADGATE_CHECK(rows.next(), "the caller knows that there is a row");
  return std::string(rows.text(0));
}

std::int64_t Connection::query_integer(const std::string& sql) {
  Statement statement(*this, sql, "query");
  Rows rows = statement.rows();
  HEADGATE_CHECK(rows.next(), "the caller knows that there is a row");
  return rows.integer(0);
}

std::int64_t Connection::changes() const {
  return sqlite3_changes64(handle_);
}

bool Connection::in_transaction() const {
  return sqlite3_get_autocommit(handle_) == 0;
}

bool Connection::read_only() const {
  return sqlite3_db_readonly(handle_, "main") == 1;
}

void Connection::fail(int code, const std::string& what) const {
  throw make_error(code, path_, what, sqlite3_errmsg(handle_));
}

std::string quote_identifier(std::string_view name) {
  std::string quoted = "\"";
  for (const char c : name) {
    quoted.append(c == '"' ? 2 : 1, c);
  }
  quoted.push_back('"');
  return quoted;
}

}  // namespace headgate::db::sqlite
