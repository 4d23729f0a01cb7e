#include "support/sqlserver_double/unicode.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

namespace headgate::test::sqlserver {

namespace {

// 0x80 to 0x9F of code page 1252; the rest is Latin-1. Unassigned bytes map to themselves.
constexpr std::array<char16_t, 32> kCp1252 = {
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178};

bool is_high(char16_t unit) {
  return unit >= 0xD800 && unit < 0xDC00;
}
bool is_low(char16_t unit) {
  return unit >= 0xDC00 && unit < 0xE000;
}

void append_utf16(std::u16string& text, std::uint32_t point) {
  if (point < 0x10000) {
    text.push_back(static_cast<char16_t>(point));
    return;
  }
  point -= 0x10000;
  text.push_back(static_cast<char16_t>(0xD800 + (point >> 10)));
  text.push_back(static_cast<char16_t>(0xDC00 + (point & 0x3FF)));
}

void append_utf8(std::string& text, std::uint32_t point) {
  const auto put = [&text](std::uint32_t byte) { text.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | (point >> 6));
    put(0x80 | (point & 0x3F));
  } else if (point < 0x10000) {
    put(0xE0 | (point >> 12));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | (point >> 18));
    put(0x80 | ((point >> 12) & 0x3F));
    put(0x80 | ((point >> 6) & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

}  // namespace

std::u16string utf16_of_utf8(std::string_view text) {
  std::u16string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t length = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    const bool malformed =
        (lead >= 0x80 && lead < 0xC2) || lead > 0xF4 || at + length > text.size();
    std::uint32_t point = length == 1 ? lead : lead & (0xFFu >> (length + 1));
    for (std::size_t next = 1; !malformed && next < length; ++next) {
      point = (point << 6) | (static_cast<unsigned char>(text[at + next]) & 0x3Fu);
    }
    append_utf16(result, malformed ? 0xFFFD : point);
    at += malformed ? 1 : length;
  }
  return result;
}

std::string utf8_of_utf16(std::u16string_view text) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::uint32_t point = text[at];
    if (is_high(text[at]) && at + 1 < text.size() && is_low(text[at + 1])) {
      point = 0x10000 + ((point - 0xD800) << 10) + (text[++at] - 0xDC00u);
    } else if (is_high(text[at]) || is_low(text[at])) {
      point = 0xFFFD;
    }
    append_utf8(result, point);
  }
  return result;
}

std::string cp1252_of_utf16(std::u16string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char16_t unit : text) {
    if (unit < 0x80 || (unit >= 0xA0 && unit <= 0xFF)) {
      result.push_back(static_cast<char>(unit));
      continue;
    }
    const auto found = std::find(kCp1252.begin(), kCp1252.end(), unit);
    result.push_back(found == kCp1252.end() ? '?'
                                            : static_cast<char>(0x80 + (found - kCp1252.begin())));
  }
  return result;
}

std::u16string utf16_of_cp1252(std::string_view text) {
  std::u16string result;
  result.reserve(text.size());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    result.push_back(byte >= 0x80 && byte < 0xA0 ? kCp1252[byte - 0x80u]
                                                 : static_cast<char16_t>(byte));
  }
  return result;
}

std::u16string utf16_of_bytes(std::string_view bytes) {
  std::u16string result;
  result.reserve(bytes.size() / 2);
  for (std::size_t at = 0; at + 1 < bytes.size(); at += 2) {
    result.push_back(static_cast<char16_t>(static_cast<unsigned char>(bytes[at]) |
                                           (static_cast<unsigned char>(bytes[at + 1]) << 8)));
  }
  return result;
}

std::string bytes_of_utf16(std::u16string_view text) {
  std::string result;
  result.reserve(text.size() * 2);
  for (const char16_t unit : text) {
    result.push_back(static_cast<char>(unit & 0xFF));
    result.push_back(static_cast<char>(unit >> 8));
  }
  return result;
}

char16_t lower(char16_t unit) {
  const bool ascii = unit >= u'A' && unit <= u'Z';
  const bool latin = unit >= 0xC0 && unit <= 0xDE && unit != 0xD7;
  return ascii || latin ? static_cast<char16_t>(unit + 32) : unit;
}

std::u16string lower(std::u16string_view text) {
  std::u16string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char16_t c) { return lower(c); });
  return result;
}

std::string lower(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return result;
}

bool same_name(std::string_view left, std::string_view right) {
  return left.size() == right.size() && lower(left) == lower(right);
}

}  // namespace headgate::test::sqlserver
