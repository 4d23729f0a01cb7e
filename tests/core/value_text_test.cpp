#include "core/value_text.hpp"

#include <cstdint>
#include <map>
#include <string>

#include <catch2/catch.hpp>

#include "base/check.hpp"
#include "base/error.hpp"
#include "base/hex.hpp"

namespace {

using headgate::Column;
using headgate::Error;
using headgate::ErrorKind;
using headgate::from_hex;
using headgate::has_binary_text;
using headgate::Value;
using headgate::value_text;

const std::map<std::string, std::uint32_t> kTypes = {
    {"bool", 16},        {"bytea", 17},         {"name", 19},      {"int8", 20},   {"int2", 21},
    {"int4", 23},        {"text", 25},          {"oid", 26},       {"json", 114},  {"float4", 700},
    {"float8", 701},     {"bpchar", 1042},      {"varchar", 1043}, {"date", 1082}, {"time", 1083},
    {"timestamp", 1114}, {"timestamptz", 1184}, {"numeric", 1700}, {"uuid", 2950}, {"jsonb", 3802}};

std::string text_of(const std::string& type, const std::string& hex) {
  Column column;
  column.name = "c";
  column.native_type = type;
  column.type_oid = kTypes.at(type);
  const auto bytes = from_hex(hex);
  REQUIRE(bytes);
  return value_text(column, Value::binary(*bytes));
}

void check_all(const std::string& type, const std::map<std::string, std::string>& text_by_hex) {
  for (const auto& [hex, text] : text_by_hex) {
    CAPTURE(type, hex);
    CHECK(text_of(type, hex) == text);
  }
}

// Bytes and text in all cases below are those of a PostgreSQL 15 server: encode(TYPEsend(v), 'hex')
// and v::text, with DateStyle ISO, TimeZone UTC, bytea_output hex and extra_float_digits 3.

TEST_CASE("booleans and integers print as on the server, to their ends") {
  check_all("bool", {{"01", "t"}, {"00", "f"}});
  check_all("int2", {{"7fff", "32767"}, {"8000", "-32768"}, {"0000", "0"}, {"ffff", "-1"}});
  check_all("int4", {{"7fffffff", "2147483647"},
                     {"80000000", "-2147483648"},
                     {"00000000", "0"},
                     {"ffffffff", "-1"}});
  check_all("int8", {{"7fffffffffffffff", "9223372036854775807"},
                     {"8000000000000000", "-9223372036854775808"},
                     {"0000000000000000", "0"},
                     {"ffffffffffffffff", "-1"}});
  check_all("oid", {{"ffffffff", "4294967295"}, {"00000000", "0"}});
}

TEST_CASE("floats of either width are taken for what they are") {
  check_all("float4", {{"3dcccccd", "0.1"}, {"49742400", "1e+06"}});
  check_all("float8", {{"3fb999999999999a", "0.1"}, {"412e848000000000", "1000000"}});
}

TEST_CASE("numerics keep their scale and print all digits, without an exponent") {
  check_all("numeric", {
                           {"0000000000000000", "0"},
                           {"0000000000000003", "0.000"},
                           {"0002000000000004000103e8", "1.1000"},
                           {"000300014000000204d2162e2328", "-12345678.90"},
                           {"00010001000000000001", "10000"},
                           {"0001ffff000000040001", "0.0001"},
                           {"0001fffe4000000804ce", "-0.00001230"},
                           {"0005000400000000270f270f270f270f270f", "99999999999999999999"},
                           {"00010005000000000001", "100000000000000000000"},
                           {"00000000c0000000", "NaN"},
                           {"00000000d0000020", "Infinity"},
                           {"00000000f0000020", "-Infinity"},
                       });
}

TEST_CASE("the widest and the finest numeric print in full") {
  const std::string widest = text_of("numeric", "00017fff0000000003e8");  // 1e131071
  CHECK(widest == "1" + std::string(131'071, '0'));
  const std::string finest = text_of("numeric", "0001f00000003fff000a");  // 1e-16383
  CHECK(finest == "0." + std::string(16'382, '0') + "1");
}

TEST_CASE("text types pass through as they are, padding, spaces and all") {
  check_all("text", {{"5a6fc3ab", "Zoë"}, {"", ""}});
  check_all("bpchar", {{"6162202020", "ab   "}});
  check_all("varchar", {{"616220", "ab "}});
  check_all("name", {{"70675f636c617373", "pg_class"}});
  check_all("json", {{"7b226222203a20317d", "{\"b\" : 1}"}});
  check_all("jsonb", {{"017b2261223a20322e35307d", "{\"a\": 2.50}"}, {"01227822", "\"x\""}});
}

TEST_CASE("bytes print as hex and a uuid with its dashes") {
  check_all("bytea", {{"00ff7f5c", "\\x00ff7f5c"}, {"", "\\x"}});
  check_all("uuid", {{"a0eebc999c0b4ef8bb6d6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"}});
}

TEST_CASE("dates print over the server's whole range") {
  check_all("date", {
                        {"00000000", "2000-01-01"},
                        {"ffffffff", "1999-12-31"},
                        {"00002279", "2024-02-29"},
                        {"ffff718f", "1900-03-01"},
                        {"fff4dbf9", "0001-01-01"},
                        {"fff4dbf8", "0001-12-31 BC"},
                        {"fff4d511", "0005-02-29 BC"},
                        {"ffda97a7", "4714-11-24 BC"},
                        {"002c95d3", "9999-12-31"},
                        {"002c95d4", "10000-01-01"},
                        {"7fda970c", "5874897-12-31"},
                        {"7fffffff", "infinity"},
                        {"80000000", "-infinity"},
                    });
}

TEST_CASE("times print with as many decimals as they need, and 24:00 stays 24:00") {
  check_all("time", {
                        {"0000000000000000", "00:00:00"},
                        {"000000141dd76000", "24:00:00"},
                        {"000000141dd75fff", "23:59:59.999999"},
                        {"00000000dde9ff60", "01:02:03.1"},
                        {"0000000000000001", "00:00:00.000001"},
                    });
}

TEST_CASE("timestamps print over the server's whole range") {
  check_all("timestamp", {
                             {"0000000000000000", "2000-01-01 00:00:00"},
                             {"ffffffffffffffff", "1999-12-31 23:59:59.999999"},
                             {"0002f88a331cc4c0", "2026-07-01 12:00:00.12"},
                             {"ff1af9e8fb46d000", "0044-03-15 12:00:00 BC"},
                             {"fd0f7cc1411fa000", "4714-11-24 00:00:00 BC"},
                             {"7fffff5bb3b29fff", "294276-12-31 23:59:59.999999"},
                             {"7fffffffffffffff", "infinity"},
                             {"8000000000000000", "-infinity"},
                         });
}

TEST_CASE("instants print in UTC, the zone before the era") {
  check_all("timestamptz", {
                               {"0002f88a331cc4c0", "2026-07-01 12:00:00.12+00"},
                               {"ff1af9e8fb4e7120", "0044-03-15 12:00:00.5+00 BC"},
                               {"0380e70b913b8000", "10000-01-01 00:00:00+00"},
                               {"7fffffffffffffff", "infinity"},
                               {"8000000000000000", "-infinity"},
                           });
}

TEST_CASE("a value that is text already is left alone, whatever its type") {
  Column column;
  column.type_oid = kTypes.at("date");
  CHECK(value_text(column, Value::text("44 BC, or so")) == "44 BC, or so");
  column.type_oid = 1186;  // interval
  CHECK(value_text(column, Value::text("1 day")) == "1 day");
}

TEST_CASE("a malformed binary value is an error that names the column") {
  const auto [type, hex] = GENERATE(table<std::string, std::string>({
      {"bool", ""},
      {"bool", "0001"},
      {"int2", "00"},
      {"int2", "000000"},
      {"int4", ""},
      {"int4", "0000000000"},
      {"int8", "00000000000000"},
      {"oid", "00"},
      {"float4", "0000000000000000"},
      {"float8", "00000000"},
      {"date", "0000"},
      {"time", "00000000"},
      {"time", "ffffffffffffffff"},
      {"time", "000000141dd76001"},
      {"timestamp", "00"},
      {"timestamptz", ""},
      {"uuid", "a0eebc999c0b4ef8bb6d6bb9bd380a"},
      {"uuid", "a0eebc999c0b4ef8bb6d6bb9bd380a1100"},
      {"jsonb", ""},
      {"jsonb", "027b7d"},
      {"numeric", ""},
      {"numeric", "00000000000000"},
      {"numeric", "000100000000000000"},  // half a group
      {"numeric",
       "0002000000000000"
       "0001"},  // fewer groups than announced
      {"numeric",
       "0001000000000000"
       "00010002"},
      {"numeric", "ffff000000000000"},
      {"numeric",
       "0001000000000000"
       "2710"},  // a group of 10000
      {"numeric",
       "0001000012340000"
       "0001"},                         // no such sign
      {"numeric", "0000000000004000"},  // a scale beyond the server's
  }));
  CAPTURE(type, hex);
  try {
    text_of(type, hex);
    FAIL("printed nonetheless");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kOperator);
    CHECK(std::string(error.what()).find("column c") != std::string::npos);
  }
}

TEST_CASE("every type said to be printable is printed, and no other") {
  for (const auto& [type, oid] : kTypes) {
    CAPTURE(type);
    CHECK(has_binary_text(oid));
  }
  std::size_t printable = 0;
  for (std::uint32_t oid = 0; oid < 16'384; ++oid) {
    Column column;
    column.name = "c";
    column.type_oid = oid;
    // No type takes five bytes of which the first is 2, but those of free length.
    const Value value = Value::binary("\x02xxxx");
    bool unknown = false;
    try {
      value_text(column, value);
    } catch (const Error& error) {
      unknown = std::string(error.what()).find("no text form") != std::string::npos;
    }
    CAPTURE(oid);
    CHECK(has_binary_text(oid) != unknown);
    printable += has_binary_text(oid) ? 1U : 0U;
  }
  CHECK(printable == kTypes.size());
}

TEST_CASE("a value that is NULL or was not sent has no text") {
  CHECK_THROWS_AS(value_text(Column{}, Value::null()), headgate::CheckFailure);
  CHECK_THROWS_AS(value_text(Column{}, Value::unchanged()), headgate::CheckFailure);
}

}  // namespace
