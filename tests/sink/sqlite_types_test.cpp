// What becomes of each value (I9). README.md of the sink has the same table in words.

#include <limits>

#include <catch2/catch.hpp>

#include "sink/sqlite/type_map.hpp"
#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

using TF = TypeFamily;

std::string bytes(std::initializer_list<unsigned char> list) {
  return {list.begin(), list.end()};
}
Cell binary(std::initializer_list<unsigned char> list) {
  return {ValueKind::kBinary, bytes(list)};
}

struct Case {
  TypeFamily family;
  std::uint32_t type_oid;
  Cell sent;
  std::string stored;  // as quote() prints it
};

SinkConfigPtr one_column(TypeFamily family, std::uint32_t type_oid) {
  SinkConfig config = *make_table("t", {{"v", family}}, {});
  config.output.columns[0].type_oid = type_oid;
  return std::make_shared<const SinkConfig>(std::move(config));
}

TEST_CASE("each value is stored with its meaning") {
  const Case c = GENERATE(values<Case>({
      {TF::kBoolean, 16, "t", "1"},
      {TF::kBoolean, 16, "f", "0"},
      {TF::kBoolean, 0, "1", "1"},
      {TF::kBoolean, 16, binary({1}), "1"},
      {TF::kBoolean, 16, binary({0}), "0"},
      {TF::kInteger, 20, "-9223372036854775808", "-9223372036854775808"},
      {TF::kInteger, 20, "9223372036854775807", "9223372036854775807"},
      {TF::kInteger, 20, "9007199254740993", "9007199254740993"},
      {TF::kInteger, 21, binary({0x80, 0x00}), "-32768"},
      {TF::kInteger, 23, binary({0xFF, 0xFF, 0xFF, 0xFE}), "-2"},
      {TF::kInteger, 26, binary({0xFF, 0xFF, 0xFF, 0xFE}), "4294967294"},
      {TF::kInteger, 20, binary({0x80, 0, 0, 0, 0, 0, 0, 0}), "-9223372036854775808"},
      {TF::kFloat, 701, "3", "3.0"},
      {TF::kFloat, 701, "0", "0.0"},
      {TF::kFloat, 701, "NaN", "'NaN'"},
      {TF::kFloat, 701, "Infinity", "'Infinity'"},
      {TF::kFloat, 701, "-Infinity", "'-Infinity'"},
      {TF::kFloat, 701, "-0", "'-0'"},
      {TF::kFloat, 700, "0.1", "0.1"},
      {TF::kFloat, 700, binary({0x3D, 0xCC, 0xCC, 0xCD}), "0.1"},  // not 0.100000001490116
      {TF::kFloat, 701, binary({0x3F, 0xB9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9A}), "0.1"},
      {TF::kFloat, 701, binary({0x80, 0, 0, 0, 0, 0, 0, 0}), "'-0'"},
      {TF::kFloat, 700, binary({0x80, 0, 0, 0}), "'-0'"},
      {TF::kFloat, 700, binary({0x7F, 0xC0, 0, 0}), "'NaN'"},
      {TF::kFloat, 701, binary({0xFF, 0xF0, 0, 0, 0, 0, 0, 0}), "'-Infinity'"},
      {TF::kNumeric, 1700, "1.1000", "'1.1000'"},
      {TF::kNumeric, 1700, "NaN", "'NaN'"},
      {TF::kNumeric, 1700, "123456789012345678901234567890.10",
       "'123456789012345678901234567890.10'"},
      {TF::kText, 25, "", "''"},
      {TF::kText, 25, kNull, "NULL"},
      {TF::kText, 25, "NULL", "'NULL'"},
      {TF::kText, 25, "0012", "'0012'"},
      {TF::kText, 25, "größe 漢字 🚰", "'größe 漢字 🚰'"},
      {TF::kText, 1042, "abc   ", "'abc   '"},
      {TF::kText, 25, Cell(ValueKind::kBinary, "as it is"), "'as it is'"},
      {TF::kBytes, 17, "\\x00ff", "X'00FF'"},
      {TF::kBytes, 17, "\\x", "X''"},
      {TF::kBytes, 17, binary({0x00, 0xFF}), "X'00FF'"},
      {TF::kBytes, 17, binary({}), "X''"},
      {TF::kDate, 1082, "0044-03-15 BC", "'0044-03-15 BC'"},
      {TF::kDate, 1082, "infinity", "'infinity'"},
      {TF::kTime, 1083, "24:00:00", "'24:00:00'"},
      {TF::kTimestamp, 1114, "0001-01-01 00:00:00", "'0001-01-01 00:00:00'"},
      {TF::kTimestamp, 1114, binary({0, 0, 0, 0, 0, 0, 0, 0}), "'2000-01-01 00:00:00'"},
      {TF::kTimestampTz, 1184, "9999-12-31 23:59:59.999999+00", "'9999-12-31 23:59:59.999999+00'"},
      {TF::kUuid, 2950, "00000000-0000-0000-0000-000000000000",
       "'00000000-0000-0000-0000-000000000000'"},
      {TF::kJson, 114, "{\"a\": 1, \"a\":2}", "'{\"a\": 1, \"a\":2}'"},
      {TF::kOther, 1007, "{}", "'{}'"},
  }));
  CAPTURE(static_cast<int>(c.family), c.type_oid, c.stored);
  Fixture fixture;
  const auto table = one_column(c.family, c.type_oid);
  fixture.apply(Operations().insert(table, {c.sent}), 1);
  CHECK(fixture.value("SELECT v FROM t") == c.stored);
}

