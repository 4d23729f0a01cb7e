// Exact numbers of up to 38 digits: a 128-bit integer whose scale stands in its type.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headgate::test::sqlserver {

__extension__ typedef __int128 Int128;
__extension__ typedef unsigned __int128 UInt128;

Int128 power_of_ten(int exponent);  // 0 to 38

// `units` of 10^-from as units of 10^-to, rounded half away from zero. None when it overflows.
std::optional<Int128> rescaled(Int128 units, int from, int to);

// Whether `units` has at most `precision` digits.
bool fits(Int128 units, int precision);

std::string decimal_text(Int128 units, int scale);

struct ParsedDecimal {
  Int128 units = 0;
  int scale = 0;   // digits behind the point, as written
  int digits = 0;  // digits without leading zeros, at least 1
};

// Sign, digits, point; no exponent. None when the text is anything else or has over 38 digits.
std::optional<ParsedDecimal> parse_decimal(std::string_view text);

double double_of(Int128 units, int scale);

}  // namespace headgate::test::sqlserver
