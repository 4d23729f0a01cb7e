#include "config/units.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <limits>
#include <system_error>

#include <fmt/format.h>

namespace headgate::config {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t factor;
};

constexpr std::array<Unit, 5> kDurationUnits = {{
    {"ms", 1'000'000},
    {"s", 1'000'000'000},
    {"m", 60'000'000'000},
    {"h", 3'600'000'000'000},
    {"d", 86'400'000'000'000},
}};

// The first five are also the ones to print with.
constexpr std::array<Unit, 10> kSizeUnits = {{
    {"", 1},
    {"KiB", std::uint64_t{1} << 10U},
    {"MiB", std::uint64_t{1} << 20U},
    {"GiB", std::uint64_t{1} << 30U},
    {"TiB", std::uint64_t{1} << 40U},
    {"B", 1},
    {"kB", 1'000},
    {"MB", 1'000'000},
    {"GB", 1'000'000'000},
    {"TB", 1'000'000'000'000},
}};
constexpr std::size_t kSizeUnitsPrinted = 5;

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_letters(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) {
    return false;
  }
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (lower(a[i]) != lower(b[i])) {
      return false;
    }
  }
  return true;
}

// `number` times `factor`, if it is at most `max`.
std::optional<std::uint64_t> multiply(std::uint64_t number, std::uint64_t factor,
                                      std::uint64_t max) {
  if (number > max / factor) {
    return std::nullopt;
  }
  return number * factor;
}

}  // namespace

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return number;
}

std::optional<Duration> parse_duration(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<std::uint64_t> number = parse_number(text.substr(0, digits));
  for (const Unit& unit : kDurationUnits) {
    if (number && text.substr(digits) == unit.name) {
      const auto nanoseconds =
          multiply(*number, unit.factor, std::numeric_limits<std::int64_t>::max());
      return nanoseconds ? std::optional(Duration(static_cast<std::int64_t>(*nanoseconds)))
                         : std::nullopt;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const std::optional<std::uint64_t> number = parse_number(text.substr(0, digits));
  for (const Unit& unit : kSizeUnits) {
    if (number && same_letters(text.substr(digits), unit.name)) {
      return multiply(*number, unit.factor, std::numeric_limits<std::uint64_t>::max());
    }
  }
  return std::nullopt;
}

std::string format_duration(Duration duration) {
  const auto nanoseconds = static_cast<std::uint64_t>(duration.count());
  const Unit* best = &kDurationUnits[0];
  for (const Unit& unit : kDurationUnits) {
    if (nanoseconds % unit.factor == 0) {
      best = &unit;
    }
  }
  return fmt::format("{}{}", nanoseconds / best->factor, best->name);
}

std::string format_size(std::uint64_t bytes) {
  const Unit* best = &kSizeUnits[0];
  for (std::size_t i = 0; i < kSizeUnitsPrinted; ++i) {
    if (bytes != 0 && bytes % kSizeUnits[i].factor == 0) {
      best = &kSizeUnits[i];
    }
  }
  return fmt::format("{}{}", bytes / best->factor, best->name);
}

}  // namespace headgate::config
