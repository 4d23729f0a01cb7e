// The rows of one result: which C type each column is read as, in arrays where that is safe.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sql.h>
#include <sqlext.h>

namespace headgate::odbc {

// How a column is read.
enum class FetchAs {
  kText,     // (n)char, (n)varchar, (n)text, xml of any length: UTF-16 from the driver, UTF-8 to us
  kPrinted,  // numbers, dates, times and GUIDs as the driver prints them, in ASCII; at most 63
             // bytes
  kBytes,    // binary of any length; the two bytes per unit of nvarchar, the code page's of varchar
  kInteger,  // bit, tinyint … bigint
  kFloat,    // real and float
};

// A column of a result, as the driver describes it. SQL Server's own types are told apart only by
// sys.columns: money and smallmoney, decimal and numeric, datetime and smalldatetime look alike.
struct ColumnInfo {
  std::string name;
  SQLSMALLINT sql_type = SQL_UNKNOWN_TYPE;
  std::size_t size = 0;  // characters, bytes or digits; 0: unlimited
  bool nullable = true;
};

// What suits the described type: integers as such, real and float as kFloat, texts as kText, binary
// and CLR types as kBytes, all else as kPrinted.
FetchAs default_fetch(const ColumnInfo& column);

// Buffers for the columns of one result. Plain columns are bound, in arrays of rows; from the first
// long one on (a max type, say) columns are read with SQLGetData in ascending order, row by row,
// which is what every driver allows.
//
// Not thread-safe. Calls return ODBC's code; what they find wrong by themselves is an Error. Views
// are valid until the next fetch().
class RowBuffer {
 public:
  // Bytes of one array of rows; a single row may be longer.
  static constexpr std::size_t kArrayBytesMax = std::size_t{256} << 10;
  static constexpr std::size_t kArrayRowsMax = 1024;

  // `value_bytes_max`: of one long value, as the driver hands it over.
  RowBuffer(SQLHANDLE statement, std::vector<ColumnInfo> columns, std::vector<FetchAs> fetch_as,
            std::size_t value_bytes_max);
  // Takes its buffers back from the statement.
  ~RowBuffer();
  RowBuffer(const RowBuffer&) = delete;
  RowBuffer& operator=(const RowBuffer&) = delete;

  // SQL_SUCCESS or the first code that is not. REQUIRES: before the first fetch().
  SQLRETURN bind();

  // Moves to the next row if it is in the buffers already. Rows with long columns never are.
  bool next_in_array();
  // Fetches an array and moves to its first row: SQL_SUCCESS, SQL_NO_DATA at the end,
  // SQL_SUCCESS_WITH_INFO where the diagnostics must be looked at first (the rows are there, but
  // FreeTDS says so too when the reading failed behind them), or another code.
  //
  // Throws Error{kOperator} for a value that is longer than the column was described (its type
  // changed, or the driver cuts).
  SQLRETURN fetch();
  bool has_long() const { return first_unbound_ < columns_.size(); }
  // Reads the columns of the row that are not bound: SQL_SUCCESS or the first code that is not.
  //
  // Throws Error{kSystemic} for a value beyond `value_bytes_max`, Error{kOperator} as fetch().
  // REQUIRES: has_long(); once, after each fetch() that found a row.
  SQLRETURN fetch_long();

  // Of the current row; columns count from 0.
  bool is_null(std::size_t column) const;
  std::string_view raw(std::size_t column) const;
  std::int64_t integer(std::size_t column) const;
  double real(std::size_t column) const;
  // kText as UTF-8, and kPrinted with years of four digits; all else as raw(). Throws Error{kRow}
  // for UTF-16 that no UTF-8 can stand for.
  std::string_view bytes(std::size_t column);

  const std::vector<ColumnInfo>& columns() const { return columns_; }
  std::size_t array_rows() const { return array_rows_; }

 private:
  struct Cell {
    FetchAs as = FetchAs::kBytes;
    bool bound = false;
    std::size_t width = 0;           // of one bound value, with its end
    std::vector<char> values;        // bound: of each row of the array
    std::vector<SQLLEN> indicators;  // bound: of each row of the array
    std::string value;               // unbound: of the current row
    bool null = false;               // unbound
    std::string converted;           // bytes()
  };

  SQLRETURN get(std::size_t column);
  void check_length(std::size_t column, SQLLEN indicator) const;
  [[noreturn]] void refuse_length(std::size_t column) const;

  SQLHANDLE statement_;
  std::vector<ColumnInfo> columns_;
  std::vector<Cell> cells_;
  std::size_t value_bytes_max_;
  std::size_t first_unbound_;
  std::size_t array_rows_ = 1;

  SQLULEN rows_fetched_ = 0;
  std::vector<SQLUSMALLINT> row_status_;
  std::size_t row_ = 0;
};

}  // namespace headgate::odbc
