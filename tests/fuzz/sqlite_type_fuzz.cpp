// Columns that were declared by others: what we say they can hold, SQLite keeps as it is.
//
// The first byte says whether the table is STRICT, the rest is the declared type.

#include <array>
#include <optional>

#include <fmt/format.h>

#include "base/error.hpp"
#include "db/sqlite/sqlite_error.hpp"
#include "fuzz_target.hpp"
#include "sink/sqlite/table_catalog.hpp"
#include "sink/sqlite/type_map.hpp"
#include "sink/sqlite/value_binding.hpp"

namespace headgate::fuzz {
namespace {

using db::sqlite::Connection;
using db::sqlite::Statement;
using sink::sqlite::Storage;

struct Sample {
  TypeFamily family;
  std::uint32_t oid;
  std::string_view text;
};

// The server's texts that are most like numbers, or like something else than they are.
constexpr std::array<Sample, 29> kSamples = {{
    {TypeFamily::kBoolean, 16, "t"},
    {TypeFamily::kBoolean, 16, "f"},
    {TypeFamily::kInteger, 20, "9223372036854775807"},
    {TypeFamily::kInteger, 20, "-9223372036854775808"},
    {TypeFamily::kInteger, 23, "0"},
    {TypeFamily::kFloat, 701, "0.1"},
    {TypeFamily::kFloat, 701, "3"},
    {TypeFamily::kFloat, 701, "1e+300"},
    {TypeFamily::kFloat, 701, "9007199254740993"},
    {TypeFamily::kFloat, 701, "9.223372036854775e+18"},
    {TypeFamily::kFloat, 701, "NaN"},
    {TypeFamily::kFloat, 701, "-Infinity"},
    {TypeFamily::kNumeric, 1700, "1.10"},
    {TypeFamily::kNumeric, 1700, "123456789012345678901234567890"},
    {TypeFamily::kNumeric, 1700, "NaN"},
    {TypeFamily::kText, 25, "007"},
    {TypeFamily::kText, 25, ""},
    {TypeFamily::kText, 25, " 1e5 "},
    {TypeFamily::kText, 25, "Inf"},
    {TypeFamily::kBytes, 17, "\\x313233"},
    {TypeFamily::kBytes, 17, "\\x"},
    {TypeFamily::kDate, 1082, "2024-02-29"},
    {TypeFamily::kDate, 1082, "infinity"},
    {TypeFamily::kTime, 1083, "24:00:00"},
    {TypeFamily::kTimestamp, 1114, "0044-03-15 00:00:00 BC"},
    {TypeFamily::kTimestampTz, 1184, "2024-02-29 12:00:00.5+00"},
    {TypeFamily::kUuid, 2950, "00000000-0000-0000-0000-000000000001"},
    {TypeFamily::kJson, 114, "1.0"},
    {TypeFamily::kOther, 1560, "101"},
}};

// Whether the column keeps `sample`, or refuses it out loud.
bool is_kept(Connection& connection, const Sample& sample, bool negative_zero_lost) {
  Column column;
  column.type_oid = sample.oid;
  column.family = sample.family;
  const sink::sqlite::BoundColumn bound{sample.family, negative_zero_lost, &column, "c"};
  const Value value = Value::text(sample.text);
  Statement insert(connection, "INSERT INTO t VALUES (?1)", "store");
  try {
    sink::sqlite::bind_value(insert, 1, bound, value);
    insert.run();
  } catch (const Error& error) {
    return error.kind() == ErrorKind::kRow;
  }
  // Numbers are compared as numbers: 3.0 and 3 are one. Anything else is compared by its bytes.
  Statement select(connection,
                   "SELECT CASE WHEN typeof(?1) IN ('integer', 'real') "
                   "THEN typeof(c) IN ('integer', 'real') AND c = ?1 "
                   "ELSE typeof(c) = typeof(?1) AND hex(c) = hex(?1) END FROM t",
                   "read");
  sink::sqlite::bind_value(select, 1, bound, value);
  bool kept = false;
  {
    auto rows = select.rows();
    kept = rows.next() && rows.integer(0) == 1;
  }
  connection.execute("DELETE FROM t");
  return kept;
}

// False when SQLite takes no such table.
bool create(Connection& connection, std::string_view declared, bool strict) {
  try {
    connection.execute("DROP TABLE IF EXISTS t");
    connection.execute(fmt::format("CREATE TABLE t (c {}){}",
                                   declared.empty() ? "" : db::sqlite::quote_identifier(declared),
                                   strict ? " STRICT" : ""));
    return true;
  } catch (const db::sqlite::SqliteError&) {
    return false;
  }
}

}  // namespace

HEADGATE_FUZZ_TARGET(sqlite_type) {
  InputReader fields(input);
  const bool strict = fields.byte() % 2 == 1;
  static Connection connection(":memory:");
  if (input.size() > 200 || fields.rest().find('\0') != input.npos ||
      !create(connection, fields.rest(), strict)) {
    return;
  }
  const auto table = sink::sqlite::read_catalog(connection, "t");
  require(table && table->columns.size() == 1 && table->strict == strict, "the table is read back");
  const Storage storage = sink::sqlite::storage_of(table->columns[0].declared_type, strict);
  for (const Sample& sample : kSamples) {
    if (sink::sqlite::can_hold(storage, sample.family)) {
      require(is_kept(connection, sample, sink::sqlite::loses_negative_zero(storage)),
              fmt::format("the column keeps {}", sample.text));
    }
  }
}

}  // namespace headgate::fuzz
