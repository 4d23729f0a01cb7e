#include "support/sqlserver_double/convert.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <limits>
#include <optional>

#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

constexpr std::array<std::size_t, 16> kGuidPlaces = {3, 2, 1,  0,  5,  4,  7,  6,
                                                     8, 9, 10, 11, 12, 13, 14, 15};

std::string upper_hex(const std::string& bytes) {
  static const char* const digits = "0123456789ABCDEF";
  std::string text;
  for (const char c : bytes) {
    text.push_back(digits[static_cast<unsigned char>(c) >> 4]);
    text.push_back(digits[static_cast<unsigned char>(c) & 0xF]);
  }
  return text;
}

int hex_digit(char16_t c) {
  return c >= u'0' && c <= u'9'   ? c - u'0'
         : c >= u'a' && c <= u'f' ? c - u'a' + 10
         : c >= u'A' && c <= u'F' ? c - u'A' + 10
                                  : -1;
}

std::optional<std::string> bytes_of_hex(std::u16string_view text) {
  std::string bytes;
  if (text.size() % 2 != 0) {
    return std::nullopt;
  }
  for (std::size_t at = 0; at < text.size(); at += 2) {
    const int high = hex_digit(text[at]);
    const int low = hex_digit(text[at + 1]);
    if (high < 0 || low < 0) {
      return std::nullopt;
    }
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

std::string trimmed(const std::string& text) {
  const auto first = text.find_first_not_of(" \t\r\n");
  const auto last = text.find_last_not_of(" \t\r\n");
  return first == std::string::npos ? std::string() : text.substr(first, last - first + 1);
}

SqlError conversion_failed(const std::u16string& text, const SqlType& from, const SqlType& to) {
  if (to.is_moment()) {
    return SqlError(241,
                    "Conversion failed when converting date and/or time from character string.");
  }
  if (to.kind == TypeKind::kUniqueIdentifier) {
    return SqlError(
        8169, "Conversion failed when converting from a character string to uniqueidentifier.");
  }
  if (to.is_integer()) {
    return SqlError(245, "Conversion failed when converting the " + name_of(from) + " value '" +
                             utf8_of_utf16(text) + "' to data type " + name_of(to) + ".");
  }
  return SqlError(8114, "Error converting data type " + name_of(from) + " to " + name_of(to) + ".");
}

SqlError not_allowed(const SqlType& from, const SqlType& to) {
  return SqlError(529, "Explicit conversion from data type " + name_of(from) + " to " +
                           name_of(to) + " is not allowed.");
}

// ---- to text

std::string shortest(double value, const char* format) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string money_text(Int128 units, int style) {
  return style == 2 ? decimal_text(units, 4) : decimal_text(rescaled(units, 4, 2).value_or(0), 2);
}

std::u16string to_text(const Value& value, const SqlType& from, int style) {
  switch (value.index()) {
    case 1:
      return utf16_of_utf8(std::to_string(std::get<1>(value)));
    case 2:
      // Style 3 is the one that can be read back exactly; 0 gives six digits.
      return utf16_of_utf8(shortest(std::get<2>(value), style == 3   ? "%.17g"
                                                        : style == 2 ? "%.15e"
                                                                     : "%g"));
    case 3:
      return utf16_of_utf8(from.kind == TypeKind::kMoney || from.kind == TypeKind::kSmallMoney
                               ? money_text(std::get<3>(value), style)
                               : decimal_text(std::get<3>(value), from.scale));
    case 4:
      return std::get<4>(value);
    case 5:
      if (from.kind == TypeKind::kUniqueIdentifier) {
        return utf16_of_utf8(guid_text(std::get<5>(value)));
      }
      if (from.is_udt()) {
        return utf16_of_utf8("0x" + upper_hex(std::get<5>(value)));
      }
      return style == 1   ? utf16_of_utf8("0x" + upper_hex(std::get<5>(value)))
             : style == 2 ? utf16_of_utf8(upper_hex(std::get<5>(value)))
                          : utf16_of_cp1252(std::get<5>(value));
    case 6:
      return utf16_of_utf8(moment_text(std::get<6>(value), from, style));
    default:
      return {};
  }
}

Value cut_text(std::u16string text, const SqlType& to) {
  if (!to.is_max() && text.size() > static_cast<std::size_t>(to.length)) {
    text.resize(static_cast<std::size_t>(to.length));
  }
  if (!to.is_unicode() && !to.utf8) {
    text = utf16_of_cp1252(cp1252_of_utf16(text));
  }
  if (to.kind == TypeKind::kChar || to.kind == TypeKind::kNChar) {
    text.resize(static_cast<std::size_t>(to.length), u' ');
  }
  return text;
}

// ---- to numbers

Value checked_integer(Int128 number, const SqlType& to) {
  static const auto outside = [](Int128 n, Int128 least, Int128 most) {
    return n < least || n > most;
  };
  bool bad = false;
  switch (to.kind) {
    case TypeKind::kBit:
      return std::int64_t{number != 0};
    case TypeKind::kTinyInt:
      bad = outside(number, 0, 255);
      break;
    case TypeKind::kSmallInt:
      bad = outside(number, -32768, 32767);
      break;
    case TypeKind::kInt:
      bad = outside(number, std::numeric_limits<std::int32_t>::min(),
                    std::numeric_limits<std::int32_t>::max());
      break;
    default:
      bad = outside(number, std::numeric_limits<std::int64_t>::min(),
                    std::numeric_limits<std::int64_t>::max());
      break;
  }
  if (bad && (to.kind == TypeKind::kTinyInt || to.kind == TypeKind::kSmallInt)) {
    throw SqlError(220, "Arithmetic overflow error for data type " + name_of(to) +
                            ", value = " + decimal_text(number, 0) + ".");
  }
  if (bad) {
    throw arithmetic_overflow(name_of(to));
  }
  return static_cast<std::int64_t>(number);
}

int scaled_precision(const SqlType& type) {
  return type.kind == TypeKind::kMoney || type.kind == TypeKind::kSmallMoney ? 38 : type.precision;
}

Value checked_scaled(std::optional<Int128> units, const SqlType& to) {
  bool bad = !units || !fits(*units, scaled_precision(to));
  if (!bad && to.kind == TypeKind::kMoney) {
    bad = *units > std::numeric_limits<std::int64_t>::max() ||
          *units < std::numeric_limits<std::int64_t>::min();
  } else if (!bad && to.kind == TypeKind::kSmallMoney) {
    bad = *units > std::numeric_limits<std::int32_t>::max() ||
          *units < std::numeric_limits<std::int32_t>::min();
  }
  if (bad) {
    throw arithmetic_overflow(to.kind == TypeKind::kDecimal ? "numeric" : name_of(to));
  }
  return *units;
}

Value to_integer(const Value& value, const SqlType& from, const SqlType& to) {
  switch (value.index()) {
    case 1:
      return checked_integer(std::get<1>(value), to);
    case 2:
      if (!(std::fabs(std::get<2>(value)) < 1e19)) {
        throw arithmetic_overflow(name_of(to));
      }
      return checked_integer(static_cast<Int128>(std::get<2>(value)), to);
    case 3: {
      const Int128 units = std::get<3>(value);
      const bool money = from.kind == TypeKind::kMoney || from.kind == TypeKind::kSmallMoney;
      // money is rounded on its way to an integer, decimal is cut.
      return checked_integer(money ? *rescaled(units, 4, 0) : units / power_of_ten(from.scale), to);
    }
    case 4: {
      const std::string text = trimmed(utf8_of(value));
      if (to.kind == TypeKind::kBit && (same_name(text, "true") || same_name(text, "false"))) {
        return std::int64_t{same_name(text, "true")};
      }
      const auto parsed = parse_decimal(text.empty() ? "0" : text);
      if (!parsed || parsed->scale != 0) {
        throw conversion_failed(text_of(value), from, to);
      }
      return checked_integer(parsed->units, to);
    }
    case 5: {
      std::uint64_t number = 0;
      for (const char c : std::get<5>(value)) {
        number = (number << 8) | static_cast<unsigned char>(c);
      }
      switch (to.kind) {
        case TypeKind::kInt:
          return static_cast<std::int64_t>(static_cast<std::int32_t>(number));
        case TypeKind::kBigInt:
          return static_cast<std::int64_t>(number);
        default:
          return checked_integer(number, to);
      }
    }
    default:
      throw not_allowed(from, to);
  }
}

Value to_scaled(const Value& value, const SqlType& from, const SqlType& to) {
  switch (value.index()) {
    case 1:
      return checked_scaled(rescaled(std::get<1>(value), 0, to.scale), to);
    case 2: {
      const double number = std::get<2>(value);
      if (!(std::fabs(number) < 1e38)) {
        throw arithmetic_overflow(name_of(to));
      }
      std::array<char, 400> text{};
      std::snprintf(text.data(), text.size(), "%.*f", to.scale, number);
      const auto parsed = parse_decimal(text.data());
      return checked_scaled(parsed ? std::optional<Int128>(parsed->units) : std::nullopt, to);
    }
    case 3:
      return checked_scaled(rescaled(std::get<3>(value), from.scale, to.scale), to);
    case 4: {
      std::string text = trimmed(utf8_of(value));
      if (!text.empty() && text.front() == '$') {
        text.erase(0, 1);
      }
      const auto parsed = parse_decimal(text);
      if (!parsed) {
        throw conversion_failed(text_of(value), from, to);
      }
      return checked_scaled(rescaled(parsed->units, parsed->scale, to.scale), to);
    }
    default:
      throw not_allowed(from, to);
  }
}

Value to_approximate(const Value& value, const SqlType& from, const SqlType& to) {
  double number = 0;
  switch (value.index()) {
    case 1:
      number = static_cast<double>(std::get<1>(value));
      break;
    case 2:
      number = std::get<2>(value);
      break;
    case 3:
      number = double_of(std::get<3>(value), from.scale);
      break;
    case 4: {
      const std::string text = trimmed(utf8_of(value));
      const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      if (error == std::errc::result_out_of_range) {
        throw arithmetic_overflow(name_of(to));
      }
      if (error != std::errc() || end != text.data() + text.size()) {
        throw conversion_failed(text_of(value), from, to);
      }
      break;
    }
    default:
      throw not_allowed(from, to);
  }
  if (to.kind == TypeKind::kReal) {
    if (std::fabs(number) > static_cast<double>(std::numeric_limits<float>::max())) {
      throw arithmetic_overflow("real");
    }
    return static_cast<double>(static_cast<float>(number));
  }
  return number;
}

// ---- to the rest

Value to_moment(const Value& value, const SqlType& from, const SqlType& to) {
  Moment moment;
  if (value.index() == 4) {
    const auto parsed = parse_moment(trimmed(utf8_of(value)));
    if (!parsed) {
      throw conversion_failed(text_of(value), from, to);
    }
    moment = *parsed;
    if (to.kind != TypeKind::kDateTimeOffset) {
      moment = shifted(moment, moment.offset * 60 * kTicksPerSecond);
      moment.offset = 0;
    }
  } else if (value.index() == 6) {
    moment = std::get<6>(value);
    if (from.kind == TypeKind::kDateTimeOffset && to.kind != TypeKind::kDateTimeOffset) {
      moment = shifted(moment, moment.offset * 60 * kTicksPerSecond);
      moment.offset = 0;
    }
  } else if (value.index() == 1 && to.kind == TypeKind::kDateTime) {
    moment.day = kDayOf1900 + static_cast<std::int32_t>(std::get<1>(value));
  } else {
    throw not_allowed(from, to);
  }
  return rounded(moment, to);
}

std::string integer_bytes(const Value& value, const SqlType& from) {
  std::string bytes;
  const auto number = static_cast<std::uint64_t>(std::get<1>(value));
  for (int at = from.max_length() - 1; at >= 0; --at) {
    bytes.push_back(static_cast<char>(number >> (8 * at)));
  }
  return bytes;
}

std::string raw_bytes(const Value& value, const SqlType& from, const SqlType& to, int style) {
  switch (value.index()) {
    case 1:
      return integer_bytes(value, from);
    case 4: {
      const std::u16string& text = text_of(value);
      if (style == 1 || style == 2) {
        const bool prefixed =
            style == 1 && text.size() >= 2 && (text[1] == u'x' || text[1] == u'X');
        const auto bytes = bytes_of_hex(std::u16string_view(text).substr(prefixed ? 2 : 0));
        if (!bytes || (style == 1 && !prefixed)) {
          throw conversion_failed(text, from, to);
        }
        return *bytes;
      }
      return from.is_unicode() ? bytes_of_utf16(text)
             : from.utf8       ? utf8_of_utf16(text)
                               : cp1252_of_utf16(text);
    }
    case 5:
      return bytes_of(value);
    default:
      throw not_allowed(from, to);
  }
}

Value to_bytes(const Value& value, const SqlType& from, const SqlType& to, int style) {
  std::string bytes = raw_bytes(value, from, to, style);
  const auto length = static_cast<std::size_t>(to.length);
  if (!to.is_max() && bytes.size() > length) {
    // A number that is cut loses its high bytes, anything else its tail.
    bytes = value.index() == 1 ? bytes.substr(bytes.size() - length) : bytes.substr(0, length);
  }
  if ((to.kind == TypeKind::kBinary || to.kind == TypeKind::kRowVersion) && bytes.size() < length) {
    value.index() == 1 ? bytes.insert(0, length - bytes.size(), '\0')
                       : bytes.append(length - bytes.size(), '\0');
  }
  return bytes;
}

Value to_guid(const Value& value, const SqlType& from, const SqlType& to) {
  if (value.index() == 5 && bytes_of(value).size() >= 16) {
    return bytes_of(value).substr(0, 16);
  }
  if (value.index() != 4) {
    throw not_allowed(from, to);
  }
  std::u16string digits;
  for (const char16_t c : text_of(value)) {
    if (c != u'-' && c != u'{' && c != u'}') {
      digits.push_back(c);
    }
  }
  const auto bytes = bytes_of_hex(digits);
  if (!bytes || bytes->size() < 16) {
    throw conversion_failed(text_of(value), from, to);
  }
  std::string guid(16, '\0');
  for (std::size_t at = 0; at < 16; ++at) {
    guid[kGuidPlaces[at]] = (*bytes)[at];
  }
  return guid;
}

}  // namespace

std::string guid_text(const std::string& bytes) {
  std::string ordered(16, '\0');
  for (std::size_t at = 0; at < 16; ++at) {
    ordered[at] = bytes[kGuidPlaces[at]];
  }
  std::string text = upper_hex(ordered);
  for (const std::size_t at : {8u, 13u, 18u, 23u}) {
    text.insert(at, 1, '-');
  }
  return text;
}

Value convert(const Value& value, const SqlType& from, const SqlType& to, int style) {
  if (is_null(value)) {
    return Null{};
  }
  if (from.kind == TypeKind::kVariant && to.kind != TypeKind::kVariant) {
    const auto& inner = *std::get<7>(value);
    return convert(inner.value, inner.type, to, style);
  }
  if (from == to) {
    return value;
  }
  if (to.kind == TypeKind::kVariant) {
    return from.kind == TypeKind::kVariant
               ? value
               : Value(std::make_shared<const TypedValue>(TypedValue{from, value}));
  }
  if (to.is_text()) {
    return cut_text(to_text(value, from, style), to);
  }
  if (to.is_integer()) {
    return to_integer(value, from, to);
  }
  if (to.is_exact_scaled()) {
    return to_scaled(value, from, to);
  }
  if (to.is_approximate()) {
    return to_approximate(value, from, to);
  }
  if (to.is_moment()) {
    return to_moment(value, from, to);
  }
  if (to.is_bytes()) {
    return to_bytes(value, from, to, style);
  }
  if (to.kind == TypeKind::kUniqueIdentifier) {
    return to_guid(value, from, to);
  }
  return raw_bytes(value, from, to, style);  // CLR types are kept as the bytes that are given
}

Value converted_for_storage(const Value& value, const SqlType& from, const SqlType& to,
                            const std::string& column) {
  if (is_null(value)) {
    return value;
  }
  // Blanks and zero bytes at the end may be cut, as they may on a server.
  const auto too_long = [&to](std::size_t size) {
    return !to.is_max() && size > static_cast<std::size_t>(to.length);
  };
  bool cut = false;
  if (to.is_text() && value.index() == 4 && too_long(text_of(value).size())) {
    cut = text_of(value).find_last_not_of(u' ') >= static_cast<std::size_t>(to.length);
  } else if (to.is_bytes() && value.index() == 5 && too_long(bytes_of(value).size())) {
    cut = true;
  }
  if (cut) {
    throw SqlError(2628, "String or binary data would be truncated in column '" + column +
                             "'. Truncated value: '" +
                             (value.index() == 4 ? utf8_of(value).substr(0, 40) : "") + "'.");
  }
  return convert(value, from, to);
}

std::string display_text(const Value& value, const SqlType& type) {
  if (is_null(value)) {
    return {};
  }
  if (type.kind == TypeKind::kVariant) {
    return display_text(std::get<7>(value)->value, std::get<7>(value)->type);
  }
  const int style = type.is_bytes() ? 1 : type.is_approximate() ? 3 : type.is_moment() ? 121 : 2;
  return utf8_of(convert(value, type, text_type(kMaxLength, true), style));
}

SqlType common_type(const SqlType& left, const SqlType& right) {
  SqlType result = left.kind >= right.kind ? left : right;
  if (left.is_exact_scaled() && right.is_exact_scaled()) {
    if (result.kind == TypeKind::kDecimal || result.kind == TypeKind::kNumeric) {
      const int scale = std::max(left.scale, right.scale);
      const int whole = std::max(left.precision - left.scale, right.precision - right.scale);
      result.precision = std::min(38, whole + scale);
      result.scale = std::min(scale, result.precision);
    }
    return result;
  }
  const SqlType& other = left.kind >= right.kind ? right : left;
  if ((result.kind == TypeKind::kDecimal || result.kind == TypeKind::kNumeric) &&
      other.is_integer()) {
    result.precision = std::min(
        38, std::max(result.precision - result.scale, other.catalog_precision()) + result.scale);
    return result;
  }
  const bool strings = (left.is_text() && right.is_text()) || (left.is_bytes() && right.is_bytes());
  if (strings) {
    if (result.kind == TypeKind::kChar || result.kind == TypeKind::kNChar ||
        result.kind == TypeKind::kBinary) {
      if (left.length != right.length) {
        result.kind = result.kind == TypeKind::kChar    ? TypeKind::kVarChar
                      : result.kind == TypeKind::kNChar ? TypeKind::kNVarChar
                                                        : TypeKind::kVarBinary;
      }
    }
    result.length =
        left.is_max() || right.is_max() ? kMaxLength : std::max(left.length, right.length);
    result.sysname = left.sysname && right.sysname;
    result.text_order =
        left.text_order == TextOrder::kDatabase ? right.text_order : left.text_order;
  }
  if (result.is_moment() && other.is_moment() && result.kind == other.kind) {
    result.scale = std::max(left.scale, right.scale);
  }
  return result;
}

}  // namespace headgate::test::sqlserver
