#include <string>

#include <catch2/catch.hpp>

#include "db/odbc/utf16.hpp"

namespace headgate::odbc {
namespace {

std::string back(const std::u16string& units) {
  std::string out = "before ";
  REQUIRE(append_utf8(units, out));
  return out.substr(7);
}

// Every character there is, both ways: none may change on its way to the server or back.
TEST_CASE("each of the 1,112,064 characters survives UTF-16 and back") {
  std::uint64_t tried = 0;
  for (char32_t point = 0; point <= 0x10FFFF; ++point) {
    if (point >= 0xD800 && point < 0xE000) {
      continue;
    }
    std::u16string units;
    if (point < 0x10000) {
      units.push_back(static_cast<char16_t>(point));
    } else {
      units.push_back(static_cast<char16_t>(0xD800 + ((point - 0x10000) >> 10)));
      units.push_back(static_cast<char16_t>(0xDC00 + ((point - 0x10000) & 0x3FF)));
    }
    std::string utf8;
    if (!append_utf8(units, utf8) || to_utf16(utf8) != units) {
      FAIL("U+" << std::hex << static_cast<std::uint32_t>(point));
    }
    ++tried;
  }
  CHECK(tried == 1112064);
}

TEST_CASE("texts come out as other tools write them") {
  CHECK(back(u"") == "");
  CHECK(back(std::u16string(u"a\0b", 3)) == std::string("a\0b", 3));
  CHECK(back(u"\u00e9\u65e5\U0001F600") == "\xC3\xA9\xE6\x97\xA5\xF0\x9F\x98\x80");
  CHECK(*to_utf16("\xF4\x8F\xBF\xBF") == u"\U0010FFFF");
}

TEST_CASE("half a surrogate pair is told, and nothing is appended") {
  const std::u16string bad =
      GENERATE(std::u16string{u'a', 0xD83D}, std::u16string{0xD83D, u'b'}, std::u16string{0xDE00},
               std::u16string{0xDE00, 0xD83D}, std::u16string{0xD83D, 0xD83D, 0xDE00});
  std::string out = "kept";
  CHECK_FALSE(append_utf8(bad, out));
  CHECK(out == "kept");
}

TEST_CASE("what is not UTF-8 is refused, never replaced") {
  const std::string bad =
      GENERATE(as<std::string>{}, "\x80", "\xC3", "\xC0\xAF", "\xE0\x80\x80", "\xED\xA0\x80",
               "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xFF", "ok\xE6\x97", "\xE6\x97q");
  CHECK_FALSE(to_utf16(bad));
}

}  // namespace
}  // namespace headgate::odbc
