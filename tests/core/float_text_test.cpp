#include "core/float_text.hpp"

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <string>

#include <catch2/catch.hpp>

namespace {

using headgate::float_text;

// Text of PostgreSQL 15 for these numbers (float8out, extra_float_digits = 3).
TEST_CASE("a double prints as PostgreSQL prints it") {
  const auto [bits, text] = GENERATE(table<std::uint64_t, std::string>({
      {0x0000000000000000, "0"},
      {0x8000000000000000, "-0"},
      {0x3fb999999999999a, "0.1"},
      {0x4008000000000000, "3"},
      {0x40fe240c9fbe76c9, "123456.789"},
      {0x430c6bf52633fff8, "999999999999999"},
      {0x430c6bf526340000, "1e+15"},
      {0x3f1a36e2eb1c432d, "0.0001"},
      {0x3ee4f8b588e368f1, "1e-05"},
      {0xbe8421f5f40d8376, "-1.5e-07"},
      {0x4340000000000000, "9.007199254740992e+15"},
      {0x0000000000000001, "5e-324"},
      {0x7fefffffffffffff, "1.7976931348623157e+308"},
      {0x7ff8000000000000, "NaN"},
      {0xfff8000000000001, "NaN"},
      {0x7ff0000000000000, "Infinity"},
      {0xfff0000000000000, "-Infinity"},
      // The shortest text lies half-way to a neighbour; the server adds digits, others do not.
      {0x43678856d867c466, "5.2990648348713776e+16"},
  }));
  CHECK(float_text(std::bit_cast<double>(bits)) == text);
}

TEST_CASE("a float prints as PostgreSQL prints it") {
  const auto [bits, text] = GENERATE(table<std::uint32_t, std::string>({
      {0x00000000, "0"},
      {0x80000000, "-0"},
      {0x3dcccccd, "0.1"},
      {0xc0200000, "-2.5"},
      {0x497423f0, "999999"},
      {0x49742400, "1e+06"},
      {0x4b800000, "1.6777216e+07"},
      {0x38d1b717, "0.0001"},
      {0x3727c5ac, "1e-05"},
      {0x00000001, "1e-45"},
      {0x7f7fffff, "3.4028235e+38"},
      {0x4bffffff, "3.355443e+07"},
      {0x7fc00000, "NaN"},
      {0xff800000, "-Infinity"},
  }));
  CHECK(float_text(std::bit_cast<float>(bits)) == text);
}

TEST_CASE("every finite float reads back as the same bits") {
  std::mt19937_64 random(20260101);
  for (int i = 0; i < 20'000; ++i) {
    const auto bits = random();
    if (const auto number = std::bit_cast<double>(bits); number == number) {
      CHECK(std::bit_cast<std::uint64_t>(std::strtod(float_text(number).c_str(), nullptr)) == bits);
    }
    const auto narrow = static_cast<std::uint32_t>(bits);
    if (const auto number = std::bit_cast<float>(narrow); number == number) {
      CHECK(std::bit_cast<std::uint32_t>(std::strtof(float_text(number).c_str(), nullptr)) ==
            narrow);
    }
  }
}

}  // namespace
