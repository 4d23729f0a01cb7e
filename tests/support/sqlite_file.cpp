#include "support/sqlite_file.hpp"

#include <stdexcept>

#include <sqlite3.h>

namespace headgate::test {

namespace {

struct Finalize {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};

[[noreturn]] void fail(sqlite3* database, const std::string& what) {
  throw std::runtime_error(what + ": " + sqlite3_errmsg(database));
}

demo::TextRow row_of(sqlite3_stmt* statement) {
  demo::TextRow row;
  for (int column = 0; column < sqlite3_column_count(statement); ++column) {
    const void* bytes = sqlite3_column_blob(statement, column);
    if (sqlite3_column_type(statement, column) == SQLITE_NULL) {
      row.emplace_back();
    } else {
      const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement, column));
      row.emplace_back(size == 0 ? std::string()
                                 : std::string(static_cast<const char*>(bytes), size));
    }
  }
  return row;
}

}  // namespace

void SqliteFile::Close::operator()(sqlite3* database) const {
  sqlite3_close_v2(database);
}

SqliteFile::SqliteFile(const std::string& path) {
  sqlite3* database = nullptr;
  const int result = sqlite3_open(path.c_str(), &database);
  database_.reset(database);
  if (result != SQLITE_OK) {
    fail(database, path);
  }
  sqlite3_busy_timeout(database, 15'000);
}

void SqliteFile::execute(const std::string& script) {
  if (sqlite3_exec(database_.get(), script.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    fail(database_.get(), script);
  }
}

demo::TextRows SqliteFile::query(const std::string& sql) {
  sqlite3_stmt* raw = nullptr;
  if (sqlite3_prepare_v2(database_.get(), sql.c_str(), -1, &raw, nullptr) != SQLITE_OK) {
    fail(database_.get(), sql);
  }
  const std::unique_ptr<sqlite3_stmt, Finalize> statement(raw);
  demo::TextRows rows;
  int result = SQLITE_ROW;
  while ((result = sqlite3_step(raw)) == SQLITE_ROW) {
    rows.push_back(row_of(raw));
  }
  if (result != SQLITE_DONE) {
    fail(database_.get(), sql);
  }
  return rows;
}

std::string SqliteFile::value(const std::string& sql) {
  const demo::TextRows rows = query(sql);
  return rows.empty() || rows.front().empty() ? std::string() : rows.front().front().value_or("");
}

}  // namespace headgate::test
