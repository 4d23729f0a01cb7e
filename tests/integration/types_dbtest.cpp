// Every built-in type, at its extremes, through the first copy and through the stream, into both
// sinks (I9): each value is read back there and compared with the source's own text.

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"

using namespace headgate::demo;
using namespace headgate::test;

namespace {

struct TypeCase {
  std::string type;
  std::vector<std::string> literals;  // as between quotes in SQL, but without them
  int since = 0;                      // server_version_num
};

const std::string kThousandDigits = std::string(500, '7') + "." + std::string(500, '3');
const std::string kEveryPlane = "a\u00e9\u4e2d\U0001F600\U00020000\U000E0001\U0010FFFD";

const std::vector<TypeCase>& type_cases() {
  static const std::vector<TypeCase> cases{
      {"boolean", {"true", "false"}},
      {"smallint", {"-32768", "32767", "0"}},
      {"integer", {"-2147483648", "2147483647", "-1"}},
      {"bigint", {"-9223372036854775808", "9223372036854775807", "9007199254740993"}},
      {"oid", {"0", "4294967295"}},
      {"numeric",
       {"NaN", "0", "-0.00", "1e-1000", "-123456789012345678901234567890.5", kThousandDigits,
        "1e1000", "0.10", "1.000"}},
      {"numeric(38,10)", {"9999999999999999999999999999.9999999999", "-0.0000000001", "NaN"}},
      {"numeric", {"Infinity", "-Infinity"}, 140000},
      {"numeric(5,-2)", {"1234500", "-49"}, 150000},
      {"real", {"NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38", "0.1", "16777217"}},
      // Not 1e23: the server prints it as 9.999999999999999e+22, and the comparison as 1e+23.
      {"double precision",
       {"NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308", "0.1",
        "123456789.12345679"}},
      {"money", {"-92233720368547758.08", "92233720368547758.07", "0.01"}},
      {"text",
       {"", " ", "NULL", "\\N", "a\tb\nc\rd\\e''f\"g", kEveryPlane, std::string(100000, 'x')}},
      {"character varying(20)", {"", "  two blanks  ", kEveryPlane}},
      {"character(8)", {"", "ab", "12345678", "a   b"}},
      {"\"char\"", {"x", ""}},
      {"name", {"pg_catalog", ""}},
      {"bytea", {"", "\\x00", "\\x00ff5c27225c5c", "\\xdeadbeef"}},
      {"date",
       {"4713-01-01 BC", "5874897-12-31", "infinity", "-infinity", "0001-01-01", "0001-12-31 BC",
        "9999-12-31", "2000-02-29"}},
      {"time", {"00:00:00", "24:00:00", "23:59:59.999999", "12:00:00.5"}},
      {"time(0)", {"12:34:56"}},
      {"time with time zone",
       {"00:00:00+15:59:59", "24:00:00-15:59:59", "12:34:56.789+05:30", "12:00:00Z"}},
      {"timestamp",
       {"4713-01-01 00:00:00 BC", "294276-12-31 23:59:59.999999", "infinity", "-infinity",
        "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "2026-11-22 12:34:56"}},
      {"timestamp with time zone",
       {"4713-01-01 00:00:00+00 BC", "294276-12-31 23:59:59.999999+00", "infinity", "-infinity",
        "0001-01-01 00:00:00+00", "2026-03-29 01:30:00+00", "1883-11-18 12:03:58-07:52:58"}},
      {"interval",
       {"178000000 years", "-178000000 years", "1 mon -1 day 00:00:00.000001", "0",
        "-1 years -2 mons +3 days -04:05:06.7", "2147483647 days"}},
      {"uuid", {"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"}},
      {"json", {"{\"a\" : 1, \"a\":2}", "null", "\"\\u00e9\"", "[1e400, -0]"}},
      {"jsonb", {"{\"b\": 123456789012345678901234567890.123, \"a\": null}", "null", "\"\"", "[]"}},
      {"xml", {"<a>\u00e9</a>", "text <b/>"}},
      {"inet", {"::1", "192.168.0.1/24", "255.255.255.255", "::ffff:1.2.3.4/128"}},
      {"cidr", {"10.0.0.0/8", "::/0"}},
      {"macaddr", {"08:00:2b:01:02:03"}},
      {"macaddr8", {"08:00:2b:01:02:03:04:05"}},
      {"bit(5)", {"10101", "00000"}},
      {"bit varying(70)", {"", "1", std::string(70, '1')}},
      {"tsvector", {"", "a:1A fat:2B,4C ''it''''s'':5"}},
      {"tsquery", {"fat & (rat | !cat:ab)", ""}},
      {"point", {"(1.5,-2)", "(Infinity,NaN)"}},
      {"line", {"{1,2,3}"}},
      {"lseg", {"[(0,0),(1,1e300)]"}},
      {"box", {"(1,1),(0,0)"}},
      {"path", {"[(0,0),(1,1)]", "((0,0),(1,1))"}},
      {"polygon", {"((0,0),(1,1),(1,0))"}},
      {"circle", {"<(1,2),3>"}},
      {"int4range", {"empty", "(,)", "[1,10)", "[,5)"}},
      {"int8range", {"[-9223372036854775808,9223372036854775807)"}},
      {"numrange", {"[0.10,1.000]", "(,)"}},
      {"tsrange", {"[\"2026-01-01 00:00:00\",infinity]"}},
      {"tstzrange", {"[\"2026-01-01 00:00:00+02\",)"}},
      {"daterange", {"[2026-01-01,2026-12-31]", "[-infinity,infinity)"}},
      {"int4multirange", {"{}", "{[1,3),[5,7)}"}, 140000},
      {"nummultirange", {"{[0.10,1.000],(5,)}"}, 140000},
      {"tstzmultirange", {"{[\"2026-01-01 00:00:00+00\",\"2026-01-02 00:00:00+00\")}"}, 140000},
      {"pg_lsn", {"0/0", "FFFFFFFF/FFFFFFFF"}},
      {"xid", {"0", "4294967295"}},
      {"xid8", {"18446744073709551615"}, 130000},
      {"tid", {"(4294967295,65535)"}},
      {"pg_snapshot", {"10:20:10,14,15"}, 130000},
      {"txid_snapshot", {"10:20:10,14,15"}},
      {"regtype", {"integer", "timestamp with time zone"}},
      {"jsonpath", {"$.\"a\"[*]?(@ > 1)"}, 120000},
      {"integer[]",
       {"{}", "{NULL,1}", "[0:1]={1,2}", "{{1,2},{3,4}}", "[-2:-1][3:4]={{1,2},{3,NULL}}"}},
      {"text[]",
       {"{}", "{\"\",NULL,\"NULL\",\"a,b\",\"{}\",\"\\\"\",\"\\\\\"}", "{" + kEveryPlane + "}"}},
      {"numeric[]", {"{NaN,Infinity,0.10,NULL}"}},
      {"double precision[]", {"{NaN,-0,5e-324}"}},
      {"timestamp with time zone[]", {"{infinity,\"2026-01-01 00:00:00+00\",NULL}"}},
      {"bytea[]", {"{\"\\\\x00ff\",NULL}"}},
      {"boolean[]", {"{t,f,NULL}"}},
      {"uuid[]", {"{00000000-0000-0000-0000-000000000000}"}},
      {"jsonb[]", {"{\"{\\\"a\\\": 1}\",NULL}"}},
      {"int4range[]", {"{empty,\"[1,10)\"}"}},
      {"interval[]", {"{\"1 mon -1 days\"}"}},
      {"app.mood", {"sad", "it''s ok"}},
      {"app.mood[]", {"{sad,NULL}"}},
      {"app.small_text", {"abc", ""}},
      {"app.positive", {"1", "2147483647"}},
      {"app.pair", {"(1,\"a b\")", "(,)", "(2,\"\")"}},
      {"app.pair[]", {"{\"(1,x)\",NULL}"}},
      {"app.float_range", {"[0.5,1.5)", "empty"}},
  };
  return cases;
}

std::string table_of(std::size_t number) {
  return "public.type_" + std::to_string(number);
}

class EveryType : public MirrorSetup {
 public:
  EveryType() : MirrorSetup({"public.*"}) {
    const int version = std::stoi(PgSession(source().conninfo()).value("SHOW server_version_num"));
    std::copy_if(type_cases().begin(), type_cases().end(), std::back_inserter(cases_),
                 [&](const TypeCase& type) { return type.since <= version; });
    std::string sql =
        "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('sad', 'it''s ok');"
        "CREATE DOMAIN app.small_text AS varchar(10); CREATE DOMAIN app.positive AS integer CHECK "
        "(VALUE > 0); CREATE TYPE app.pair AS (a integer, b text);"
        "CREATE TYPE app.float_range AS RANGE (subtype = float8);";
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      sql += "CREATE TABLE " + table_of(i) + " (id integer PRIMARY KEY, v " + cases_[i].type +
             ", w " + cases_[i].type + ");";
      tables_.push_back(table_of(i));
    }
    on_source(sql);
  }

  void on_source(const std::string& sql) { PgSession(source().conninfo()).execute(sql); }

  // One row per literal and one with NULL, with ids from `first` on.
  void insert_all(int first) {
    std::string sql;
    for (std::size_t i = 0; i < cases_.size(); ++i) {
      int id = first;
      sql += "INSERT INTO " + table_of(i) + " VALUES (" + std::to_string(id++) + ", NULL, NULL);";
      for (const std::string& literal : cases_[i].literals) {
        sql += "INSERT INTO " + table_of(i) + " VALUES (" + std::to_string(id++) + ", '" + literal +
               "', NULL);";
      }
    }
    on_source(sql);
  }

  const std::vector<std::string>& tables() const { return tables_; }

 private:
  std::vector<TypeCase> cases_;  // those that the server knows
  std::vector<std::string> tables_;
};

}  // namespace

TEST_CASE("every type arrives with every value, by copy, insert, update and key change") {
  EveryType setup;
  setup.insert_all(0);
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.catch_up();
  CHECK(setup.differences(setup.tables()) == "");

  setup.insert_all(1000);
  std::string sql;
  for (const std::string& table : setup.tables()) {
    sql += "UPDATE " + table + " SET w = v WHERE id % 2 = 1;";
    sql += "UPDATE " + table + " SET id = id + 5000, v = w WHERE id BETWEEN 1000 AND 1002;";
    sql += "DELETE FROM " + table + " WHERE id = 2;";
  }
  setup.on_source(sql);
  setup.catch_up();
  CHECK(setup.differences(setup.tables()) == "");
}