// quote() rounds, so these are compared as doubles.
TEST_CASE("doubles at their extremes keep every bit") {
  const auto [text, number] = GENERATE(table<std::string, double>({
      {"1.7976931348623157e+308", std::numeric_limits<double>::max()},
      {"-1.7976931348623157e+308", std::numeric_limits<double>::lowest()},
      {"2.2250738585072014e-308", std::numeric_limits<double>::min()},
      {"5e-324", std::numeric_limits<double>::denorm_min()},
      {"0.30000000000000004", 0.1 + 0.2},
      {"9007199254740993", 9007199254740993.0},
  }));
  Fixture fixture;
  const auto table = one_column(TF::kFloat, 701);
  fixture.apply(Operations().insert(table, {text}), 1);
  db::sqlite::Connection connection(fixture.path());
  db::sqlite::Statement select(connection, "SELECT v, typeof(v) FROM t", "select");
  db::sqlite::Rows rows = select.rows();
  REQUIRE(rows.next());
  CHECK(rows.real(0) == number);
  CHECK(rows.text(1) == "real");
}

TEST_CASE("a value that is none of its type is a row error without the value in it") {
  const Case c = GENERATE(values<Case>({
      {TF::kBoolean, 16, "maybe", ""},
      {TF::kBoolean, 16, binary({2}), ""},
      {TF::kInteger, 20, "9223372036854775808", ""},
      {TF::kInteger, 20, "1.5", ""},
      {TF::kInteger, 20, "", ""},
      {TF::kInteger, 20, " 77", ""},
      {TF::kInteger, 20, binary({1, 2, 3}), ""},
      {TF::kFloat, 701, "1e400", ""},
      {TF::kFloat, 701, "secret", ""},
      {TF::kFloat, 701, binary({1}), ""},
      {TF::kBytes, 17, "secret", ""},
      {TF::kBytes, 17, "\\x0", ""},
      {TF::kUuid, 2950, binary({1, 2}), ""},
      {TF::kText, 25, kUnsent, ""},
  }));
  CAPTURE(static_cast<int>(c.family));
  Fixture fixture;
  const auto table = one_column(c.family, c.type_oid);
  const Error error = error_of([&] { fixture.apply(Operations().insert(table, {c.sent}), 1); });
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.what(), Catch::StartsWith("table t, column v: "));
  if (c.sent.kind == ValueKind::kText && !c.sent.bytes.empty()) {
    CHECK_THAT(error.what(), !Catch::Contains(c.sent.bytes));
  }
}

// The negative zero is text, and an existing REAL column would turn that into a plain zero.
TEST_CASE("an existing REAL column takes every float but the one it would change") {
  Fixture fixture;
  fixture.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, v REAL)");
  const auto table = make_table("t", {{"id", TF::kInteger}, {"v", TF::kFloat}}, {0});
  fixture.apply(Operations()
                    .insert(table, {"1", "0.1"})
                    .insert(table, {"2", "NaN"})
                    .insert(table, {"3", "3"}),
                1);
  CHECK(fixture.table("t") == Strings{"1|0.1", "2|'NaN'", "3|3.0"});
  const Error error = error_of([&] { fixture.apply(Operations().insert(table, {"4", "-0"}), 2); });
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.what(),
             Catch::Contains("table t, column v") && Catch::Contains("negative zero"));
}

