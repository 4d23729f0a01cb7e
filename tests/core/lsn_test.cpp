#include "core/lsn.hpp"

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/check.hpp"
#include "base/error.hpp"

namespace {

using headgate::Error;
using headgate::ErrorKind;
using headgate::LSN;

TEST_CASE("a PostgreSQL LSN prints as the server prints it and is stored as 0x-hex") {
  const LSN lsn = LSN::from_postgres(0x16'B374D848);
  CHECK(lsn.to_string() == "16/B374D848");
  CHECK(lsn.to_hex() == "0x00000016b374d848");
  CHECK(lsn.to_postgres() == 0x16'B374D848);
  CHECK(lsn.bytes() == std::string("\x00\x00\x00\x16\xB3\x74\xD8\x48", 8));
  CHECK(LSN::from_postgres(0).to_string() == "0/0");
  CHECK(LSN::from_postgres(UINT64_MAX).to_string() == "FFFFFFFF/FFFFFFFF");
}

TEST_CASE("a SQL Server LSN prints as the server prints it and is stored as 0x-hex") {
  const LSN lsn = LSN::from_bytes(std::string("\x00\x00\x00\x27\x00\x00\x0a\xc0\x00\x02", 10));
  CHECK(lsn.to_string() == "00000027:00000ac0:0002");
  CHECK(lsn.to_hex() == "0x0000002700000ac00002");
  CHECK_THROWS_AS(lsn.to_postgres(), headgate::CheckFailure);
}

TEST_CASE("an LSN is read from every notation in which one is printed") {
  const auto [text, hex] = GENERATE(table<std::string, std::string>({
      {"16/B374D848", "0x00000016b374d848"},
      {"16/b374d848", "0x00000016b374d848"},
      {"0/0", "0x0000000000000000"},
      {"FFFFFFFF/FFFFFFFF", "0xffffffffffffffff"},
      {"0x00000016b374d848", "0x00000016b374d848"},
      {"0X00000016B374D848", "0x00000016b374d848"},
      {"00000027:00000ac0:0002", "0x0000002700000ac00002"},
      {"27:AC0:2", "0x0000002700000ac00002"},
      {"0x0000002700000ac00002", "0x0000002700000ac00002"},
  }));
  CAPTURE(text);
  const LSN lsn = LSN::parse(text);
  CHECK(lsn.to_hex() == hex);
  CHECK(LSN::parse(lsn.to_string()).to_hex() == hex);
  CHECK(LSN::parse(lsn.to_hex()).to_hex() == hex);
}

TEST_CASE("what is no LSN is refused and quoted") {
  const auto text = GENERATE(as<std::string>{}, "", "0x", "16", "16/", "/16", "16/B374D848/1",
                             "16/B374D8481", "116/-1", "16/0xB3", " 16/B3", "16/B3 ", "0x16",
                             "0x00000016b374d8", "0x00000016b374d84g", "0x000000270000ac00002",
                             "1:2", "1:2:3:4", "1:2:10000", ":::", "000000270:00000ac0:0002", "x");
  CAPTURE(text);
  try {
    LSN::parse(text);
    FAIL("taken for an LSN");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kOperator);
    CHECK(std::string(error.what()).find("\"" + text + "\"") != std::string::npos);
  }
}

TEST_CASE("bytes of a length that no server uses are no LSN") {
  const auto size = GENERATE(1U, 7U, 9U, 11U);
  CHECK_THROWS_AS(LSN::from_bytes(std::string(size, 'x')), Error);
  CHECK(LSN::from_bytes("").bytes().empty());
}

TEST_CASE("LSNs are ordered as unsigned bytes, never as signed ones") {
  const std::vector<LSN> ascending = {
      LSN{},
      LSN::parse("0/1"),
      LSN::parse("0/7F"),
      LSN::parse("0/80"),
      LSN::parse("0/FFFFFFFF"),
      LSN::parse("1/0"),
      LSN::parse("7FFFFFFF/0"),
      LSN::parse("80000000/0"),
      LSN::from_postgres(UINT64_MAX),
  };
  for (std::size_t i = 0; i < ascending.size(); ++i) {
    for (std::size_t j = 0; j < ascending.size(); ++j) {
      CAPTURE(i, j);
      CHECK((ascending[i] < ascending[j]) == (i < j));
      CHECK((ascending[i] == ascending[j]) == (i == j));
      CHECK((LSN::compare(ascending[i], ascending[j]) > 0) == (i > j));
      CHECK(LSN::min(ascending[i], ascending[j]) == ascending[std::min(i, j)]);
    }
  }
  CHECK(LSN::parse("00000027:00000ac0:0002") < LSN::parse("00000027:00000ac0:0003"));
  CHECK(LSN::parse("00000027:ffffffff:ffff") < LSN::parse("00000028:00000000:0001"));
}

TEST_CASE("no LSN and a zero one are equal and stand before the rest, of either server") {
  const LSN none;
  CHECK(none.is_zero());
  CHECK(LSN::from_postgres(0).is_zero());
  CHECK(LSN::parse("0:0:0").is_zero());
  CHECK_FALSE(LSN::from_postgres(1).is_zero());
  CHECK(none == LSN::from_postgres(0));
  CHECK(LSN::from_postgres(0) == LSN::parse("0:0:0"));
  CHECK(LSN::from_postgres(0) < LSN::parse("0:0:1"));
  CHECK(none < LSN::from_postgres(1));
  CHECK(none.to_string().empty());
  CHECK(none.to_hex().empty());
  CHECK(none.to_postgres() == 0);
}

TEST_CASE("LSNs of different server kinds are never compared") {
  CHECK_THROWS_AS(LSN::compare(LSN::parse("0/1"), LSN::parse("0:0:1")), headgate::CheckFailure);
}

}  // namespace
