#include "db/odbc/row_buffer.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "db/odbc/utf16.hpp"

namespace headgate::odbc {
namespace {

// SQL Server's own type codes.
constexpr SQLSMALLINT kVariant = -150;
constexpr SQLSMALLINT kUdt = -151;
constexpr SQLSMALLINT kXml = -152;
constexpr SQLSMALLINT kTimestampOffset = -155;

// A number of 38 digits with sign, point and leading zero, a datetimeoffset(7) (34) or a GUID (36).
constexpr std::size_t kPrintedBytes = 64;
// nvarchar(4000) and varchar(8000) are bound; beyond that it is a long value.
constexpr std::size_t kBoundBytesMax = 16002;
// First room for a long value; doubled from piece to piece.
constexpr std::size_t kPieceBytes = 8192;

SQLSMALLINT c_type(FetchAs as) {
  switch (as) {
    case FetchAs::kText:
      return SQL_C_WCHAR;
    case FetchAs::kPrinted:
      return SQL_C_CHAR;
    case FetchAs::kBytes:
      return SQL_C_BINARY;
    case FetchAs::kInteger:
      return SQL_C_SBIGINT;
    case FetchAs::kFloat:
      return SQL_C_DOUBLE;
  }
  return SQL_C_BINARY;
}

// Bytes that the driver writes behind a value.
std::size_t end_bytes(FetchAs as) {
  return as == FetchAs::kText ? sizeof(SQLWCHAR) : as == FetchAs::kPrinted ? 1 : 0;
}

bool is_long_type(SQLSMALLINT type) {
  return type == SQL_LONGVARCHAR || type == SQL_WLONGVARCHAR || type == SQL_LONGVARBINARY ||
         type == kXml || type == kUdt;
}

// Of a value with its end; 0: it has no bound, or too wide a one.
std::size_t bound_width(const ColumnInfo& column, FetchAs as) {
  if (as == FetchAs::kInteger || as == FetchAs::kFloat) {
    return sizeof(std::int64_t);
  }
  if (as == FetchAs::kPrinted) {
    return kPrintedBytes;
  }
  if (column.size == 0 || is_long_type(column.sql_type) || column.size > kBoundBytesMax) {
    return 0;
  }
  // No code page has a character that takes more UTF-16 units than bytes. Bytes of a text: two for
  // each unit of the national types.
  const std::size_t width = column.size * sizeof(SQLWCHAR) + end_bytes(as);
  return width > kBoundBytesMax ? 0 : width;
}

bool prints_a_year_first(SQLSMALLINT type) {
  return type == SQL_TYPE_DATE || type == SQL_TYPE_TIMESTAMP || type == kTimestampOffset;
}

SQLPOINTER number_pointer(std::size_t number) {
  return reinterpret_cast<SQLPOINTER>(number);  // how ODBC passes an attribute's number
}

}  // namespace

FetchAs default_fetch(const ColumnInfo& column) {
  switch (column.sql_type) {
    case SQL_BIT:
    case SQL_TINYINT:
    case SQL_SMALLINT:
    case SQL_INTEGER:
    case SQL_BIGINT:
      return FetchAs::kInteger;
    case SQL_REAL:
    case SQL_FLOAT:
    case SQL_DOUBLE:
      return FetchAs::kFloat;
    case SQL_CHAR:
    case SQL_VARCHAR:
    case SQL_LONGVARCHAR:
    case SQL_WCHAR:
    case SQL_WVARCHAR:
    case SQL_WLONGVARCHAR:
    case kXml:
      return FetchAs::kText;
    case SQL_BINARY:
    case SQL_VARBINARY:
    case SQL_LONGVARBINARY:
    case kUdt:
      return FetchAs::kBytes;
    default:
      return FetchAs::kPrinted;
  }
}

RowBuffer::RowBuffer(SQLHANDLE statement, std::vector<ColumnInfo> columns,
                     std::vector<FetchAs> fetch_as, std::size_t value_bytes_max)
    : statement_(statement),
      columns_(std::move(columns)),
      value_bytes_max_(value_bytes_max),
      first_unbound_(columns_.size()) {
  HEADGATE_CHECK(fetch_as.size() == columns_.size(), "one way to fetch for each column");
  std::size_t row_bytes = 0;
  for (std::size_t i = 0; i < columns_.size(); ++i) {
    if (columns_[i].sql_type == kVariant) {
      // FreeTDS never comes to the end of a fixed-length value in it.
      throw Error{
          ErrorKind::kOperator,
          fmt::format("column {} is a sql_variant, which cannot be fetched", columns_[i].name),
          "select CONVERT(nvarchar(4000), …) and SQL_VARIANT_PROPERTY(…, 'BaseType')"};
    }
    Cell cell;
    cell.as = fetch_as[i];
    cell.width = bound_width(columns_[i], fetch_as[i]);
    cell.bound = cell.width != 0 && first_unbound_ == columns_.size();
    if (cell.bound) {
      row_bytes += cell.width + sizeof(SQLLEN);
    } else {
      first_unbound_ = std::min(first_unbound_, i);
    }
    cells_.push_back(std::move(cell));
  }
  if (first_unbound_ == columns_.size()) {
    array_rows_ = std::clamp<std::size_t>(kArrayBytesMax / std::max<std::size_t>(row_bytes, 1), 1,
                                          kArrayRowsMax);
  }
  row_status_.resize(array_rows_);
  for (Cell& cell : cells_) {
    if (cell.bound) {
      cell.values.resize(cell.width * array_rows_);
      cell.indicators.resize(array_rows_);
    }
  }
}

RowBuffer::~RowBuffer() {
  SQLFreeStmt(statement_, SQL_UNBIND);
  SQLSetStmtAttr(statement_, SQL_ATTR_ROWS_FETCHED_PTR, nullptr, 0);
  SQLSetStmtAttr(statement_, SQL_ATTR_ROW_STATUS_PTR, nullptr, 0);
  SQLSetStmtAttr(statement_, SQL_ATTR_ROW_ARRAY_SIZE, number_pointer(1), 0);
}

SQLRETURN RowBuffer::bind() {
  const auto set = [&](SQLINTEGER attribute, SQLPOINTER value) {
    return SQLSetStmtAttr(statement_, attribute, value, 0);
  };
  for (const SQLRETURN code : {set(SQL_ATTR_ROW_BIND_TYPE, number_pointer(SQL_BIND_BY_COLUMN)),
                               set(SQL_ATTR_ROW_ARRAY_SIZE, number_pointer(array_rows_)),
                               set(SQL_ATTR_ROWS_FETCHED_PTR, &rows_fetched_),
                               set(SQL_ATTR_ROW_STATUS_PTR, row_status_.data())}) {
    if (!SQL_SUCCEEDED(code)) {
      return code;
    }
  }
  for (std::size_t i = 0; i < first_unbound_; ++i) {
    Cell& cell = cells_[i];
    const SQLRETURN code =
        SQLBindCol(statement_, static_cast<SQLUSMALLINT>(i + 1), c_type(cell.as),
                   cell.values.data(), static_cast<SQLLEN>(cell.width), cell.indicators.data());
    if (!SQL_SUCCEEDED(code)) {
      return code;
    }
  }
  return SQL_SUCCESS;
}

bool RowBuffer::next_in_array() {
  if (row_ + 1 >= rows_fetched_) {
    return false;
  }
  ++row_;
  return true;
}

SQLRETURN RowBuffer::fetch() {
  row_ = 0;
  rows_fetched_ = 0;
  const SQLRETURN code = SQLFetch(statement_);
  if (!SQL_SUCCEEDED(code)) {
    rows_fetched_ = 0;
    return code;
  }
  for (std::size_t row = 0; row < rows_fetched_; ++row) {
    // A row that could not be converted spoils no other, says ODBC; for us it would be one lost.
    if (row_status_[row] != SQL_ROW_SUCCESS && row_status_[row] != SQL_ROW_SUCCESS_WITH_INFO) {
      return SQL_ERROR;
    }
    for (std::size_t i = 0; i < first_unbound_; ++i) {
      check_length(i, cells_[i].indicators[row]);
    }
  }
  return rows_fetched_ == 0 ? SQL_ERROR : code;
}

// FreeTDS cuts what does not fit and says plain success, except for binary.
void RowBuffer::check_length(std::size_t column, SQLLEN indicator) const {
  const Cell& cell = cells_[column];
  if (indicator != SQL_NULL_DATA &&
      (indicator < 0 || static_cast<std::size_t>(indicator) + end_bytes(cell.as) > cell.width)) {
    refuse_length(column);
  }
}

void RowBuffer::refuse_length(std::size_t column) const {
  throw Error{ErrorKind::kOperator,
              fmt::format("a value of column {} is longer than the column is described",
                          columns_[column].name),
              "was the column altered just now? Start again; if this stays, report it"};
}

SQLRETURN RowBuffer::fetch_long() {
  for (std::size_t i = first_unbound_; i < columns_.size(); ++i) {
    const SQLRETURN code = get(i);
    if (code != SQL_SUCCESS) {
      return code;
    }
  }
  return SQL_SUCCESS;
}

// Pieces are put together as bytes: one may end within a character.
SQLRETURN RowBuffer::get(std::size_t column) {
  Cell& cell = cells_[column];
  const bool is_long = cell.width == 0;
  const std::size_t end = end_bytes(cell.as);
  cell.null = false;
  std::size_t filled = 0;
  std::size_t total = 0;  // once the driver has told it
  cell.value.resize(is_long ? kPieceBytes : cell.width);
  while (true) {
    const std::size_t room = cell.value.size() - filled;
    SQLLEN indicator = 0;
    const SQLRETURN code =
        SQLGetData(statement_, static_cast<SQLUSMALLINT>(column + 1), c_type(cell.as),
                   cell.value.data() + filled, static_cast<SQLLEN>(room), &indicator);
    if (code == SQL_NO_DATA && filled > 0 && (total == 0 || total == filled)) {
      break;  // the last piece filled its room exactly
    }
    if (!SQL_SUCCEEDED(code)) {
      return code == SQL_NO_DATA ? SQL_ERROR : code;
    }
    if (indicator == SQL_NULL_DATA) {
      cell.null = true;
      break;
    }
    if (indicator >= 0 && static_cast<std::size_t>(indicator) + end <= room) {
      filled += static_cast<std::size_t>(indicator);
      break;
    }
    if (!is_long || code == SQL_SUCCESS) {
      refuse_length(column);  // the driver says that this was all, and it did not fit
    }
    if (indicator >= 0) {
      total = filled + static_cast<std::size_t>(indicator);
    }
    filled += room - end;
    if (std::max(filled, total) > value_bytes_max_) {
      throw Error{ErrorKind::kSystemic,
                  fmt::format("a value of column {} is longer than {} bytes", columns_[column].name,
                              value_bytes_max_),
                  "raise limits.row_max, or leave the column out"};
    }
    cell.value.resize(total != 0 ? total + end : cell.value.size() * 2);
  }
  cell.value.resize(cell.null ? 0 : filled);
  return SQL_SUCCESS;
}

bool RowBuffer::is_null(std::size_t column) const {
  const Cell& cell = cells_[column];
  return cell.bound ? cell.indicators[row_] == SQL_NULL_DATA : cell.null;
}

std::string_view RowBuffer::raw(std::size_t column) const {
  const Cell& cell = cells_[column];
  if (is_null(column)) {
    return {};
  }
  if (!cell.bound) {
    return cell.value;
  }
  return {cell.values.data() + row_ * cell.width, static_cast<std::size_t>(cell.indicators[row_])};
}

std::int64_t RowBuffer::integer(std::size_t column) const {
  HEADGATE_CHECK(cells_[column].as == FetchAs::kInteger && !is_null(column),
                 "integer() is for columns fetched as such that are not NULL");
  std::int64_t value = 0;
  std::memcpy(&value, raw(column).data(), sizeof(value));
  return value;
}

double RowBuffer::real(std::size_t column) const {
  HEADGATE_CHECK(cells_[column].as == FetchAs::kFloat && !is_null(column),
                 "real() is for columns fetched as such that are not NULL");
  double value = 0;
  std::memcpy(&value, raw(column).data(), sizeof(value));
  return value;
}

std::string_view RowBuffer::bytes(std::size_t column) {
  Cell& cell = cells_[column];
  const std::string_view bytes = raw(column);
  if (cell.as == FetchAs::kText) {
    // Bound values lie at even addresses of a vector, but the compiler is not to count on it.
    std::u16string units(bytes.size() / sizeof(char16_t), u'\0');
    if (!units.empty()) {  // an empty value stands nowhere
      std::memcpy(units.data(), bytes.data(), units.size() * sizeof(char16_t));
    }
    cell.converted.clear();
    if (!append_utf8(units, cell.converted)) {
      throw Error{ErrorKind::kRow,
                  fmt::format("a text in column {} holds half of a surrogate pair, which UTF-8 "
                              "cannot hold",
                              columns_[column].name),
                  "correct the row in the source, or leave the column out"};
    }
    return cell.converted;
  }
  if (cell.as == FetchAs::kPrinted && prints_a_year_first(columns_[column].sql_type)) {
    // FreeTDS prints the year 1 as "1-01-01".
    const std::size_t digits = bytes.find('-');
    if (digits < 4) {
      cell.converted.assign(4 - digits, '0').append(bytes);
      return cell.converted;
    }
  }
  return bytes;
}

}  // namespace headgate::odbc
