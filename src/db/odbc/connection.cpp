#include "db/odbc/connection.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include <fmt/format.h>

#include "db/odbc/statement.hpp"
#include "db/odbc/utf16.hpp"

namespace headgate::odbc {
namespace {

SQLPOINTER number_pointer(std::uintptr_t number) {
  return reinterpret_cast<SQLPOINTER>(number);  // how ODBC passes an attribute's number
}

}  // namespace

std::vector<std::string> sql_server_settings(Duration lock_timeout) {
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(lock_timeout).count();
  return {"SET NOCOUNT ON", "SET TEXTSIZE -1", fmt::format("SET LOCK_TIMEOUT {}", milliseconds)};
}

Connection::Connection(const ConnectOptions& options, const DriverRegistry& registry)
    : role_(options.role), statement_timeout_(options.statement_timeout), handle_(environment_) {
  const ConnectParameters parameters(options, registry);
  driver_ = parameters.driver();
  log_in(options, parameters);
  for (const std::string& sql : options.settings) {
    execute(sql, "set up the session");
  }
}

void Connection::log_in(const ConnectOptions& options, const ConnectParameters& parameters) {
  // Beyond a minute, whoever watches us would take us for hanging.
  const auto seconds = std::clamp<std::int64_t>(
      std::chrono::ceil<std::chrono::seconds>(options.timeout).count(), 1, 60);
  check(SQLSetConnectAttr(get(), SQL_ATTR_LOGIN_TIMEOUT,
                          number_pointer(static_cast<std::uintptr_t>(seconds)), 0),
        SQL_HANDLE_DBC, get(), "set the login time-out");
  // UTF-16, so that no locale has a say in a password.
  auto text = to_utf16(parameters.text());
  if (!text) {
    throw Error{ErrorKind::kOperator,
                role_ + ": the connection string or the password is not UTF-8"};
  }
  SQLSMALLINT size = 0;
  const SQLRETURN code = SQLDriverConnectW(
      get(), nullptr, reinterpret_cast<SQLWCHAR*>(text->data()),
      static_cast<SQLSMALLINT>(text->size()), nullptr, 0, &size, SQL_DRIVER_NOPROMPT);
  if (SQL_SUCCEEDED(code)) {
    handle_.set_connected();
    connected_ = true;
  }
  check(code, SQL_HANDLE_DBC, get(), "connect");
}

bool Connection::lost() const {
  if (lost_) {
    return true;
  }
  SQLUINTEGER dead = SQL_CD_FALSE;
  if (connected_ && SQL_SUCCEEDED(SQLGetConnectAttr(get(), SQL_ATTR_CONNECTION_DEAD, &dead,
                                                    SQL_IS_UINTEGER, nullptr))) {
    lost_ = dead == SQL_CD_TRUE;
  }
  return lost_;
}

OdbcError Connection::error(SQLSMALLINT handle_type, SQLHANDLE handle, std::string_view doing,
                            bool cancelled) const {
  // Before lost(), whose own call would replace the records of a connection's handle.
  std::vector<Diagnostic> diagnostics = read_diagnostics(handle_type, handle, driver_);
  const bool gone = connected_ && lost();
  OdbcError error({role_, std::string(doing), driver_, gone, cancelled}, std::move(diagnostics));
  lost_ = lost_ || (connected_ && error.connection_lost());
  return error;
}

void Connection::check(SQLRETURN code, SQLSMALLINT handle_type, SQLHANDLE handle,
                       std::string_view doing, bool cancelled) const {
  if (code == SQL_SUCCESS || code == SQL_NO_DATA) {
    return;
  }
  if (code == SQL_SUCCESS_WITH_INFO) {
    const auto diagnostics = read_diagnostics(handle_type, handle, driver_);
    if (std::none_of(diagnostics.begin(), diagnostics.end(), is_failure)) {
      return;
    }
  }
  throw error(handle_type, handle, doing, cancelled);
}

std::int64_t Connection::execute(std::string_view sql, std::string_view doing) {
  Statement statement(*this, std::string(doing));
  statement.execute(sql);
  statement.drain();
  return statement.affected();
}

void Connection::set_autocommit(bool on) {
  check(SQLSetConnectAttr(get(), SQL_ATTR_AUTOCOMMIT,
                          number_pointer(on ? SQL_AUTOCOMMIT_ON : SQL_AUTOCOMMIT_OFF), 0),
        SQL_HANDLE_DBC, get(), on ? "end the transactions of the session" : "begin a transaction");
}

void Connection::end_transaction(SQLSMALLINT completion, std::string_view doing) {
  check(SQLEndTran(SQL_HANDLE_DBC, get(), completion), SQL_HANDLE_DBC, get(), doing);
}

void Connection::commit() {
  try {
    end_transaction(SQL_COMMIT, "commit");
  } catch (const OdbcError& error) {
    throw error.of_commit();
  }
}

void Connection::rollback() {
  end_transaction(SQL_ROLLBACK, "roll back");
}

void Connection::execute_commit(std::string_view sql, std::string_view doing) {
  try {
    execute(sql, doing);
  } catch (const OdbcError& error) {
    throw error.of_commit();
  }
}

}  // namespace headgate::odbc
