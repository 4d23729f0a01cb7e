#include "core/float_text.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/deliberate_break.hpp"

namespace headgate {
namespace {

// The digits d1 d2 d3… stand for d1.d2d3… * 10^exponent.
struct Decimal {
  std::string digits;
  int exponent = 0;
};

// `precision` digits after the first; negative for the fewest that read back as `number`.
template <typename Float>
Decimal to_decimal(Float number, int precision) {
  if (broken(Break::kRoundValues)) {
    precision = 4;
  }
  std::array<char, 64> buffer{};
  char* end = buffer.data() + buffer.size();
  const auto result =
      precision < 0
          ? std::to_chars(buffer.data(), end, number, std::chars_format::scientific)
          : std::to_chars(buffer.data(), end, number, std::chars_format::scientific, precision);
  HEADGATE_CHECK(result.ec == std::errc{}, "no float needs more than 64 characters");
  const std::string_view text(buffer.data(), static_cast<std::size_t>(result.ptr - buffer.data()));

  Decimal decimal;
  const auto e = text.find('e');
  std::copy_if(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(e),
               std::back_inserter(decimal.digits), [](char c) { return c != '.'; });
  const char* exponent = text.data() + e + (text[e + 1] == '+' ? 2 : 1);
  std::from_chars(exponent, result.ptr, decimal.exponent);
  return decimal;
}

// Whether digits * 10^power is exactly odd * 2^shift; `digits` is not 0.
bool same_number(std::uint64_t digits, int power, std::uint64_t odd, int shift) {
  const int twos = std::countr_zero(digits);
  digits >>= twos;
  if (twos + power != shift) {
    return false;
  }
  for (; power > 0 && digits <= odd; --power) {
    digits *= 5;
  }
  for (; power < 0 && odd <= digits; ++power) {
    odd *= 5;
  }
  return power == 0 && digits == odd;
}

// Whether `decimal` lies exactly half-way between `number` and a neighbour. It reads back as
// `number` then only where a tie goes to the even one, and the server trusts no reader to do that.
template <typename Float>
bool is_tie(const Decimal& decimal, Float number) {
  using Limits = std::numeric_limits<Float>;
  constexpr int kLowestExponent = Limits::min_exponent - 1;
  const int unit = std::max(std::ilogb(number), kLowestExponent) - (Limits::digits - 1);
  const auto mantissa = static_cast<std::uint64_t>(std::scalbn(number, -unit));
  if (mantissa % 2 != 0) {
    return false;
  }
  std::uint64_t digits = 0;
  std::from_chars(decimal.digits.data(), decimal.digits.data() + decimal.digits.size(), digits);
  const int power = decimal.exponent - static_cast<int>(decimal.digits.size()) + 1;
  // Below a power of two the neighbours are twice as close.
  const bool close_below = mantissa == std::uint64_t{1} << (Limits::digits - 1) &&
                           unit > kLowestExponent - (Limits::digits - 1);
  const bool tie_below = close_below ? same_number(digits, power, 4 * mantissa - 1, unit - 2)
                                     : same_number(digits, power, 2 * mantissa - 1, unit - 1);
  return tie_below || same_number(digits, power, 2 * mantissa + 1, unit - 1);
}

// The fewest digits that every correct reader turns back into `number`.
template <typename Float>
Decimal shortest(Float number) {
  Decimal decimal = to_decimal(number, -1);
  while (is_tie(decimal, number)) {
    decimal = to_decimal(number, static_cast<int>(decimal.digits.size()));
  }
  return decimal;
}

std::string lay_out(const Decimal& decimal, int exponent_max) {
  const auto& [digits, exponent] = decimal;
  if (exponent < -4 || exponent >= exponent_max) {
    const std::string_view fraction = std::string_view(digits).substr(1);
    return fmt::format("{}{}{}e{}{:02}", digits[0], fraction.empty() ? "" : ".", fraction,
                       exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0) {
    return "0." + std::string(static_cast<std::size_t>(-exponent - 1), '0') + digits;
  }
  const auto whole = static_cast<std::size_t>(exponent) + 1;
  if (digits.size() <= whole) {
    return digits + std::string(whole - digits.size(), '0');
  }
  return digits.substr(0, whole) + "." + digits.substr(whole);
}

template <typename Float>
std::string print(Float number) {
  if (std::isnan(number)) {
    return "NaN";
  }
  const std::string sign = std::signbit(number) ? "-" : "";
  if (std::isinf(number)) {
    return sign + "Infinity";
  }
  if (number == 0) {
    return sign + "0";
  }
  // The server turns to the exponent where its digits could run out: FLT_DIG and DBL_DIG.
  return sign + lay_out(shortest(std::abs(number)), std::numeric_limits<Float>::digits10);
}

}  // namespace

std::string float_text(float number) {
  return print(number);
}

std::string float_text(double number) {
  return print(number);
}

}  // namespace headgate
