#include "support/script_values.hpp"

#include <algorithm>
#include <stdexcept>

#include <fmt/format.h>

#include "demo/pg_session.hpp"

namespace headgate::test {

namespace {

const std::string kEveryPlane = "a\u00e9\u4e2d\U0001F600\U00020000\U000E0001\U0010FFFD";
const std::string kThousandDigits = std::string(500, '7') + "." + std::string(500, '3');

// Digits that do not compress, so that a value of some thousand is moved out of line.
constexpr const char* kLargeText =
    "(SELECT string_agg(md5(s.i::text || n::text), '') FROM generate_series(1, {}) n)";

std::string large(const std::string& around) {
  return fmt::format(fmt::runtime(around), kLargeText);
}

std::vector<ValueType> all_types() {
  const std::string odd_text = "a\tb\nc\rd\\e''f\"g";
  return {
      {.name = "boolean", .literals = {"true", "false"}},
      {.name = "smallint",
       .literals = {"-32768", "32767", "0"},
       .varied = "(s.i % 30000)::smallint",
       .wider = {"integer", "bigint", "numeric", "text"}},
      {.name = "integer",
       .literals = {"-2147483648", "2147483647", "-1"},
       .varied = "s.i::integer",
       .key = "({0})::integer",
       .wider = {"bigint", "numeric", "text"}},
      {.name = "bigint",
       .literals = {"-9223372036854775808", "9223372036854775807", "9007199254740993"},
       .varied = "s.i * 4611686018427",
       .key = "(({0})::bigint * 9007199254741 - 4611686018427387904)",
       .wider = {"numeric", "text"}},
      {.name = "oid", .literals = {"0", "4294967295"}},
      {.name = "numeric",
       .literals = {"NaN", "Infinity", "-Infinity", "0", "-0.00", "1e-1000",
                    "-123456789012345678901234567890.5", kThousandDigits, "1e1000", "0.10",
                    "1.000"},
       .varied = "s.i / 7.0",
       // Not only different numbers but also different digits of the same scale.
       .key = "(({0})::numeric / 100 - 5)",
       .wider = {"text"}},
      {.name = "numeric(12,2)",
       .literals = {"9999999999.99", "-0.01", "NaN", "0"},
       .varied = "(s.i / 4.0)::numeric(12,2)",
       .wider = {"numeric(20,2)", "numeric", "text"}},
      {.name = "numeric(20,2)",
       .literals = {"999999999999999999.99", "-0.01", "NaN"},
       .wider = {"numeric", "text"}},
      {.name = "numeric(5,-2)", .literals = {"1234500", "-49"}},
      {.name = "real",
       .literals = {"NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38", "0.1",
                    "16777217"}},
      {.name = "double precision",
       .literals = {"NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1",
                    "123456789.12345679"},
       .varied = "s.i / 8::double precision"},
      {.name = "money", .literals = {"-92233720368547758.08", "92233720368547758.07", "0.01"}},
      {.name = "text",
       .literals = {"", " ", "NULL", "\\N", odd_text, kEveryPlane},
       .varied = "'text ' || s.i",
       .large = large("{}"),
       .key = "('k\u00e9y \U0001F600''' || ({0}))"},
      {.name = "character varying(20)",
       .literals = {"", "  two blanks  ", kEveryPlane},
       .varied = "'v' || s.i",
       .key = "('v\"' || ({0}))::character varying(20)",
       .wider = {"character varying(300)", "text"}},
      {.name = "character varying(300)",
       .literals = {"", std::string(300, 'x'), odd_text},
       .varied = "'w' || s.i",
       .wider = {"text"}},
      {.name = "character(8)",
       .literals = {"", "ab", "12345678", "a   b"},
       .key = "(({0})::text)::character(8)"},
      {.name = "\"char\"", .literals = {"x", ""}},
      {.name = "name", .literals = {"pg_catalog", ""}},
      {.name = "bytea",
       .literals = {"", "\\x00", "\\x00ff5c27225c5c", "\\xdeadbeef"},
       .large = large("decode({}, 'hex')"),
       .key = "decode(md5(({0})::text), 'hex')"},
      {.name = "date",
       .literals = {"4713-01-01 BC", "5874897-12-31", "infinity", "-infinity", "0001-01-01",
                    "9999-12-31", "2000-02-29"},
       .varied = "'2000-01-01'::date + s.i::integer"},
      {.name = "time", .literals = {"00:00:00", "24:00:00", "23:59:59.999999", "12:00:00.5"}},
      {.name = "time with time zone",
       .literals = {"00:00:00+15:59:59", "24:00:00-15:59:59", "12:34:56.789+05:30"}},
      {.name = "timestamp",
       .literals = {"4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "infinity",
                    "-infinity", "0001-01-01 00:00:00", "2026-11-22 12:34:56"},
       .varied = "'2000-01-01'::timestamp + s.i * '1 second'::interval"},
      {.name = "timestamp with time zone",
       .literals = {"4713-01-01 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00", "infinity",
                    "-infinity", "1883-11-18 12:03:58-07:52:58"},
       .varied = "'2000-01-01 00:00:00+02'::timestamptz + s.i * '1 hour'::interval",
       .key = "('0044-03-15 00:00:00+00 BC'::timestamptz + ({0}) * '1 microsecond'::interval)"},
      {.name = "interval",
       .literals = {"178000000 years", "-178000000 years", "1 mon -1 day 00:00:00.000001", "0",
                    "-1 years -2 mons +3 days -04:05:06.7"}},
      {.name = "uuid",
       .literals = {"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"},
       .varied = "md5(s.i::text)::uuid",
       .key = "md5(({0})::text)::uuid",
       .wider = {"text"}},
      {.name = "json",
       .literals = {"{\"a\" : 1, \"a\":2}", "null", "\"\\u00e9\"", "[1e400, -0]"},
       .large = large("json_build_object('a', {})"),
       .wider = {"text"}},
      {.name = "jsonb",
       .literals = {"{\"b\": 123456789012345678901234567890.123, \"a\": null}", "null", "\"\"",
                    "[]"},
       .varied = "jsonb_build_object('i', s.i)",
       .large = large("jsonb_build_object('a', {})"),
       .wider = {"text"}},
      {.name = "xml", .literals = {"<a>\u00e9</a>", "text <b/>"}},
      {.name = "inet", .literals = {"::1", "192.168.0.1/24", "::ffff:1.2.3.4/128"}},
      {.name = "cidr", .literals = {"10.0.0.0/8", "::/0"}},
      {.name = "macaddr", .literals = {"08:00:2b:01:02:03"}},
      {.name = "bit(5)", .literals = {"10101", "00000"}},
      {.name = "bit varying(70)", .literals = {"", "1", std::string(70, '1')}},
      {.name = "tsvector", .literals = {"", "a:1A fat:2B,4C ''it''''s'':5"}},
      {.name = "point", .literals = {"(1.5,-2)", "(Infinity,NaN)"}},
      {.name = "polygon", .literals = {"((0,0),(1,1),(1,0))"}},
      {.name = "int4range", .literals = {"empty", "(,)", "[1,10)", "[,5)"}},
      {.name = "numrange", .literals = {"[0.10,1.000]", "(,)"}},
      {.name = "tstzrange", .literals = {"[\"2026-01-01 00:00:00+02\",)"}},
      {.name = "int4multirange", .literals = {"{}", "{[1,3),[5,7)}"}},
      {.name = "pg_lsn", .literals = {"0/0", "FFFFFFFF/FFFFFFFF"}},
      {.name = "integer[]",
       .literals = {"{}", "{NULL,1}", "[0:1]={1,2}", "{{1,2},{3,4}}",
                    "[-2:-1][3:4]={{1,2},{3,NULL}}"},
       .varied = "ARRAY[s.i::integer, NULL]"},
      {.name = "text[]",
       .literals = {"{}", "{\"\",NULL,\"NULL\",\"a,b\",\"{}\",\"\\\"\",\"\\\\\"}"},
       .large = large("ARRAY[{}, NULL]")},
      {.name = "numeric[]", .literals = {"{NaN,Infinity,0.10,NULL}"}},
      {.name = "timestamp with time zone[]",
       .literals = {"{infinity,\"2026-01-01 00:00:00+00\",NULL}"}},
      {.name = "app.mood", .literals = {"sad", "it''s ok"}},
      {.name = "app.mood[]", .literals = {"{sad,NULL}"}},
      {.name = "app.small_text", .literals = {"abc", ""}},
      {.name = "app.pair", .literals = {"(1,\"a b\")", "(2,\"\")", "(,)", "(,x)"}},
  };
}

}  // namespace

const char* const kCreateValueTypes =
    "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('sad', 'it''s ok');"
    "CREATE DOMAIN app.small_text AS varchar(10); CREATE TYPE app.pair AS (a integer, b text);";

const std::vector<ValueType>& value_types() {
  static const std::vector<ValueType> types = all_types();
  return types;
}

const ValueType& value_type(const std::string& name) {
  const auto& types = value_types();
  const auto found = std::find_if(types.begin(), types.end(),
                                  [&](const ValueType& type) { return type.name == name; });
  if (found == types.end()) {
    throw std::logic_error("no values for type " + name);
  }
  return *found;
}

const std::vector<std::string>& key_types() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> found;
    for (const ValueType& type : value_types()) {
      if (!type.key.empty()) {
        found.push_back(type.name);
      }
    }
    return found;
  }();
  return names;
}

