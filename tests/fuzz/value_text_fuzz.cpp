// PostgreSQL's binary values as text: whatever is printed reads back as the same value.
//
// The first byte of the input chooses the type, the rest is the value.

#include <array>
#include <bit>
#include <charconv>
#include <cmath>
#include <optional>

#include "base/error.hpp"
#include "base/hex.hpp"
#include "core/float_text.hpp"
#include "core/value_text.hpp"
#include "fuzz_target.hpp"

namespace headgate::fuzz {
namespace {

void put(std::string& bytes, std::uint64_t value, std::size_t size) {
  while (size-- > 0) {
    bytes.push_back(static_cast<char>(value >> (8 * size) & 0xFFU));
  }
}

template <typename Integer>
std::string encoded(Integer value) {
  std::string bytes;
  put(bytes, static_cast<std::uint64_t>(value), sizeof(Integer));
  return bytes;
}

template <typename Integer>
Integer number(std::string_view text) {
  Integer value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(failure == std::errc{} && end == text.data() + text.size(), "digits and nothing else");
  return value;
}

// -- Dates, by counting the days of whole years and months.

std::int64_t floor_divide(std::int64_t a, std::int64_t b) {
  return a / b - (a % b < 0 ? 1 : 0);
}

bool is_leap(std::int64_t year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

// Days from 0001-01-01 to the first of January of `year`, which may be 0 or negative.
std::int64_t days_before(std::int64_t year) {
  const std::int64_t past = year - 1;
  return past * 365 + floor_divide(past, 4) - floor_divide(past, 100) + floor_divide(past, 400);
}

std::int64_t take_number(std::string_view& text, char end) {
  const std::size_t size = text.find(end);
  require(size != text.npos, "a date has its separators");
  const auto value = number<std::int64_t>(text.substr(0, size));
  text.remove_prefix(size + 1);
  return value;
}

// `text` without its era, which makes the year negative. Days since 2000-01-01.
std::int64_t read_day(std::string_view text, bool before_christ) {
  constexpr std::array kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const std::int64_t written = take_number(text, '-');
  require(written > 0, "there is no year 0");
  const std::int64_t year = before_christ ? 1 - written : written;
  const std::int64_t month = take_number(text, '-');
  const auto day = number<std::int64_t>(text);
  require(month >= 1 && month <= 12, "a month is from 1 to 12");
  const auto days_of = [&](std::int64_t m) {
    return kDays[static_cast<std::size_t>(m - 1)] + (m == 2 && is_leap(year) ? 1 : 0);
  };
  require(day >= 1 && day <= days_of(month), "a day is one of its month");
  std::int64_t days = days_before(year) - days_before(2000) + day - 1;
  for (std::int64_t m = 1; m < month; ++m) {
    days += days_of(m);
  }
  return days;
}

std::int64_t read_time(std::string_view text) {
  std::string_view fraction;
  if (const std::size_t dot = text.find('.'); dot != text.npos) {
    fraction = text.substr(dot + 1);
    text = text.substr(0, dot);
    require(!fraction.empty() && fraction.back() != '0', "a fraction has no zeros at its end");
  }
  const std::int64_t hours = take_number(text, ':');
  const std::int64_t minutes = take_number(text, ':');
  const auto seconds = number<std::int64_t>(text);
  require(hours <= 24 && minutes < 60 && seconds < 60, "a time is one of its day");
  std::string micros(fraction);
  micros.resize(6, '0');
  return ((hours * 60 + minutes) * 60 + seconds) * 1'000'000 + number<std::int64_t>(micros);
}

template <typename Integer>
std::optional<std::string> infinity(std::string_view text) {
  if (text == "infinity") return encoded(std::numeric_limits<Integer>::max());
  if (text == "-infinity") return encoded(std::numeric_limits<Integer>::min());
  return std::nullopt;
}

bool take_era(std::string_view& text) {
  const bool before_christ = text.ends_with(" BC");
  text.remove_suffix(before_christ ? 3 : 0);
  return before_christ;
}

std::string encode_date(std::string_view text) {
  if (auto bytes = infinity<std::int32_t>(text)) return *bytes;
  const bool before_christ = take_era(text);
  return encoded(static_cast<std::int32_t>(read_day(text, before_christ)));
}

std::string encode_timestamp(std::string_view text, std::string_view zone) {
  if (auto bytes = infinity<std::int64_t>(text)) return *bytes;
  const bool before_christ = take_era(text);
  require(text.ends_with(zone), "a timestamp has its zone");
  text.remove_suffix(zone.size());
  const std::size_t blank = text.find(' ');
  require(blank != text.npos, "a timestamp has a time");
  // In unsigned arithmetic: the day at either end of the range begins outside of it.
  const auto day = static_cast<std::uint64_t>(read_day(text.substr(0, blank), before_christ));
  const auto of_day = static_cast<std::uint64_t>(read_time(text.substr(blank + 1)));
  return encoded(day * 86'400'000'000U + of_day);
}

// -- The rest.

// By the description of numeric_send() in the server's source.
std::string encode_numeric(std::string_view text) {
  std::string bytes;
  if (text == "NaN" || text == "Infinity" || text == "-Infinity") {
    put(bytes, 0, 4);
    put(bytes, text == "NaN" ? 0xC000 : text == "Infinity" ? 0xD000 : 0xF000, 2);
    put(bytes, 0, 2);
    return bytes;
  }
  const bool negative = text.starts_with('-');
  text.remove_prefix(negative ? 1 : 0);
  const std::size_t dot = std::min(text.find('.'), text.size());
  std::string whole(text.substr(0, dot));
  std::string fraction(dot == text.size() ? "" : text.substr(dot + 1));
  const std::size_t scale = fraction.size();
  require(!whole.empty() && (whole == "0" || whole[0] != '0'), "no zeros before the first digit");
  require((whole + fraction).find_first_not_of("0123456789") == std::string::npos, "digits only");
  whole.insert(0, (4 - whole.size() % 4) % 4, '0');
  fraction.append((4 - fraction.size() % 4) % 4, '0');
  std::string digits = whole + fraction;
  auto weight = static_cast<std::int64_t>(whole.size() / 4) - 1;
  while (digits.starts_with("0000")) {
    digits.erase(0, 4);
    --weight;
  }
  while (digits.ends_with("0000")) {
    digits.erase(digits.size() - 4);
  }
  put(bytes, digits.size() / 4, 2);
  put(bytes, static_cast<std::uint64_t>(digits.empty() ? 0 : weight), 2);
  put(bytes, negative ? 0x4000 : 0, 2);
  put(bytes, scale, 2);
  for (std::size_t i = 0; i < digits.size(); i += 4) {
    put(bytes, number<std::uint64_t>(std::string_view(digits).substr(i, 4)), 2);
  }
  return bytes;
}

template <typename Float, typename Bits>
std::string encode_float(const std::string& text, Float (*read)(const char*, char**)) {
  char* end = nullptr;
  const Float value = read(text.c_str(), &end);
  require(end == text.c_str() + text.size(), "a float is read to its end");
  require(std::isnan(value) == (text == "NaN"), "only NaN is NaN");
  require(float_text(value) == text, "a float is printed as it was read");
  return encoded(std::bit_cast<Bits>(value));
}

std::string encode_uuid(std::string_view text) {
  std::string digits;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    require(dash == (text[i] == '-'), "a uuid has its dashes");
    digits += dash ? "" : std::string(1, text[i]);
  }
  return from_hex(digits).value_or("");
}

constexpr std::array<std::uint32_t, 22> kTypes = {16,   17,   18,   19,   20,   21,   23,   25,
                                                  26,   114,  700,  701,  1042, 1043, 1082, 1083,
                                                  1114, 1184, 1700, 2950, 3802, 9999};

// What the server would send for `text`; nothing where several byte strings mean the same.
std::optional<std::string> encode(std::uint32_t type, const std::string& text) {
  switch (type) {
    case 20:
      return encoded(number<std::int64_t>(text));
    case 21:
      return encoded(number<std::int16_t>(text));
    case 23:
      return encoded(number<std::int32_t>(text));
    case 26:
      return encoded(number<std::uint32_t>(text));
    case 17:
      require(text.starts_with("\\x"), "bytes are in hex form");
      return from_hex(std::string_view(text).substr(2));
    case 1082:
      return encode_date(text);
    case 1083:
      return encoded(read_time(text));
    case 1114:
      return encode_timestamp(text, "");
    case 1184:
      return encode_timestamp(text, "+00");
    case 2950:
      return encode_uuid(text);
    case 3802:
      return "\x01" + text;
    case 700:
      return text == "NaN" ? std::nullopt
                           : std::optional(encode_float<float, std::uint32_t>(text, std::strtof));
    case 701:
      return text == "NaN" ? std::nullopt
                           : std::optional(encode_float<double, std::uint64_t>(text, std::strtod));
    case 16:
    case 1700:
      return std::nullopt;
    default:
      return text;
  }
}

}  // namespace

HEADGATE_FUZZ_TARGET(value_text) {
  InputReader fields(input);
  Column column;
  column.name = "c";
  column.type_oid = kTypes[fields.byte() % kTypes.size()];
  const ExactCopy bytes(fields.rest());
  require(value_text(column, Value::text(bytes.view())) == bytes.view(), "text stays as it is");
  std::string text;
  try {
    text = value_text(column, Value::binary(bytes.view()));
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kOperator, "a malformed value is the server's fault");
    return;
  }
  require(has_binary_text(column.type_oid), "only what is asked for in binary is printed");
  if (const auto again = encode(column.type_oid, text)) {
    require(*again == bytes.view(), "the text reads back as the same bytes");
  }
  if (column.type_oid == 1700) {
    const std::string numeric = encode_numeric(text);
    require(value_text(column, Value::binary(numeric)) == text,
            "the text reads back as the same number");
  }
  if (column.type_oid == 16) {
    require(text == (bytes.view()[0] == 0 ? "f" : "t"), "a boolean is false or true");
  }
}

}  // namespace headgate::fuzz
