#include "base/hex.hpp"

#include <optional>
#include <string>

#include <catch2/catch.hpp>

namespace {

using headgate::from_hex;
using headgate::to_hex;

TEST_CASE("every byte survives the way to hex and back") {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    all.push_back(static_cast<char>(byte));
  }
  CHECK(to_hex(all).size() == 512);
  CHECK(from_hex(to_hex(all)) == all);
}

TEST_CASE("hex digits are written small and read in either case") {
  CHECK(to_hex(std::string("\x00\xAB\x7f", 3)) == "00ab7f");
  CHECK(from_hex("00aB7F") == std::string("\x00\xAB\x7f", 3));
  CHECK(to_hex("").empty());
  CHECK(from_hex("") == "");
}

TEST_CASE("what is no hex is told apart from no bytes") {
  const auto text =
      GENERATE(as<std::string>{}, "a", "abc", "0g", "g0", "0x", " 0", "/0", ":0", "@a", "`a", "-1");
  CAPTURE(text);
  CHECK(from_hex(text) == std::nullopt);
}

}  // namespace