std::string constant_of(const std::string& type, ScriptRandom& random) {
  return fmt::format("'{}'::{}", random.pick(value_type(type).literals), type);
}

std::string values_of(const std::string& type, bool nullable, ScriptRandom& random) {
  const ValueType& values = value_type(type);
  std::vector<std::string> choices;
  for (auto count = random.between(1, 4); count > 0; --count) {
    choices.push_back(constant_of(type, random));
  }
  if (!values.varied.empty()) {
    choices.push_back(values.varied);
  }
  if (!values.large.empty() && random.chance(40)) {
    choices.push_back(fmt::format(fmt::runtime(values.large), random.between(70, 300)));
  }
  if (nullable && random.chance(50)) {
    choices.emplace_back("NULL");
  }
  if (choices.size() == 1) {
    return choices.front();
  }
  std::string sql = fmt::format("CASE (s.i + {}) % {}", random.between(0, 9), choices.size());
  for (std::size_t i = 0; i + 1 < choices.size(); ++i) {
    sql += fmt::format(" WHEN {} THEN {}", i, choices[i]);
  }
  return fmt::format("({} ELSE {} END)", sql, choices.back());
}

std::string key_of(const std::string& type, const std::string& number) {
  return fmt::format(fmt::runtime(value_type(type).key), number);
}

}  // namespace headgate::test
