#include "config/text.hpp"

#include <catch2/catch.hpp>

namespace headgate::config {
namespace {

TEST_CASE("the first byte that is not UTF-8 is found") {
  CHECK_FALSE(find_invalid_utf8(""));
  CHECK_FALSE(find_invalid_utf8("a\xC2\x80 \xE2\x82\xAC \xF0\x9F\x98\x80 \xF4\x8F\xBF\xBF"));
  struct Case {
    const char* text;
    std::size_t at;
  };
  const Case cases[] = {
      {"ab\xFF", 2},           {"\x80", 0},         {"a\xC3", 1},
      {"\xC0\x80", 0},         {"\xE0\x80\x80", 0}, {"\xED\xA0\x80", 0},
      {"\xF4\x90\x80\x80", 0}, {"\xE2\x82x", 0},    {"\xF8\x88\x80\x80\x80", 0},
  };
  for (const Case& c : cases) {
    INFO(c.at);
    CHECK(find_invalid_utf8(c.text) == c.at);
  }
}

TEST_CASE("what is shown stays on one line and short") {
  CHECK(shown("Orders-Slot") == "\"Orders-Slot\"");
  CHECK(shown("a\nb\x7F\xFF") == "\"a\\x0ab\\x7f\\xff\"");
  CHECK(shown("\xC3\xA4") == "\"\xC3\xA4\"");
  CHECK(shown(std::string(1000, 'x')).size() < 100);
  CHECK(shown_bare("key") == "key");
}

}  // namespace
}  // namespace headgate::config
