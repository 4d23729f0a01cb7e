#include "db/odbc/statement.hpp"

#include <array>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "db/odbc/utf16.hpp"

namespace headgate::odbc {
namespace {

// A name of a SQL Server column has at most 128 characters.
constexpr std::size_t kNameUnits = 260;

std::u16string utf16_or_throw(std::string_view utf8, const Connection& connection,
                              std::string_view doing, std::string_view what) {
  auto text = to_utf16(utf8);
  if (!text) {
    throw Error{ErrorKind::kOperator,
                fmt::format("{}: cannot {}: {} is not UTF-8", connection.role(), doing, what)};
  }
  return std::move(*text);
}

// So long a call has to last before it is cancelled. It has come to wait by then; this is not about
// being right always but about leaving the driver no window that anybody would meet.
constexpr auto kCallSettles = std::chrono::milliseconds(20);

}  // namespace

// While it lives, this thread is in a call that may wait for the server. Throws OdbcError if the
// run was cancelled before.
class Statement::Call {
 public:
  explicit Call(Statement& statement) : statement_(statement) {
    if (!statement.begin_call()) {
      statement.close();
      throw OdbcError({statement.connection_.role(), statement.doing_,
                       statement.connection_.driver(), false, true},
                      {});
    }
  }
  ~Call() {
    {
      const std::lock_guard lock(statement_.mutex_);
      statement_.call_began_.reset();
    }
    statement_.call_ended_.notify_all();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

 private:
  Statement& statement_;
};

void Statement::cancel() {
  std::unique_lock lock(mutex_);
  cancelled_ = true;
  const auto began = call_began_;
  if (!began) {
    return;  // the next call throws
  }
  const bool ended =
      call_ended_.wait_until(lock, *began + kCallSettles, [&] { return call_began_ != began; });
  if (!ended) {
    SQLCancel(handle_.get());  // its thread cannot leave the call meanwhile: it needs mutex_
  }
}

bool Statement::begin_call() {
  const std::lock_guard lock(mutex_);
  if (!cancelled_) {
    call_began_ = std::chrono::steady_clock::now();
  }
  return !cancelled_;
}

bool Statement::was_cancelled() {
  const std::lock_guard lock(mutex_);
  return cancelled_;
}

Statement::Statement(Connection& connection, std::string doing)
    : connection_(connection), doing_(std::move(doing)) {
  SQLHANDLE handle = SQL_NULL_HANDLE;
  connection.check(SQLAllocHandle(SQL_HANDLE_STMT, connection.get(), &handle), SQL_HANDLE_DBC,
                   connection.get(), doing_);
  handle_ = StatementHandle(handle);
  set_timeout(connection.statement_timeout());
}

Statement::~Statement() {
  forget_result();  // before the handle, which the buffers give back to
}

void Statement::set_timeout(Duration limit) {
  const auto seconds =
      static_cast<std::uintptr_t>(std::chrono::ceil<std::chrono::seconds>(limit).count());
  check(SQLSetStmtAttr(handle_.get(), SQL_ATTR_QUERY_TIMEOUT, reinterpret_cast<SQLPOINTER>(seconds),
                       0));
}

void Statement::check(SQLRETURN code) {
  if (code == SQL_SUCCESS) {
    return;
  }
  try {
    connection_.check(code, SQL_HANDLE_STMT, handle_.get(), doing_, was_cancelled());
  } catch (...) {
    close();
    throw;
  }
}

void Statement::prepare(std::string_view sql) {
  close();
  std::u16string text = utf16_or_throw(sql, connection_, doing_, "the statement");
  check(SQLPrepareW(handle_.get(), reinterpret_cast<SQLWCHAR*>(text.data()),
                    static_cast<SQLINTEGER>(text.size())));
}

void Statement::bind_text(SQLUSMALLINT parameter, std::string_view utf8) {
  const std::u16string text = utf16_or_throw(utf8, connection_, doing_, "a parameter");
  parameters_.set_bytes(
      parameter, ParameterType::kNvarchar,
      {reinterpret_cast<const char*>(text.data()), text.size() * sizeof(char16_t)});
}

void Statement::bind_binary(SQLUSMALLINT parameter, std::string_view bytes) {
  parameters_.set_bytes(parameter, ParameterType::kBinary, bytes);
}

void Statement::bind_varbinary(SQLUSMALLINT parameter, std::string_view bytes) {
  parameters_.set_bytes(parameter, ParameterType::kVarbinary, bytes);
}

void Statement::bind_integer(SQLUSMALLINT parameter, std::int64_t value) {
  parameters_.set_bigint(parameter, value);
}

void Statement::bind_real(SQLUSMALLINT parameter, double value) {
  parameters_.set_float(parameter, value);
}

void Statement::bind_null(SQLUSMALLINT parameter, ParameterType type) {
  parameters_.set_null(parameter, type);
}

void Statement::begin_run() {
  close();
  {
    const std::lock_guard lock(mutex_);
    cancelled_ = false;
  }
  affected_ = 0;
  rows_seen_ = false;
  check(parameters_.bind(handle_.get()));
}

void Statement::execute() {
  begin_run();
  open_ = true;
  start([&] {
    const Call call(*this);
    return SQLExecute(handle_.get());
  }());
}

void Statement::execute(std::string_view sql) {
  std::u16string text = utf16_or_throw(sql, connection_, doing_, "the statement");
  begin_run();
  open_ = true;
  start([&] {
    const Call call(*this);
    return SQLExecDirectW(handle_.get(), reinterpret_cast<SQLWCHAR*>(text.data()),
                          static_cast<SQLINTEGER>(text.size()));
  }());
}

// `code` is of the call that ran the statement. SQL_NO_DATA is the answer to a SET, say.
void Statement::start(SQLRETURN code) {
  check(code);
  describe();
  if (columns_.empty()) {
    advance();
  }
}

// The columns of the result that the driver stands at, or how many rows it touched.
void Statement::describe() {
  SQLSMALLINT count = 0;
  check(SQLNumResultCols(handle_.get(), &count));
  if (count == 0) {
    SQLLEN rows = 0;
    check(SQLRowCount(handle_.get(), &rows));
    affected_ += rows > 0 && !rows_seen_ ? rows : 0;
    return;
  }
  rows_seen_ = true;
  std::vector<ColumnInfo> columns;
  for (SQLSMALLINT i = 1; i <= count; ++i) {
    std::array<SQLWCHAR, kNameUnits> name{};
    SQLSMALLINT name_units = 0;
    SQLSMALLINT digits = 0;
    SQLSMALLINT nullable = 0;
    SQLULEN size = 0;
    ColumnInfo column;
    check(SQLDescribeColW(handle_.get(), static_cast<SQLUSMALLINT>(i), name.data(),
                          static_cast<SQLSMALLINT>(name.size()), &name_units, &column.sql_type,
                          &size, &digits, &nullable));
    std::u16string units;
    for (std::size_t at = 0; at < name.size() && name[at] != 0; ++at) {
      units.push_back(static_cast<char16_t>(name[at]));
    }
    append_utf8(units, column.name);
    column.size = size;
    column.nullable = nullable != SQL_NO_NULLS;
    columns.push_back(std::move(column));
  }
  columns_ = std::move(columns);
}

// On to the next result with columns; false when there is none. What the server has to say about
// the results passed by comes up here.
bool Statement::advance() {
  forget_result();
  while (open_) {
    const SQLRETURN code = [&] {
      const Call call(*this);
      return SQLMoreResults(handle_.get());
    }();
    if (code == SQL_NO_DATA) {
      close();
      return false;
    }
    check(code);
    describe();
    if (!columns_.empty()) {
      return true;
    }
  }
  return false;
}

bool Statement::next() {
  if (columns_.empty() || at_next_result_) {
    return false;
  }
  try {
    if (!rows_) {
      bind_rows();
    }
    if (rows_->next_in_array()) {
      return true;
    }
    const SQLRETURN code = fetch_array();
    check(code);
    if (code != SQL_NO_DATA) {
      check(fetch_long());
      return true;
    }
  } catch (const OdbcError&) {
    close();
    throw;
  } catch (const Error& error) {
    close();
    throw in_context(error);
  }
  at_next_result_ = advance();
  return false;
}

SQLRETURN Statement::fetch_array() {
  const Call call(*this);
  return rows_->fetch();
}

SQLRETURN Statement::fetch_long() {
  if (!rows_->has_long()) {
    return SQL_SUCCESS;
  }
  const Call call(*this);
  return rows_->fetch_long();
}

Error Statement::in_context(const Error& error) const {
  return error.with_context(fmt::format("{}: cannot {}", connection_.role(), doing_));
}

std::string_view Statement::bytes(std::size_t column) {
  try {
    return rows_->bytes(column);
  } catch (const Error& error) {
    throw in_context(error);
  }
}

void Statement::bind_rows() {
  if (fetch_as_.empty()) {
    for (const ColumnInfo& column : columns_) {
      fetch_as_.push_back(default_fetch(column));
    }
  }
  rows_ = std::make_unique<RowBuffer>(handle_.get(), columns_, fetch_as_, value_bytes_max_);
  check(rows_->bind());
}

bool Statement::next_result() {
  return std::exchange(at_next_result_, false);
}

void Statement::drain() {
  do {
    while (next()) {
    }
  } while (next_result());
}

void Statement::forget_result() {
  rows_.reset();
  columns_.clear();
  fetch_as_.clear();
  at_next_result_ = false;
}

void Statement::close() {
  forget_result();
  if (std::exchange(open_, false)) {
    // Not SQLCloseCursor, which fails where no cursor is open. What it could say is of no interest:
    // the rest of the result is not wanted, and a lost connection shows at the next call.
    SQLFreeStmt(handle_.get(), SQL_CLOSE);
  }
}

}  // namespace headgate::odbc
