#include "config/units.hpp"

#include <limits>

#include <catch2/catch.hpp>

namespace headgate::config {
namespace {

using namespace std::chrono_literals;

TEST_CASE("durations are read with every unit and printed in the largest that fits") {
  struct Case {
    const char* text;
    Duration duration;
    const char* printed;
  };
  const Case cases[] = {
      {"500ms", 500ms, "500ms"},    {"30s", 30s, "30s"},
      {"1m", 1min, "1m"},           {"6h", 6h, "6h"},
      {"7d", 7 * 24h, "7d"},        {"60s", 60s, "1m"},
      {"1500ms", 1500ms, "1500ms"}, {"36h", 36h, "36h"},
      {"007s", 7s, "7s"},           {"106751d", 106751 * 24h, "106751d"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    REQUIRE(parse_duration(c.text) == c.duration);
    CHECK(format_duration(c.duration) == c.printed);
  }
  CHECK(parse_duration("0s") == Duration(0));
}

TEST_CASE("what is no duration is none") {
  for (const char* text : {"", "5", "s", "1.5h", "-1s", "+1s", " 1s", "1 s", "1s ", "1S", "1M",
                           "1us", "1y", "1m30s", "106752d", "99999999999999999999s", "0x1s"}) {
    INFO(text);
    CHECK_FALSE(parse_duration(text));
  }
}

TEST_CASE("sizes are read with binary and decimal units") {
  struct Case {
    const char* text;
    std::uint64_t bytes;
    const char* printed;
  };
  const Case cases[] = {
      {"0", 0, "0"},
      {"1", 1, "1"},
      {"512B", 512, "512"},
      {"1KiB", 1024, "1KiB"},
      {"64MiB", std::uint64_t{64} << 20U, "64MiB"},
      {"10GiB", std::uint64_t{10} << 30U, "10GiB"},
      {"2TiB", std::uint64_t{2} << 40U, "2TiB"},
      {"1kB", 1000, "1000"},
      {"256MB", 256'000'000, "250000KiB"},
      {"3GB", 3'000'000'000, "3000000000"},
      {"1TB", 1'000'000'000'000, "976562500KiB"},
      {"64mib", std::uint64_t{64} << 20U, "64MiB"},
      {"18446744073709551615", std::numeric_limits<std::uint64_t>::max(), "18446744073709551615"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    REQUIRE(parse_size(c.text) == c.bytes);
    CHECK(format_size(c.bytes) == c.printed);
  }
}

TEST_CASE("what is no size is none") {
  for (const char* text : {"", "MiB", "1.5GiB", "-1", "+1", "1 MiB", "64M", "64Mi", "1PiB",
                           "18446744073709551616", "18014398509481984KiB", "1e3"}) {
    INFO(text);
    CHECK_FALSE(parse_size(text));
  }
}

TEST_CASE("numbers are digits") {
  CHECK(parse_number("10000") == 10000U);
  for (const char* text :
       {"", "-1", "+1", "1_000", "0x10", "1e3", " 1", "1 ", "18446744073709551616"}) {
    INFO(text);
    CHECK_FALSE(parse_number(text));
  }
}

}  // namespace
}  // namespace headgate::config
