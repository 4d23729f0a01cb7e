#include "core/value_text.hpp"

#include <bit>
#include <cstddef>
#include <limits>
#include <string_view>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hex.hpp"
#include "core/float_text.hpp"

namespace headgate {
namespace {

// pg_type.dat: OIDs below 10000 are the same on every server.
enum TypeOid : std::uint32_t {
  kBool = 16,
  kBytea = 17,
  kName = 19,
  kInt8 = 20,
  kInt2 = 21,
  kInt4 = 23,
  kText = 25,
  kOid = 26,
  kJson = 114,
  kFloat4 = 700,
  kFloat8 = 701,
  kBpchar = 1042,
  kVarchar = 1043,
  kDate = 1082,
  kTime = 1083,
  kTimestamp = 1114,
  kTimestampTz = 1184,
  kNumeric = 1700,
  kUuid = 2950,
  kJsonb = 3802,
};

Error malformed(const Column& column, std::string_view what) {
  return Error{ErrorKind::kOperator, fmt::format("column {}: malformed binary {} (type OID {})",
                                                 column.name, what, column.type_oid)};
}

// The big-endian integer at `offset`. REQUIRES: it is there.
template <typename Integer>
Integer integer_at(std::string_view bytes, std::size_t offset) {
  std::uint64_t value = 0;
  for (const char c : bytes.substr(offset, sizeof(Integer))) {
    value = value << 8 | static_cast<unsigned char>(c);
  }
  return static_cast<Integer>(value);
}

// The value whose whole is one integer.
template <typename Integer>
Integer integer(const Column& column, std::string_view bytes) {
  if (bytes.size() != sizeof(Integer)) {
    throw malformed(column, fmt::format("value of {} bytes", bytes.size()));
  }
  return integer_at<Integer>(bytes, 0);
}

// -- dates and times

constexpr std::int64_t kMicrosPerSecond = 1'000'000;
constexpr std::int64_t kMicrosPerDay = 86'400 * kMicrosPerSecond;

// `day` counts from 2000-01-01 in the proleptic Gregorian calendar. Years before 1 are written as
// the server writes them: year 0 is 1 BC, and the suffix comes last, after time and zone.
struct DayText {
  std::string date;
  std::string_view era;
};

// Counting from 1 March makes the leap day the last of its year, in 400-year cycles of 146,097
// days.
DayText day_text(std::int64_t day) {
  constexpr std::int64_t kCycle = 146'097;
  const std::int64_t since_march_0 = day + 730'425;
  const std::int64_t cycle =
      (since_march_0 >= 0 ? since_march_0 : since_march_0 - kCycle + 1) / kCycle;
  const std::int64_t of_cycle = since_march_0 - cycle * kCycle;
  const std::int64_t year_of_cycle =
      (of_cycle - of_cycle / 1460 + of_cycle / 36'524 - of_cycle / 146'096) / 365;
  const std::int64_t of_year =
      of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
  const std::int64_t month_from_march = (5 * of_year + 2) / 153;
  const std::int64_t day_of_month = of_year - (153 * month_from_march + 2) / 5 + 1;
  const std::int64_t month = month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  const std::int64_t year = cycle * 400 + year_of_cycle + (month <= 2 ? 1 : 0);
  return {fmt::format("{:04}-{:02}-{:02}", year > 0 ? year : 1 - year, month, day_of_month),
          year > 0 ? "" : " BC"};
}

// 24:00:00 is a time of its own to the server.
std::string time_of_day(std::int64_t micros) {
  const std::int64_t seconds = micros / kMicrosPerSecond;
  std::string text =
      fmt::format("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
  if (const std::int64_t fraction = micros % kMicrosPerSecond; fraction != 0) {
    text += fmt::format(".{:06}", fraction);
    text.erase(text.find_last_not_of('0') + 1);
  }
  return text;
}

// The two ends of a type's range stand for the infinities.
template <typename Integer>
std::string_view infinity_name(Integer value) {
  if (value == std::numeric_limits<Integer>::max()) {
    return "infinity";
  }
  return value == std::numeric_limits<Integer>::min() ? "-infinity" : "";
}

std::string date_text(std::int32_t day) {
  if (const auto infinity = infinity_name(day); !infinity.empty()) {
    return std::string(infinity);
  }
  const auto [date, era] = day_text(day);
  return fmt::format("{}{}", date, era);
}

std::string timestamp_text(std::int64_t micros, std::string_view zone) {
  if (const auto infinity = infinity_name(micros); !infinity.empty()) {
    return std::string(infinity);
  }
  std::int64_t day = micros / kMicrosPerDay;
  std::int64_t of_day = micros % kMicrosPerDay;
  if (of_day < 0) {
    of_day += kMicrosPerDay;
    --day;
  }
  const auto [date, era] = day_text(day);
  return fmt::format("{} {}{}{}", date, time_of_day(of_day), zone, era);
}

std::string time_text(const Column& column, std::int64_t micros) {
  if (micros < 0 || micros > kMicrosPerDay) {
    throw malformed(column, "time outside 0 to 24 hours");
  }
  return time_of_day(micros);
}

// -- numeric

constexpr std::uint16_t kNegative = 0x4000;
constexpr std::uint16_t kNaN = 0xC000;
constexpr std::uint16_t kInfinity = 0xD000;
constexpr std::uint16_t kNegativeInfinity = 0xF000;
constexpr int kDigitsPerGroup = 4;

// A numeric is groups of four decimal digits; the first stands for 10000^weight. Groups that would
// be zero at either end are left out, and `scale` decimals are shown, whatever groups there are.
struct Numeric {
  std::string_view groups;  // two bytes each
  int weight = 0;
  std::uint16_t sign = 0;
  int scale = 0;

  // Four digits; of groups that were left out, zeros.
  std::string group(const Column& column, int place) const {
    const int index = weight - place;
    if (index < 0 || index >= static_cast<int>(groups.size() / 2)) {
      return "0000";
    }
    const auto value = integer_at<std::uint16_t>(groups, static_cast<std::size_t>(index) * 2);
    if (value > 9999) {
      throw malformed(column, "numeric digit");
    }
    return fmt::format("{:04}", value);
  }
};

Numeric read_numeric(const Column& column, std::string_view bytes) {
  constexpr std::size_t kHeader = 8;
  constexpr int kScaleMax = 0x3FFF;
  if (bytes.size() < kHeader) {
    throw malformed(column, fmt::format("numeric of {} bytes", bytes.size()));
  }
  const std::size_t count = integer_at<std::uint16_t>(bytes, 0);
  const Numeric numeric{bytes.substr(kHeader), integer_at<std::int16_t>(bytes, 2),
                        integer_at<std::uint16_t>(bytes, 4), integer_at<std::uint16_t>(bytes, 6)};
  if (numeric.groups.size() != count * 2 || numeric.scale > kScaleMax) {
    throw malformed(column, fmt::format("numeric of {} bytes", bytes.size()));
  }
  return numeric;
}

std::string decimal_text(const Column& column, const Numeric& numeric) {
  std::string text;
  for (int place = numeric.weight; place >= 0; --place) {
    text += numeric.group(column, place);
  }
  text.erase(0, text.find_first_not_of('0'));
  if (text.empty()) {
    text = "0";
  }
  if (numeric.scale > 0) {
    text += '.';
    const std::size_t whole = text.size();
    for (int place = -1; -(place + 1) * kDigitsPerGroup < numeric.scale; --place) {
      text += numeric.group(column, place);
    }
    text.resize(whole + static_cast<std::size_t>(numeric.scale));
  }
  return text;
}

std::string numeric_text(const Column& column, std::string_view bytes) {
  const Numeric numeric = read_numeric(column, bytes);
  switch (numeric.sign) {
    case 0:
      return decimal_text(column, numeric);
    case kNegative:
      return "-" + decimal_text(column, numeric);
    case kNaN:
      return "NaN";
    case kInfinity:
      return "Infinity";
    case kNegativeInfinity:
      return "-Infinity";
    default:
      throw malformed(column, "numeric sign");
  }
}

// -- the rest

std::string uuid_text(const Column& column, std::string_view bytes) {
  if (bytes.size() != 16) {
    throw malformed(column, fmt::format("uuid of {} bytes", bytes.size()));
  }
  std::string text = to_hex(bytes);
  for (const std::size_t dash : {8U, 13U, 18U, 23U}) {
    text.insert(dash, 1, '-');
  }
  return text;
}

std::string jsonb_text(const Column& column, std::string_view bytes) {
  if (bytes.empty() || bytes[0] != 1) {
    throw malformed(column, "jsonb: its version is not 1");
  }
  return std::string(bytes.substr(1));
}

std::string binary_text(const Column& column, std::string_view bytes) {
  switch (column.type_oid) {
    case kBool:
      return integer<std::uint8_t>(column, bytes) != 0 ? "t" : "f";
    case kInt2:
      return fmt::to_string(integer<std::int16_t>(column, bytes));
    case kInt4:
      return fmt::to_string(integer<std::int32_t>(column, bytes));
    case kInt8:
      return fmt::to_string(integer<std::int64_t>(column, bytes));
    case kOid:
      return fmt::to_string(integer<std::uint32_t>(column, bytes));
    case kFloat4:
      return float_text(std::bit_cast<float>(integer<std::uint32_t>(column, bytes)));
    case kFloat8:
      return float_text(std::bit_cast<double>(integer<std::uint64_t>(column, bytes)));
    case kNumeric:
      return numeric_text(column, bytes);
    case kName:
    case kText:
    case kBpchar:
    case kVarchar:
    case kJson:
      return std::string(bytes);
    case kJsonb:
      return jsonb_text(column, bytes);
    case kBytea:
      return "\\x" + to_hex(bytes);
    case kUuid:
      return uuid_text(column, bytes);
    case kDate:
      return date_text(integer<std::int32_t>(column, bytes));
    case kTime:
      return time_text(column, integer<std::int64_t>(column, bytes));
    case kTimestamp:
      return timestamp_text(integer<std::int64_t>(column, bytes), "");
    case kTimestampTz:
      return timestamp_text(integer<std::int64_t>(column, bytes), "+00");
    default:
      throw Error{ErrorKind::kOperator,
                  fmt::format("column {}: no text form for binary values of {} (type OID {})",
                              column.name, column.native_type, column.type_oid)};
  }
}

}  // namespace

bool has_binary_text(std::uint32_t type_oid) {
  switch (type_oid) {
    case kBool:
    case kBytea:
    case kName:
    case kInt8:
    case kInt2:
    case kInt4:
    case kText:
    case kOid:
    case kJson:
    case kFloat4:
    case kFloat8:
    case kBpchar:
    case kVarchar:
    case kDate:
    case kTime:
    case kTimestamp:
    case kTimestampTz:
    case kNumeric:
    case kUuid:
    case kJsonb:
      return true;
    default:
      return false;
  }
}

std::string value_text(const Column& column, const Value& value) {
  HEADGATE_CHECK(value.kind == ValueKind::kText || value.kind == ValueKind::kBinary,
                 "a value that is NULL or was not sent has no text");
  return value.kind == ValueKind::kText ? std::string(value.bytes())
                                        : binary_text(column, value.bytes());
}

}  // namespace headgate
