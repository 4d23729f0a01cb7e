#include "core/change.hpp"

#include <array>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/check.hpp"

namespace {

using headgate::canonical_json;
using headgate::Change;
using headgate::Column;
using headgate::compute_change_id;
using headgate::key_values;
using headgate::LSN;
using headgate::Operation;
using headgate::TableSchema;
using headgate::TypeFamily;
using headgate::Value;

constexpr std::uint32_t kInt4 = 23;
constexpr std::uint32_t kBytea = 17;

Column column(const std::string& name, TypeFamily family = TypeFamily::kText,
              std::uint32_t type_oid = 0) {
  Column column;
  column.name = name;
  column.family = family;
  column.type_oid = type_oid;
  return column;
}

// Deliberately not in the order of their names.
TableSchema orders() {
  TableSchema schema;
  schema.name = {"shop", "orders"};
  schema.columns = {column("é\"", TypeFamily::kText), column("a", TypeFamily::kInteger, kInt4),
                    column("c", TypeFamily::kBytes, kBytea), column("b", TypeFamily::kText)};
  schema.key = {1};
  return schema;
}

// The digests below come from sha256sum and from Python's hashlib, over text built by Python's
// json.dumps(sort_keys=True, ensure_ascii=False, separators=(",", ":")).
TEST_CASE("a change id is the start of a digest that any other program can compute") {
  const TableSchema table = orders();
  const std::array row = {Value::text("x\ny"), Value::text("1"), Value::text("\\x00ff"),
                          Value::null()};
  Change change;
  change.table = &table;
  change.transaction_id = "2f1";
  change.lsn = LSN::parse("16/B374D848");
  change.operation = Operation::kUpdateAfter;
  change.data = row;
  CHECK(compute_change_id(change) == "3d19a07d24515b8928ac6533884ae679");
}

TEST_CASE("a change id needs neither rows nor LSN nor schema name") {
  TableSchema table;
  table.name = {"", "orders"};
  Change change;
  change.table = &table;
  change.transaction_id = "7";
  change.operation = Operation::kTruncate;
  CHECK(compute_change_id(change) == "af225c43dfef35e8c77244eeba3aa4c0");
}

TEST_CASE("a change id depends on the content, not on the order of columns or the bytes' form") {
  const TableSchema table = orders();
  const std::array row = {Value::text("e"), Value::text("258"), Value::text("\\x00ff"),
                          Value::text("b")};
  Change change;
  change.table = &table;
  change.data = row;

  TableSchema reversed = table;
  std::reverse(reversed.columns.begin(), reversed.columns.end());
  const std::array reversed_row = {row[3], row[2], row[1], row[0]};
  Change same = change;
  same.table = &reversed;
  same.data = reversed_row;
  CHECK(compute_change_id(same) == compute_change_id(change));

  const std::string number("\x00\x00\x01\x02", 4);
  const std::string bytes("\x00\xff", 2);
  const std::array binary_row = {row[0], Value::binary(number), Value::binary(bytes), row[3]};
  same = change;
  same.data = binary_row;
  CHECK(compute_change_id(same) == compute_change_id(change));
}

TEST_CASE("every part of a change is part of its id") {
  const TableSchema table = orders();
  const std::array row = {Value::text(""), Value::text("1"), Value::null(), Value::null()};
  Change change;
  change.table = &table;
  change.transaction_id = "7";
  change.lsn = LSN::parse("0/10");
  change.data = row;
  const std::string id = compute_change_id(change);
  CHECK(id.size() == 32);
  CHECK(compute_change_id(change) == id);

  Change other = change;
  other.transaction_id = "8";
  CHECK(compute_change_id(other) != id);
  other = change;
  other.lsn = LSN::parse("0/11");
  CHECK(compute_change_id(other) != id);
  other = change;
  other.operation = Operation::kDelete;
  CHECK(compute_change_id(other) != id);

  TableSchema renamed = table;
  renamed.name.table = "returns";
  other = change;
  other.table = &renamed;
  CHECK(compute_change_id(other) != id);

  const std::array null_row = {Value::null(), row[1], row[2], row[3]};
  other = change;
  other.data = null_row;
  CHECK(compute_change_id(other) != id);  // NULL is not the empty string
  const std::array unchanged_row = {Value::unchanged(), row[1], row[2], row[3]};
  other.data = unchanged_row;
  CHECK(compute_change_id(other) != id);
}

TEST_CASE("canonical JSON has sorted keys, server text, hex bytes and real nulls") {
  const TableSchema table = orders();
  const std::array row = {Value::text("q\"\\\x01/\n"), Value::text("1"), Value::text("\\x00ff"),
                          Value::null()};
  CHECK(canonical_json(table, row) == R"({"a":"1","b":null,"c":"00ff","é\"":"q\"\\\u0001/\n"})");
}

