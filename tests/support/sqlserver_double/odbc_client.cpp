#include "support/sqlserver_double/odbc_client.hpp"

#include <array>

#include <sql.h>
#include <sqlext.h>

namespace headgate::test {

namespace {

SQLCHAR* sql_text(const std::string& text) {
  return reinterpret_cast<SQLCHAR*>(const_cast<char*>(text.c_str()));
}

std::vector<OdbcDiagnostic> diagnostics(SQLSMALLINT handle_type, SQLHANDLE handle) {
  std::vector<OdbcDiagnostic> records;
  std::array<SQLCHAR, 6> state{};
  std::array<SQLCHAR, 2000> text{};
  SQLINTEGER native = 0;
  SQLSMALLINT length = 0;
  for (SQLSMALLINT number = 1;
       SQL_SUCCEEDED(SQLGetDiagRec(handle_type, handle, number, state.data(), &native, text.data(),
                                   static_cast<SQLSMALLINT>(text.size()), &length));
       ++number) {
    records.push_back(
        {reinterpret_cast<char*>(state.data()), native, reinterpret_cast<char*>(text.data())});
  }
  return records;
}

std::string summary(const std::vector<OdbcDiagnostic>& records) {
  std::string text;
  for (const OdbcDiagnostic& record : records) {
    text += record.state + " " + std::to_string(record.native) + " " + record.text + "\n";
  }
  return text;
}

}  // namespace

OdbcFailure::OdbcFailure(std::vector<OdbcDiagnostic> given)
    : std::runtime_error(summary(given)), records(std::move(given)) {}

bool OdbcFailure::has(int native) const {
  for (const OdbcDiagnostic& record : records) {
    if (record.native == native) {
      return true;
    }
  }
  return false;
}

OdbcClient::OdbcClient(const std::string& connection_string, bool autocommit) {
  SQLAllocHandle(SQL_HANDLE_ENV, SQL_NULL_HANDLE, &environment_);
  SQLSetEnvAttr(environment_, SQL_ATTR_ODBC_VERSION, reinterpret_cast<SQLPOINTER>(SQL_OV_ODBC3), 0);
  SQLAllocHandle(SQL_HANDLE_DBC, environment_, &connection_);
  SQLSetConnectAttr(connection_, SQL_ATTR_LOGIN_TIMEOUT, reinterpret_cast<SQLPOINTER>(20), 0);
  const SQLRETURN code = SQLDriverConnect(connection_, nullptr, sql_text(connection_string),
                                          SQL_NTS, nullptr, 0, nullptr, SQL_DRIVER_NOPROMPT);
  if (!SQL_SUCCEEDED(code)) {
    auto records = diagnostics(SQL_HANDLE_DBC, connection_);
    SQLFreeHandle(SQL_HANDLE_DBC, connection_);
    SQLFreeHandle(SQL_HANDLE_ENV, environment_);
    throw OdbcFailure(std::move(records));
  }
  if (!autocommit) {
    SQLSetConnectAttr(connection_, SQL_ATTR_AUTOCOMMIT,
                      reinterpret_cast<SQLPOINTER>(SQL_AUTOCOMMIT_OFF), 0);
  }
  SQLAllocHandle(SQL_HANDLE_STMT, connection_, &statement_);
}

OdbcClient::~OdbcClient() {
  SQLFreeHandle(SQL_HANDLE_STMT, statement_);
  SQLDisconnect(connection_);
  SQLFreeHandle(SQL_HANDLE_DBC, connection_);
  SQLFreeHandle(SQL_HANDLE_ENV, environment_);
}

void OdbcClient::check(int code, short handle_type, void* handle) {
  if (!SQL_SUCCEEDED(code) && code != SQL_NO_DATA) {
    throw OdbcFailure(diagnostics(handle_type, handle));
  }
}

void OdbcClient::new_statement() {
  SQLFreeHandle(SQL_HANDLE_STMT, statement_);
  SQLAllocHandle(SQL_HANDLE_STMT, connection_, &statement_);
  SQLSetStmtAttr(statement_, SQL_ATTR_QUERY_TIMEOUT,
                 reinterpret_cast<SQLPOINTER>(static_cast<SQLULEN>(timeout_)), 0);
}

std::optional<std::string> OdbcClient::cell(int column, int type) {
  std::string value;
  // Text, with room for a terminating NUL that is not part of it.
  const bool is_binary = type == SQL_BINARY || type == SQL_VARBINARY || type == SQL_LONGVARBINARY;
  while (true) {
    std::array<char, 8192> piece{};
    SQLLEN length = 0;
    const SQLRETURN code = SQLGetData(statement_, static_cast<SQLUSMALLINT>(column),
                                      is_binary ? SQL_C_BINARY : SQL_C_CHAR, piece.data(),
                                      static_cast<SQLLEN>(piece.size()), &length);
    check(code, SQL_HANDLE_STMT, statement_);
    if (code == SQL_NO_DATA) {
      break;
    }
    if (length == SQL_NULL_DATA) {
      return std::nullopt;
    }
    const std::size_t room = piece.size() - (is_binary ? 0 : 1);
    const bool whole = length >= 0 && static_cast<std::size_t>(length) <= room;
    value.append(piece.data(), whole ? static_cast<std::size_t>(length) : room);
    if (whole) {
      break;
    }
  }
  if (!is_binary) {
    return value;
  }
  std::string hex;
  for (const char c : value) {
    static const char* const digits = "0123456789abcdef";
    hex.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    hex.push_back(digits[static_cast<unsigned char>(c) & 15]);
  }
  return hex;
}

OdbcResult OdbcClient::fetch_all(int columns) {
  OdbcResult result;
  for (int column = 1; column <= columns; ++column) {
    std::array<SQLCHAR, 300> name{};
    SQLSMALLINT length = 0;
    SQLSMALLINT type = 0;
    SQLULEN size = 0;
    SQLSMALLINT digits = 0;
    SQLSMALLINT nullable = 0;
    check(SQLDescribeCol(statement_, static_cast<SQLUSMALLINT>(column), name.data(),
                         static_cast<SQLSMALLINT>(name.size()), &length, &type, &size, &digits,
                         &nullable),
          SQL_HANDLE_STMT, statement_);
    result.columns.emplace_back(reinterpret_cast<char*>(name.data()));
    result.types.push_back(type);
  }
  while (true) {
    const SQLRETURN code = SQLFetch(statement_);
    check(code, SQL_HANDLE_STMT, statement_);
    if (code == SQL_NO_DATA) {
      return result;
    }
    std::vector<std::optional<std::string>> row;
    for (int column = 1; column <= columns; ++column) {
      row.push_back(cell(column, result.types[static_cast<std::size_t>(column - 1)]));
    }
    result.rows.push_back(std::move(row));
  }
}

std::vector<OdbcResult> OdbcClient::drain() {
  std::vector<OdbcResult> results;
  while (true) {
    SQLSMALLINT columns = 0;
    check(SQLNumResultCols(statement_, &columns), SQL_HANDLE_STMT, statement_);
    if (columns > 0) {
      results.push_back(fetch_all(columns));
    } else {
      SQLLEN count = -1;
      check(SQLRowCount(statement_, &count), SQL_HANDLE_STMT, statement_);
      OdbcResult result;
      if (count >= 0) {
        result.count = count;
        results.push_back(std::move(result));
      }
    }
    const SQLRETURN code = SQLMoreResults(statement_);
    check(code, SQL_HANDLE_STMT, statement_);
    if (code == SQL_NO_DATA) {
      return results;
    }
  }
}

std::vector<OdbcResult> OdbcClient::run(const std::string& sql) {
  new_statement();
  check(SQLExecDirect(statement_, sql_text(sql), SQL_NTS), SQL_HANDLE_STMT, statement_);
  return drain();
}

std::vector<OdbcResult> OdbcClient::run_bound(const std::string& sql,
                                              const std::vector<std::string>& values, bool binary,
                                              int times) {
  new_statement();
  std::vector<SQLLEN> lengths;
  for (const std::string& value : values) {
    lengths.push_back(static_cast<SQLLEN>(value.size()));
  }
  for (std::size_t at = 0; at < values.size(); ++at) {
    check(SQLBindParameter(statement_, static_cast<SQLUSMALLINT>(at + 1), SQL_PARAM_INPUT,
                           binary ? SQL_C_BINARY : SQL_C_CHAR, binary ? SQL_BINARY : SQL_WVARCHAR,
                           binary ? values[at].size() : 4000, 0,
                           const_cast<char*>(values[at].data()), lengths[at], &lengths[at]),
          SQL_HANDLE_STMT, statement_);
  }
  check(SQLPrepare(statement_, sql_text(sql), SQL_NTS), SQL_HANDLE_STMT, statement_);
  std::vector<OdbcResult> results;
  for (int i = 0; i < times; ++i) {
    check(SQLExecute(statement_), SQL_HANDLE_STMT, statement_);
    results = drain();
  }
  return results;
}

std::vector<std::string> OdbcClient::columns_of(const std::string& sql) {
  new_statement();
  check(SQLPrepare(statement_, sql_text(sql), SQL_NTS), SQL_HANDLE_STMT, statement_);
  SQLSMALLINT count = 0;
  check(SQLNumResultCols(statement_, &count), SQL_HANDLE_STMT, statement_);
  std::vector<std::string> names;
  for (SQLSMALLINT column = 1; column <= count; ++column) {
    std::array<SQLCHAR, 300> name{};
    check(SQLDescribeCol(statement_, static_cast<SQLUSMALLINT>(column), name.data(),
                         static_cast<SQLSMALLINT>(name.size()), nullptr, nullptr, nullptr, nullptr,
                         nullptr),
          SQL_HANDLE_STMT, statement_);
    names.emplace_back(reinterpret_cast<char*>(name.data()));
  }
  return names;
}

std::string OdbcClient::value(const std::string& sql) {
  const auto results = run(sql);
  return results.empty() || results.back().rows.empty()
             ? std::string()
             : results.back().rows[0][0].value_or("NULL");
}

std::string OdbcClient::table(const std::string& sql) {
  const auto results = run(sql);
  std::string text;
  for (const auto& row : results.empty() ? OdbcResult().rows : results.back().rows) {
    text += text.empty() ? "" : ";";
    for (std::size_t at = 0; at < row.size(); ++at) {
      text += (at == 0 ? "" : ",") + row[at].value_or("NULL");
    }
  }
  return text;
}

void OdbcClient::end_transaction(bool commit) {
  check(SQLEndTran(SQL_HANDLE_DBC, connection_, commit ? SQL_COMMIT : SQL_ROLLBACK), SQL_HANDLE_DBC,
        connection_);
}

void OdbcClient::cancel() {
  SQLCancel(statement_);
}

bool OdbcClient::is_dead() const {
  SQLUINTEGER dead = 0;
  SQLGetConnectAttr(connection_, SQL_ATTR_CONNECTION_DEAD, &dead, 0, nullptr);
  return dead != 0;
}

}  // namespace headgate::test
