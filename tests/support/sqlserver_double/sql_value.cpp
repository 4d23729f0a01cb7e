#include "support/sqlserver_double/sql_value.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

template <typename T>
std::strong_ordering ordered(const T& left, const T& right) {
  return left < right   ? std::strong_ordering::less
         : right < left ? std::strong_ordering::greater
                        : std::strong_ordering::equal;
}

// The letters from U+00E0 on, without their accents.
constexpr std::u16string_view kBare = u"aaaaaa\u00e6ceeeeiiii\u00f0nooooo\u00f7\u00f8uuuuy\u00fey";

char16_t folded(char16_t unit, TextOrder how) {
  if (how == TextOrder::kBinary) {
    return unit;
  }
  const char16_t small = lower(unit);
  return how == TextOrder::kAccentInsensitive && small >= 0xE0 && small <= 0xFF
             ? kBare[small - 0xE0u]
             : small;
}

std::strong_ordering order_text(std::u16string_view left, std::u16string_view right,
                                TextOrder how) {
  const std::size_t length = std::max(left.size(), right.size());
  for (std::size_t at = 0; at < length; ++at) {
    const char16_t l = at < left.size() ? folded(left[at], how) : u' ';
    const char16_t r = at < right.size() ? folded(right[at], how) : u' ';
    if (l != r) {
      return ordered(l, r);
    }
  }
  // Capitals have the smaller numbers.
  return how == TextOrder::kCaseSensitive ? order_text(right, left, TextOrder::kBinary)
                                          : std::strong_ordering::equal;
}

std::strong_ordering order_guid(const std::string& left, const std::string& right) {
  static const std::array<std::size_t, 16> places = {10, 11, 12, 13, 14, 15, 8, 9,
                                                     6,  7,  4,  5,  0,  1,  2, 3};
  for (const std::size_t place : places) {
    const auto l = static_cast<unsigned char>(left[place]);
    const auto r = static_cast<unsigned char>(right[place]);
    if (l != r) {
      return ordered(l, r);
    }
  }
  return std::strong_ordering::equal;
}

}  // namespace

Value text_value(std::string_view utf8) {
  return utf16_of_utf8(utf8);
}

std::string utf8_of(const Value& text) {
  return is_null(text) ? std::string() : utf8_of_utf16(text_of(text));
}

std::strong_ordering order(const Value& left, const Value& right, const SqlType& type) {
  switch (left.index()) {
    case 1:
      return ordered(std::get<1>(left), std::get<1>(right));
    case 2:
      return ordered(std::get<2>(left), std::get<2>(right));
    case 3:
      return ordered(std::get<3>(left), std::get<3>(right));
    case 4:
      return order_text(std::get<4>(left), std::get<4>(right), type.text_order);
    case 5:
      return type.kind == TypeKind::kUniqueIdentifier
                 ? order_guid(std::get<5>(left), std::get<5>(right))
                 : std::get<5>(left) <=> std::get<5>(right);
    case 6:
      return std::get<6>(left) <=> std::get<6>(right);
    case 7: {
      const auto& l = *std::get<7>(left);
      const auto& r = *std::get<7>(right);
      return l.type.kind != r.type.kind ? ordered(l.type.kind, r.type.kind)
                                        : order(l.value, r.value, l.type);
    }
    default:
      return std::strong_ordering::equal;
  }
}

std::strong_ordering order_nulls_first(const Value& left, const Value& right, const SqlType& type) {
  if (is_null(left) || is_null(right)) {
    return ordered(!is_null(left), !is_null(right));
  }
  return order(left, right, type);
}

std::string equality_key(const Value& value, const SqlType& type) {
  const auto raw = [](const auto& number) {
    std::string bytes(sizeof number, '\0');
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
  };
  switch (value.index()) {
    case 1:
      return "i" + raw(std::get<1>(value));
    case 2:
      return "d" + raw(std::get<2>(value) == 0 ? 0.0 : std::get<2>(value));
    case 3:
      return "n" + decimal_text(std::get<3>(value), type.scale);
    case 4: {
      const TextOrder how =
          type.text_order == TextOrder::kCaseSensitive ? TextOrder::kBinary : type.text_order;
      std::u16string text = std::get<4>(value);
      std::transform(text.begin(), text.end(), text.begin(),
                     [how](char16_t unit) { return folded(unit, how); });
      text.erase(text.find_last_not_of(u' ') + 1);
      return "t" + bytes_of_utf16(text);
    }
    case 5:
      return "b" + std::get<5>(value);
    case 6:
      return "m" + raw(absolute_ticks(std::get<6>(value)));
    case 7:
      return "v" + equality_key(std::get<7>(value)->value, std::get<7>(value)->type);
    default:
      return "0";
  }
}

bool identical(const Value& before, const Value& after) {
  if (before.index() != after.index()) {
    return false;
  }
  switch (before.index()) {
    case 2:
      return std::memcmp(&std::get<2>(before), &std::get<2>(after), sizeof(double)) == 0;
    case 6:
      return std::get<6>(before) == std::get<6>(after) &&
             std::get<6>(before).offset == std::get<6>(after).offset;
    case 7:
      return std::get<7>(before)->type == std::get<7>(after)->type &&
             identical(std::get<7>(before)->value, std::get<7>(after)->value);
    default:
      return before == after;
  }
}

}  // namespace headgate::test::sqlserver
