#include "support/sqlserver_double/decimal.hpp"

#include <algorithm>
#include <cstdlib>

namespace headgate::test::sqlserver {

Int128 power_of_ten(int exponent) {
  Int128 power = 1;
  for (int i = 0; i < exponent; ++i) {
    power *= 10;
  }
  return power;
}

std::optional<Int128> rescaled(Int128 units, int from, int to) {
  if (to == from) {
    return units;
  }
  if (to > from) {
    Int128 result = 0;
    if (to - from > 38 || __builtin_mul_overflow(units, power_of_ten(to - from), &result)) {
      return std::nullopt;
    }
    return result;
  }
  if (from - to > 38) {
    return 0;
  }
  const Int128 divisor = power_of_ten(from - to);
  const Int128 quotient = units / divisor;
  const Int128 rest = units % divisor;
  const bool away = (rest < 0 ? -rest : rest) >= divisor - (rest < 0 ? -rest : rest);
  return away ? quotient + (units < 0 ? -1 : 1) : quotient;
}

bool fits(Int128 units, int precision) {
  const Int128 limit = power_of_ten(std::min(precision, 38));
  return units < limit && units > -limit;
}

std::string decimal_text(Int128 units, int scale) {
  const bool negative = units < 0;
  UInt128 rest = negative ? UInt128{0} - static_cast<UInt128>(units) : static_cast<UInt128>(units);
  std::string digits;
  while (rest != 0 || static_cast<int>(digits.size()) <= scale) {
    digits.push_back(static_cast<char>('0' + static_cast<int>(rest % 10)));
    rest /= 10;
  }
  std::reverse(digits.begin(), digits.end());
  if (scale > 0) {
    digits.insert(digits.size() - static_cast<std::size_t>(scale), 1, '.');
  }
  if (negative) {
    digits.insert(digits.begin(), '-');
  }
  return digits;
}

std::optional<ParsedDecimal> parse_decimal(std::string_view text) {
  ParsedDecimal parsed;
  bool negative = false;
  if (!text.empty() && (text.front() == '-' || text.front() == '+')) {
    negative = text.front() == '-';
    text.remove_prefix(1);
  }
  bool seen_point = false;
  bool seen_digit = false;
  for (const char c : text) {
    if (c == '.' && !seen_point) {
      seen_point = true;
      continue;
    }
    if (c < '0' || c > '9') {
      return std::nullopt;
    }
    seen_digit = true;
    parsed.scale += seen_point ? 1 : 0;
    parsed.digits += parsed.digits > 0 || c != '0' ? 1 : 0;
    if (parsed.digits > 38) {
      return std::nullopt;
    }
    parsed.units = parsed.units * 10 + (c - '0');
  }
  if (!seen_digit) {
    return std::nullopt;
  }
  parsed.units = negative ? -parsed.units : parsed.units;
  parsed.digits = std::max({parsed.digits, parsed.scale, 1});
  return parsed;
}

double double_of(Int128 units, int scale) {
  // By way of the text, since dividing would round twice.
  return std::strtod(decimal_text(units, scale).c_str(), nullptr);
}

}  // namespace headgate::test::sqlserver
