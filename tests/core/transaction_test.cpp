#include "core/transaction.hpp"

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include <catch2/catch.hpp>

namespace {

using headgate::Change;
using headgate::LSN;
using headgate::Operation;
using headgate::Portion;
using headgate::Row;
using headgate::TableName;
using headgate::TableSchema;
using headgate::TableSchemaPtr;
using headgate::Transaction;
using headgate::Value;
using headgate::WallTime;

constexpr WallTime kNow{std::chrono::microseconds(1'767'225'600'123'456)};
constexpr WallTime kCommitTime{std::chrono::microseconds(1'767'225'600'000'001)};

TableSchemaPtr table(const std::string& name) {
  auto schema = std::make_shared<TableSchema>();
  schema->name = TableName{"shop", name};
  schema->columns.resize(2);
  schema->columns[0].name = "id";
  schema->columns[1].name = "note";
  schema->key = {0};
  return schema;
}

TEST_CASE("a trace id is eight random digits and the nanoseconds") {
  const Transaction transaction("7", LSN::parse("0/10"), kNow);
  CHECK_THAT(transaction.trace_id().to_string(), Catch::Matches("[0-9a-f]{8}-1767225600123456000"));
  CHECK(transaction.trace_id().to_string() !=
        Transaction("7", LSN::parse("0/10"), kNow).trace_id().to_string());
}

TEST_CASE("a change added to a transaction is filled in from it") {
  const auto orders = table("orders");
  Transaction transaction("4711", LSN::parse("0/10"), kNow);
  transaction.set_commit_time(kCommitTime);
  const std::array row = {Value::text("1"), Value::null()};
  transaction.add_change(orders, Operation::kInsert, transaction.copy_row(row));
  transaction.add_change(orders, Operation::kDelete, transaction.copy_row(row));

  REQUIRE(transaction.changes().size() == 2);
  for (const Change& change : transaction.changes()) {
    CHECK(change.table == orders.get());
    CHECK(change.transaction_id == "4711");
    CHECK(change.lsn == LSN::parse("0/10"));
    CHECK(change.commit_time == kCommitTime);
  }
  CHECK(transaction.changes()[0].ordinal == 0);
  CHECK(transaction.changes()[0].operation == Operation::kInsert);
  CHECK(transaction.changes()[1].ordinal == 1);
  CHECK(transaction.changes()[1].operation == Operation::kDelete);
}

TEST_CASE("a commit time set last reaches the changes that are there already") {
  const auto orders = table("orders");
  Transaction transaction("7", LSN::parse("0/10"), kNow);
  transaction.add_change(orders, Operation::kTruncate, {});
  transaction.set_commit_time(kCommitTime);
  CHECK(transaction.commit_time() == kCommitTime);
  CHECK(transaction.changes()[0].commit_time == kCommitTime);
}

TEST_CASE("a copied change owns its bytes and belongs to its new transaction") {
  const auto orders = table("orders");
  Transaction copy("copy", LSN::parse("0/20"), kNow);
  {
    std::string id = "1";
    std::string note = "a note that is gone when it is read";
    const std::array data = {Value::text(id), Value::text(note)};
    const std::array before = {Value::text(id), Value::unchanged()};
    Change change;
    change.table = orders.get();
    change.transaction_id = "original";
    change.operation = Operation::kUpdateAfter;
    change.data = data;
    change.before = before;
    change.key_only = true;
    change.ordinal = 99;
    copy.add_change(orders, change);
    id.assign("x");
    note.assign(note.size(), 'x');
  }
  const Change& copied = copy.changes().at(0);
  CHECK(copied.transaction_id == "copy");
  CHECK(copied.lsn == LSN::parse("0/20"));
  CHECK(copied.ordinal == 0);
  CHECK(copied.operation == Operation::kUpdateAfter);
  CHECK(copied.key_only);
  REQUIRE(copied.data.size() == 2);
  CHECK(copied.data[0] == Value::text("1"));
  CHECK(copied.data[1] == Value::text("a note that is gone when it is read"));
  REQUIRE(copied.before.size() == 2);
  CHECK(copied.before[0] == Value::text("1"));
  CHECK(copied.before[1].is_unchanged());
}

TEST_CASE("a copied row keeps NULL, unchanged and empty apart") {
  Transaction transaction("7", LSN{}, kNow);
  const std::array row = {Value::null(), Value::unchanged(), Value::text(""), Value::binary("")};
  const Row copied = transaction.copy_row(row);
  REQUIRE(copied.size() == 4);
  for (std::size_t i = 0; i < row.size(); ++i) {
    CHECK(copied[i] == row[i]);
  }
}

TEST_CASE("a transaction can copy a change of its own, also while its list of changes grows") {
  const auto orders = table("orders");
  Transaction transaction("7", LSN{}, kNow);
  const std::array row = {Value::text("1"), Value::text("note")};
  transaction.add_change(orders, Operation::kDelete, transaction.copy_row(row)).key_only = true;
  for (std::size_t i = 0; i < 100; ++i) {
    const Change& copied = transaction.add_change(orders, transaction.changes()[i]);
    CHECK(copied.key_only);
    CHECK(copied.data[1] == Value::text("note"));
  }
}

TEST_CASE("involved tables stand in the order of their first change, once each") {
  const auto lines = table("lines");
  const auto orders = table("orders");
  const auto empty = table("empty");
  Transaction transaction("7", LSN{}, kNow);
  for (const auto& schema : {lines, orders, lines, orders, orders}) {
    transaction.add_change(schema, Operation::kTruncate, {});
  }
  transaction.involve(empty);
  transaction.involve(lines);
  CHECK(transaction.involved_tables() == std::vector<TableSchemaPtr>{lines, orders, empty});
  CHECK(transaction.changes().size() == 5);
}

TEST_CASE("a transaction keeps alive the schemas that its changes point at") {
  Transaction transaction("7", LSN{}, kNow);
  std::weak_ptr<const TableSchema> watched;
  {
    const auto orders = table("orders");
    watched = orders;
    transaction.add_change(orders, Operation::kTruncate, {});
  }
  REQUIRE_FALSE(watched.expired());
  CHECK(transaction.changes()[0].table->name.table == "orders");
}

TEST_CASE("all pointers stay valid when a transaction is moved") {
  const auto orders = table("orders");
  auto original = std::make_unique<Transaction>("a transaction id of some length", LSN{}, kNow);
  const std::array row = {Value::text("1"), Value::text("note")};
  original->add_change(orders, Operation::kInsert, original->copy_row(row));
  const Change* place = original->changes().data();
  Transaction moved = std::move(*original);
  original.reset();

  CHECK(moved.id() == "a transaction id of some length");
  REQUIRE(moved.changes().data() == place);
  CHECK(place->transaction_id == "a transaction id of some length");
  CHECK(place->data[1] == Value::text("note"));
  moved.add_change(orders, Operation::kDelete, moved.copy_row(row));
  CHECK(moved.changes()[1].ordinal == 1);

  Transaction assigned("other", LSN{}, kNow);
  assigned = std::move(moved);
  CHECK(assigned.changes()[0].data[1] == Value::text("note"));
  CHECK(assigned.id() == "a transaction id of some length");
}

TEST_CASE("the later portions of a transaction go on counting") {
  const auto orders = table("orders");
  Transaction first("7", LSN{}, kNow);
  first.add_change(orders, Operation::kTruncate, {});
  first.add_change(orders, Operation::kTruncate, {});
  Transaction last("7", LSN{}, kNow);
  last.set_first_ordinal(first.next_ordinal());
  last.add_change(orders, Operation::kTruncate, {});
  CHECK(last.changes()[0].ordinal == 2);
  CHECK(last.next_ordinal() == 3);
}

TEST_CASE("portions say where a transaction begins and ends") {
  CHECK((begins(Portion::kWhole) && ends(Portion::kWhole)));
  CHECK((begins(Portion::kFirst) && !ends(Portion::kFirst)));
  CHECK((!begins(Portion::kMiddle) && !ends(Portion::kMiddle)));
  CHECK((!begins(Portion::kLast) && ends(Portion::kLast)));
}

TEST_CASE("a transaction's cost covers its rows and grows with them") {
  const auto orders = table("orders");
  Transaction transaction("7", LSN{}, kNow);
  const std::size_t empty = transaction.memory_bytes();
  const std::string note(100'000, 'x');
  const std::array row = {Value::text("1"), Value::text(note)};
  transaction.add_change(orders, Operation::kInsert, transaction.copy_row(row));
  CHECK(empty < 2000);
  CHECK(transaction.memory_bytes() >= empty + note.size() + sizeof(Change));
}

}  // namespace