TEST_CASE("canonical JSON leaves out what was not sent, and is {} without a row") {
  const TableSchema table = orders();
  const std::array row = {Value::unchanged(), Value::text("1"), Value::unchanged(),
                          Value::unchanged()};
  CHECK(canonical_json(table, row) == R"({"a":"1"})");
  CHECK(canonical_json(table, {}) == "{}");
}

TEST_CASE("canonical JSON sorts names by their bytes, not by a locale or as signed characters") {
  TableSchema table;
  for (const char* name : {"é", "a", "Z", "ab", "_", "A"}) {
    table.columns.push_back(column(name));
  }
  const std::vector<Value> row(table.columns.size(), Value::null());
  CHECK(canonical_json(table, row) ==
        R"({"A":null,"Z":null,"_":null,"a":null,"ab":null,"é":null})");
}

TEST_CASE("text that only looks like bytes keeps its prefix") {
  TableSchema table;
  table.columns = {column("t", TypeFamily::kText), column("e", TypeFamily::kBytes, kBytea)};
  const std::array row = {Value::text("\\x00"), Value::text("\\x")};
  CHECK(canonical_json(table, row) == R"({"e":"","t":"\\x00"})");
}

// The key's order, which need not be the columns' order.
TEST_CASE("key values are those of the newest row, in the key's order") {
  TableSchema table = orders();
  table.key = {3, 1};
  const std::array before = {Value::null(), Value::text("1"), Value::null(), Value::text("old")};
  const std::array after = {Value::null(), Value::text("2"), Value::null(), Value::text("new")};
  Change change;
  change.table = &table;
  change.operation = Operation::kUpdateAfter;
  change.data = after;
  change.before = before;
  CHECK(key_values(change) == std::vector{Value::text("new"), Value::text("2")});
}

TEST_CASE("a key value that an update did not send again is taken from the old row") {
  TableSchema table = orders();
  table.key = {1, 3};
  const std::array after = {Value::null(), Value::text("2"), Value::null(), Value::unchanged()};
  const std::array before = {Value::null(), Value::null(), Value::null(), Value::text("long")};
  Change change;
  change.table = &table;
  change.operation = Operation::kUpdateAfter;
  change.data = after;
  change.before = before;
  change.key_only = true;

  table.columns[3].identity = true;
  CHECK(key_values(change) == std::vector{Value::text("2"), Value::text("long")});

  // Then what stands there is padding.
  table.columns[3].identity = false;
  CHECK(key_values(change) == std::vector{Value::text("2"), Value::unchanged()});

  change.before = {};
  CHECK(key_values(change) == std::vector{Value::text("2"), Value::unchanged()});
}

TEST_CASE("a truncate and a keyless table have no key values") {
  TableSchema table = orders();
  Change truncate;
  truncate.table = &table;
  truncate.operation = Operation::kTruncate;
  CHECK(key_values(truncate).empty());

  table.key.clear();
  const std::array row = {Value::null(), Value::text("2"), Value::null(), Value::null()};
  Change insert;
  insert.table = &table;
  insert.data = row;
  CHECK(key_values(insert).empty());
}

TEST_CASE("a row of another width than its table is a bug, not a short row") {
  const TableSchema table = orders();
  const std::array row = {Value::null(), Value::text("2")};
  Change change;
  change.table = &table;
  change.data = row;
  CHECK_THROWS_AS(key_values(change), headgate::CheckFailure);
  CHECK_THROWS_AS(canonical_json(table, row), headgate::CheckFailure);
}

}  // namespace