TEST_CASE("affinities follow SQLite's rules") {
  CHECK(storage_of("CHARINT", false) == Storage::kInteger);
  CHECK(storage_of("varchar(10)", false) == Storage::kText);
  CHECK(storage_of("double precision", false) == Storage::kReal);
  CHECK(storage_of("FLOATING POINT", false) == Storage::kInteger);  // "INT" in "POINT"
  CHECK(storage_of("decimal(10,2)", false) == Storage::kNumeric);
  CHECK(storage_of("ANY", false) == Storage::kNumeric);
  CHECK(storage_of("ANY", true) == Storage::kAny);
  CHECK(storage_of("", false) == Storage::kAny);
  CHECK(storage_of("int", true) == Storage::kStrictInteger);
}

// The rule and SQLite must agree: whatever can_hold() admits, comes back unchanged or fails.
TEST_CASE("what a column is said to hold, it holds") {
  struct Sample {
    TypeFamily family;
    std::vector<std::pair<std::string, std::string>> values;  // sent, stored
  };
  const std::vector<Sample> samples = {
      {TF::kBoolean, {{"t", "1"}}},
      {TF::kInteger, {{"9007199254740993", "9007199254740993"}}},
      {TF::kFloat, {{"0.1", "0.1"}, {"NaN", "'NaN'"}, {"-Infinity", "'-Infinity'"}}},
      {TF::kNumeric, {{"1.10", "'1.10'"}, {"5", "'5'"}}},
      {TF::kText, {{"007", "'007'"}, {"1e3", "'1e3'"}}},
      {TF::kBytes, {{"\\x31", "X'31'"}}},
      {TF::kDate, {{"2026-07-01", "'2026-07-01'"}, {"-infinity", "'-infinity'"}}},
      {TF::kTime, {{"12:00:00", "'12:00:00'"}}},
      {TF::kTimestamp, {{"2026-07-01 00:00:00", "'2026-07-01 00:00:00'"}}},
      {TF::kTimestampTz, {{"2026-07-01 00:00:00+00", "'2026-07-01 00:00:00+00'"}}},
      {TF::kUuid,
       {{"00000000-0000-0000-0000-000000000001", "'00000000-0000-0000-0000-000000000001'"}}},
      {TF::kJson, {{"1", "'1'"}}},
      {TF::kOther, {{"12", "'12'"}}},
  };
  const auto [type, strict] = GENERATE(table<std::string, bool>({{"INTEGER", false},
                                                                 {"TEXT", false},
                                                                 {"REAL", false},
                                                                 {"NUMERIC", false},
                                                                 {"BLOB", false},
                                                                 {"", false},
                                                                 {"INTEGER", true},
                                                                 {"TEXT", true},
                                                                 {"REAL", true},
                                                                 {"BLOB", true},
                                                                 {"ANY", true}}));
  Fixture fixture;
  fixture.execute("CREATE TABLE t (v " + type + ")" + (strict ? " STRICT" : ""));
  std::uint64_t lsn = 0;
  for (const Sample& sample : samples) {
    const auto table = one_column(sample.family, 0);
    CAPTURE(type, strict, static_cast<int>(sample.family));
    if (!can_hold(storage_of(type, strict), sample.family)) {
      const Error error = error_of([&] { fixture.apply(Operations().truncate(table), lsn); });
      CHECK(error.kind() == ErrorKind::kOperator);
      CHECK_THAT(error.what(), Catch::Contains("column v is declared"));
      fixture.sink->rollback();
      continue;
    }
    for (const auto& [sent, stored] : sample.values) {
      try {
        fixture.apply(Operations().truncate(table).insert(table, {sent}), ++lsn);
        CHECK(fixture.value("SELECT v FROM t") == stored);
      } catch (const Error& error) {
        CHECK(error.kind() == ErrorKind::kRow);  // loud is allowed: NaN in a STRICT REAL column
        fixture.sink->rollback();
        CHECK(sample.family == TF::kFloat);
        CHECK(strict);
      }
    }
  }
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
