#include "db/sqlite/statement.hpp"

#include <utility>

#include <sqlite3.h>

namespace headgate::db::sqlite {
namespace {

// SQLite takes a null pointer for NULL; an empty value needs an address.
const char* address_of(std::string_view value) {
  return value.data() == nullptr ? "" : value.data();
}

}  // namespace

Rows::~Rows() {
  sqlite3_reset(statement_->handle_);
}

bool Rows::next() {
  const int code = sqlite3_step(statement_->handle_);
  if (code == SQLITE_ROW) {
    return true;
  }
  if (code != SQLITE_DONE) {
    statement_->connection_.fail(code, statement_->what_);
  }
  return false;
}

bool Rows::is_null(int column) const {
  return sqlite3_column_type(statement_->handle_, column) == SQLITE_NULL;
}

std::int64_t Rows::integer(int column) const {
  return sqlite3_column_int64(statement_->handle_, column);
}

double Rows::real(int column) const {
  return sqlite3_column_double(statement_->handle_, column);
}

std::string_view Rows::text(int column) const {
  const void* bytes = sqlite3_column_blob(statement_->handle_, column);
  const int size = sqlite3_column_bytes(statement_->handle_, column);
  return {static_cast<const char*>(bytes), static_cast<std::size_t>(size)};
}

Statement::Statement(Connection& connection, std::string_view sql, std::string what)
    : connection_(connection), what_(std::move(what)) {
  // PERSISTENT: we prepare what will run many times.
  check(sqlite3_prepare_v3(connection.handle(), sql.data(), static_cast<int>(sql.size()),
                           SQLITE_PREPARE_PERSISTENT, &handle_, nullptr));
}

Statement::~Statement() {
  sqlite3_finalize(handle_);
}

Statement::Statement(Statement&& other) noexcept
    : connection_(other.connection_),
      what_(std::move(other.what_)),
      handle_(std::exchange(other.handle_, nullptr)) {}

void Statement::check(int code) {
  if (code != SQLITE_OK) {
    connection_.fail(code, what_);
  }
}

void Statement::bind_null(int parameter) {
  check(sqlite3_bind_null(handle_, parameter));
}

void Statement::bind_integer(int parameter, std::int64_t value) {
  check(sqlite3_bind_int64(handle_, parameter, value));
}

void Statement::bind_real(int parameter, double value) {
  check(sqlite3_bind_double(handle_, parameter, value));
}

void Statement::bind_text(int parameter, std::string_view value) {
  check(sqlite3_bind_text64(handle_, parameter, address_of(value), value.size(), SQLITE_STATIC,
                            SQLITE_UTF8));
}

void Statement::bind_blob(int parameter, std::string_view value) {
  check(sqlite3_bind_blob64(handle_, parameter, address_of(value), value.size(), SQLITE_STATIC));
}

// SQLITE_TRANSIENT is an old-style cast in SQLite's header.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wold-style-cast"
void Statement::bind_text_copy(int parameter, std::string_view value) {
  check(sqlite3_bind_text64(handle_, parameter, address_of(value), value.size(), SQLITE_TRANSIENT,
                            SQLITE_UTF8));
}

void Statement::bind_blob_copy(int parameter, std::string_view value) {
  check(sqlite3_bind_blob64(handle_, parameter, address_of(value), value.size(), SQLITE_TRANSIENT));
}
#pragma GCC diagnostic pop

void Statement::run() {
  int code = sqlite3_step(handle_);
  while (code == SQLITE_ROW) {
    code = sqlite3_step(handle_);
  }
  if (code == SQLITE_DONE) {
    sqlite3_reset(handle_);
    return;
  }
  // The message is only there until the reset, and the reset must happen before anybody goes on.
  try {
    connection_.fail(code, what_);
  } catch (...) {
    sqlite3_reset(handle_);
    throw;
  }
}

}  // namespace headgate::db::sqlite
