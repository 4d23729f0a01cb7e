#include "db/odbc/utf16.hpp"

#include <cstdint>

namespace headgate::odbc {
namespace {

constexpr char32_t kHighFirst = 0xD800;
constexpr char32_t kLowFirst = 0xDC00;
constexpr char32_t kLowLast = 0xDFFF;
constexpr char32_t kAstralFirst = 0x10000;

struct Decoded {
  char32_t point;
  std::size_t size;
};

// The character at the start of `text`; nothing when it is not one, or not in its shortest form.
std::optional<Decoded> decode(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint8_t first = byte(0);
  if (first < 0x80) {
    return Decoded{first, 1};
  }
  const std::size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2;
  if (first < 0xC2 || first > 0xF4 || text.size() < size) {
    return std::nullopt;
  }
  char32_t point = first & (0x7FU >> size);
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xC0U) != 0x80) {
      return std::nullopt;
    }
    point = point << 6 | (byte(i) & 0x3FU);
  }
  const char32_t least = size == 2 ? 0x80 : size == 3 ? 0x800 : kAstralFirst;
  if (point < least || point > 0x10FFFF || (point >= kHighFirst && point <= kLowLast)) {
    return std::nullopt;
  }
  return Decoded{point, size};
}

void append_point(char32_t point, std::string& out) {
  const auto put = [&](char32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (point < 0x80) {
    put(point);
  } else if (point < 0x800) {
    put(0xC0 | point >> 6);
    put(0x80 | (point & 0x3F));
  } else if (point < kAstralFirst) {
    put(0xE0 | point >> 12);
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  } else {
    put(0xF0 | point >> 18);
    put(0x80 | (point >> 12 & 0x3F));
    put(0x80 | (point >> 6 & 0x3F));
    put(0x80 | (point & 0x3F));
  }
}

}  // namespace

std::optional<std::u16string> to_utf16(std::string_view utf8) {
  std::u16string out;
  out.reserve(utf8.size());
  while (!utf8.empty()) {
    const auto decoded = decode(utf8);
    if (!decoded) {
      return std::nullopt;
    }
    if (decoded->point < kAstralFirst) {
      out.push_back(static_cast<char16_t>(decoded->point));
    } else {
      const char32_t above = decoded->point - kAstralFirst;
      out.push_back(static_cast<char16_t>(kHighFirst + (above >> 10)));
      out.push_back(static_cast<char16_t>(kLowFirst + (above & 0x3FF)));
    }
    utf8.remove_prefix(decoded->size);
  }
  return out;
}

bool append_utf8(std::u16string_view utf16, std::string& out) {
  const std::size_t before = out.size();
  out.reserve(before + utf16.size());
  for (std::size_t i = 0; i < utf16.size(); ++i) {
    char32_t point = utf16[i];
    if (point >= kHighFirst && point <= kLowLast) {
      const bool paired = point < kLowFirst && i + 1 < utf16.size() && utf16[i + 1] >= kLowFirst &&
                          utf16[i + 1] <= kLowLast;
      if (!paired) {
        out.resize(before);
        return false;
      }
      ++i;
      point = kAstralFirst + ((point - kHighFirst) << 10) + (utf16[i] - kLowFirst);
    }
    append_point(point, out);
  }
  return true;
}

}  // namespace headgate::odbc
