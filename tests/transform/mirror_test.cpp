#include "transform/mirror.hpp"

#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace headgate {
namespace {

const TransformContext kContext{"report"};

TableSchema describe(const TableName& name) {
  TableSchema schema;
  schema.name = name;
  schema.columns.resize(2);
  schema.columns[0].name = "id";
  schema.columns[0].nullable = false;
  schema.columns[1].name = "note";
  schema.key = {0};
  return schema;
}

TableSchemaPtr share(TableSchema schema) {
  return std::make_shared<const TableSchema>(std::move(schema));
}

// What a transaction that only involves `tables` becomes.
DataSet configs_of(Mirror& mirror, const std::vector<TableSchemaPtr>& tables) {
  Transaction transaction("1", LSN::from_postgres(1), WallTime{});
  for (const TableSchemaPtr& table : tables) {
    transaction.involve(table);
  }
  DataSet out;
  mirror.transform(kContext, transaction, {}, out);
  return out;
}

TableName target(const MirrorOptions& options, SinkNaming naming, const TableName& source) {
  Mirror mirror(options, naming);
  return configs_of(mirror, {share(describe(source))}).configs.at(0)->output.name;
}

TEST_CASE("a sink with schemas keeps the source's names") {
  CHECK(target({}, SinkNaming::kSchemas, {"public", "orders"}) == TableName{"public", "orders"});
  CHECK(target({}, SinkNaming::kSchemas, {"shop", "orders"}) == TableName{"shop", "orders"});
  CHECK(target({}, SinkNaming::kSchemas, {"", "orders"}) == TableName{"", "orders"});
}

TEST_CASE("with a schema of its own, the mirror keeps the tables' names in it") {
  CHECK(target({"live"}, SinkNaming::kSchemas, {"public", "orders"}) ==
        TableName{"live", "orders"});
  CHECK(target({"live"}, SinkNaming::kSchemas, {"shop", "orders"}) == TableName{"live", "orders"});
}

// Rows of two tables under one name would overwrite each other.
TEST_CASE("two tables of the source that would be one in the sink are refused") {
  const TableSchemaPtr first = share(describe({"a", "orders"}));
  const TableSchemaPtr second = share(describe({"b", "orders"}));
  Mirror apart({}, SinkNaming::kSchemas);
  CHECK_NOTHROW(configs_of(apart, {first, second}));
  Mirror together({"live"}, SinkNaming::kSchemas);
  CHECK_THROWS_WITH(configs_of(together, {first, second}),
                    "tables a.orders and b.orders of the source would both be live.orders in the "
                    "sink");
}

TEST_CASE("a sink without schemas has the default schema's tables under their bare name") {
  CHECK(target({}, SinkNaming::kFlat, {"public", "orders"}) == TableName{"", "orders"});
  CHECK(target({}, SinkNaming::kFlat, {"dbo", "orders"}) == TableName{"", "orders"});
  CHECK(target({}, SinkNaming::kFlat, {"", "orders"}) == TableName{"", "orders"});
  CHECK(target({}, SinkNaming::kFlat, {"shop", "orders"}) == TableName{"", "shop.orders"});
}

TEST_CASE("how a TRUNCATE is done is told with every table") {
  const std::vector<TableSchemaPtr> tables{share(describe({"public", "orders"}))};
  Mirror by_delete({}, SinkNaming::kSchemas);
  CHECK(configs_of(by_delete, tables).configs.at(0)->truncate == TruncateMode::kDelete);
  MirrorOptions options;
  options.truncate = TruncateMode::kNative;
  Mirror natively(options, SinkNaming::kSchemas);
  CHECK(configs_of(natively, tables).configs.at(0)->truncate == TruncateMode::kNative);
}

TEST_CASE("every change becomes one operation, in order, with its rows") {
  const TableSchemaPtr orders = share(describe({"public", "orders"}));
  const TableSchemaPtr items = share(describe({"public", "items"}));
  const std::vector<Value> row = {Value::text("1"), Value::unchanged()};
  const std::vector<Value> old = {Value::text("0"), Value::null()};
  Transaction transaction("1", LSN::from_postgres(1), WallTime{});
  transaction.add_change(orders, Operation::kInsert, row);
  transaction.add_change(items, Operation::kTruncate, {});
  transaction.add_change(orders, Operation::kUpdateAfter, row, old).key_only = true;
  transaction.add_change(items, Operation::kDelete, old).key_only = true;

  Mirror mirror({}, SinkNaming::kFlat);
  DataSet out;
  mirror.transform(kContext, transaction, {}, out);
  REQUIRE(out.configs.size() == 2);
  CHECK(out.configs[0]->name == "public.orders");
  CHECK(out.configs[0]->database == "report");
  CHECK(out.configs[0]->on_conflict == OnConflict::kOverwrite);
  CHECK(out.configs[0]->output.columns == orders->columns);
  CHECK(out.configs[0]->output.key == orders->key);
  CHECK(out.configs[0]->primary_key() == std::vector<std::string>{"id"});

  REQUIRE(out.operations.size() == 4);
  for (std::size_t i = 0; i < 4; ++i) {
    const Change& change = transaction.changes()[i];
    const Sink& operation = out.operations[i];
    CAPTURE(i);
    CHECK(operation.config == out.configs[change.table == orders.get() ? 0 : 1].get());
    CHECK(operation.operation == change.operation);
    CHECK(operation.data.data() ==
          change.data.data());  // not copied: the bytes stay where they are
    CHECK(operation.data.size() == change.data.size());
    CHECK(operation.before.data() == change.before.data());
    CHECK(operation.key_only == change.key_only);
  }
}

TEST_CASE("a data set takes one transaction after the other") {
  const TableSchemaPtr orders = share(describe({"public", "orders"}));
  const std::vector<Value> row = {Value::text("1"), Value::text("x")};
  Mirror mirror({}, SinkNaming::kFlat);
  Transaction first("1", LSN::from_postgres(1), WallTime{});
  first.add_change(orders, Operation::kInsert, row);
  Transaction second("2", LSN::from_postgres(2), WallTime{});
  second.add_change(orders, Operation::kDelete, row);
  DataSet out;
  mirror.transform(kContext, first, {}, out);
  mirror.transform(kContext, second, {}, out);
  REQUIRE(out.operations.size() == 2);
  CHECK(out.operations[0].operation == Operation::kInsert);
  CHECK(out.operations[1].operation == Operation::kDelete);
  CHECK(out.operations[0].config == out.operations[1].config);
}

TEST_CASE("a data set names each output table once, however often transactions involve it") {
  std::vector<TableSchemaPtr> tables;
  for (const char* name : {"a", "b", "c", "d"}) {
    tables.push_back(share(describe({"public", name})));
  }
  const std::vector<Value> row = {Value::text("1"), Value::text("x")};
  Mirror mirror({}, SinkNaming::kFlat);
  DataSet out;
  std::vector<Transaction> transactions;
  std::vector<std::string> expected;
  for (const std::vector<std::size_t>& order :
       {std::vector<std::size_t>{0, 1, 2}, {2, 0, 2, 1}, {3, 3, 1}, {0}}) {
    Transaction& transaction = transactions.emplace_back("1", LSN::from_postgres(1), WallTime{});
    for (const std::size_t table : order) {
      transaction.add_change(tables[table], Operation::kInsert, row);
      expected.push_back(tables[table]->name.table);
    }
    mirror.transform(kContext, transaction, {}, out);
  }
  std::vector<std::string> names;
  for (const SinkConfigPtr& config : out.configs) {
    names.push_back(config->output.name.table);
  }
  CHECK(names == std::vector<std::string>{"a", "b", "c", "d"});
  std::vector<std::string> written;
  for (const Sink& operation : out.operations) {
    written.push_back(operation.config->output.name.table);
  }
  CHECK(written == expected);
}

TEST_CASE("an involved table appears although nothing of it changed") {
  Mirror mirror({}, SinkNaming::kFlat);
  const DataSet out = configs_of(
      mirror, {share(describe({"public", "orders"})), share(describe({"shop", "empty"}))});
  REQUIRE(out.configs.size() == 2);
  CHECK(out.configs[0]->output.name.table == "orders");
  CHECK(out.configs[1]->output.name.table == "shop.empty");
  CHECK(out.operations.empty());
}

// A driver prepares a table per output object: a new one for nothing costs a look at the catalog.
TEST_CASE("the same description in another object keeps the output table") {
  Mirror mirror({}, SinkNaming::kFlat);
  const TableName name{"public", "orders"};
  const SinkConfigPtr first = configs_of(mirror, {share(describe(name))}).configs.at(0);
  CHECK(configs_of(mirror, {share(describe(name))}).configs.at(0) == first);
  CHECK(configs_of(mirror, {share(describe(name))}).configs.at(0) == first);
}

TEST_CASE("a changed description makes a new output table and leaves the old one as it was") {
  Mirror mirror({}, SinkNaming::kFlat);
  const TableName name{"public", "orders"};
  const SinkConfigPtr first = configs_of(mirror, {share(describe(name))}).configs.at(0);
  TableSchema changed = describe(name);
  SECTION("a column more") {
    changed.columns.resize(3);
  }
  SECTION("another type") {
    changed.columns[1].native_type = "text";
  }
  SECTION("another name of a column") {
    changed.columns[1].name = "remark";
  }
  SECTION("another key") {
    changed.key = {0, 1};
  }
  SECTION("no key") {
    changed.key.clear();
  }
  SECTION("nullable") {
    changed.columns[0].nullable = true;
  }
  const SinkConfigPtr second = configs_of(mirror, {share(changed)}).configs.at(0);
  CHECK(second != first);
  CHECK(second->output.columns == changed.columns);
  CHECK(second->output.key == changed.key);
  CHECK(first->output == [&] {
    TableSchema flat = describe(name);
    flat.name = {"", "orders"};
    return flat;
  }());
}

TEST_CASE("both descriptions of a table altered within a transaction have their output table") {
  const TableName name{"public", "orders"};
  TableSchema wider = describe(name);
  wider.columns.resize(3);
  const TableSchemaPtr before = share(describe(name));
  const TableSchemaPtr after = share(wider);
  const std::vector<Value> narrow_row(2);
  const std::vector<Value> wide_row(3);
  Transaction transaction("1", LSN::from_postgres(1), WallTime{});
  transaction.add_change(before, Operation::kInsert, narrow_row);
  transaction.add_change(after, Operation::kInsert, wide_row);
  Mirror mirror({}, SinkNaming::kFlat);
  DataSet out;
  mirror.transform(kContext, transaction, {}, out);
  REQUIRE(out.configs.size() == 2);
  CHECK(out.operations.at(0).config->output.columns.size() == 2);
  CHECK(out.operations.at(1).config->output.columns.size() == 3);
}

}  // namespace
}  // namespace headgate
