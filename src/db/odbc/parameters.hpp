// The values that are bound to the question marks of a statement.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include <sql.h>
#include <sqlext.h>

namespace headgate::odbc {

// The type that a parameter is declared with.
//
// There is no varchar: the driver would convert to the server's code page and put a question mark
// for what that has not. For the index of a varchar column write CONVERT(varchar(n), ?).
enum class ParameterType {
  kNvarchar,   // nvarchar(4000), beyond that nvarchar(max)
  kBinary,     // binary(n) of the first value's length, as LSNs want it
  kVarbinary,  // varbinary(8000), beyond that varbinary(max)
  kBigint,
  kFloat,  // float(53)
};

// Keeps a copy of each value at an address that does not change while the values fit, since FreeTDS
// prepares a statement anew for every SQLBindParameter (seen with 1.3.17), and since the driver
// reads the values only while it executes.
//
// Declared lengths come in two steps, not by value: each other declaration is another plan on the
// server. The longer step is bound as a LONG type: FreeTDS declares a longer SQL_WVARCHAR as
// nvarchar(4000) too and cuts the value without a word (seen with 1.3.17).
class Parameters {
 public:
  // Parameters count from 1. `bytes` is in UTF-16 (native order) for kNvarchar.
  void set_bytes(SQLUSMALLINT number, ParameterType type, std::string_view bytes);
  void set_bigint(SQLUSMALLINT number, std::int64_t value);
  void set_float(SQLUSMALLINT number, double value);
  void set_null(SQLUSMALLINT number, ParameterType type);

  // Binds what is not bound yet. The first code that is not a success, else SQL_SUCCESS.
  SQLRETURN bind(SQLHANDLE statement);

 private:
  struct Slot {
    ParameterType type = ParameterType::kBigint;
    std::vector<char> buffer;
    std::size_t declared = 0;  // units of the SQL type; 0: fixed
    bool is_long = false;
    bool bound = false;
    SQLLEN indicator = SQL_NULL_DATA;
  };

  Slot& slot(SQLUSMALLINT number, ParameterType type, std::size_t bytes);

  // Each at its own address, which the driver keeps.
  std::vector<std::unique_ptr<Slot>> slots_;
};

}  // namespace headgate::odbc
