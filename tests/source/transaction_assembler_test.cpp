#include "source/postgres/transaction_assembler.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/error.hpp"

namespace headgate::source::postgres {
namespace {

class FixedClock final : public Clock {
 public:
  TimePoint now() const override { return TimePoint{std::chrono::hours(1)}; }
  WallTime wall_now() const override { return WallTime{std::chrono::seconds(1'767'225'600)}; }
};

const WallTime kCommitTime{std::chrono::seconds(1'767'225'500)};
const History kHistory{"postgres:7:1:5"};
constexpr std::size_t kNoBound = std::size_t{1} << 40U;

constexpr std::uint32_t kOrders = 100;
constexpr std::uint32_t kItems = 200;
constexpr std::uint32_t kAudit = 300;  // not captured

RelationMessage relation(std::uint32_t oid, std::vector<std::string_view> columns) {
  RelationMessage message;
  message.relation = oid;
  message.schema = "shop";
  message.table = oid == kOrders ? "orders" : oid == kItems ? "items" : "audit";
  for (const std::string_view name : columns) {
    message.columns.push_back({name, 25, -1, name == "id"});
  }
  return message;
}

// Feeds messages and keeps what comes out.
class Feed {
 public:
  explicit Feed(std::size_t portion_bytes = kNoBound)
      : assembler_(
            [this](const RelationMessage& message, std::uint32_t) { return look_up(message); },
            clock_, portion_bytes) {
    assembler_.reset(kHistory);
    add(relation(kOrders, {"id", "note"}));
    add(relation(kItems, {"id"}));
    add(relation(kAudit, {"id"}));
  }

  void add(const PgoutputMessage& message) { assembler_.add(message, out); }

  void begin(std::uint64_t commit_lsn, std::uint32_t xid = 7) {
    add(BeginMessage{commit_lsn, kCommitTime, xid});
  }
  void commit(std::uint64_t commit_lsn) {
    add(CommitMessage{commit_lsn, commit_lsn + 8, kCommitTime});
  }
  void insert(std::uint32_t oid, const std::vector<Value>& row) { add(InsertMessage{oid, row}); }
  void update(std::uint32_t oid, char kind, const std::vector<Value>& old_row,
              const std::vector<Value>& row) {
    add(UpdateMessage{oid, kind, old_row, row});
  }
  void erase(std::uint32_t oid, char kind, const std::vector<Value>& old_row) {
    add(DeleteMessage{oid, kind, old_row});
  }

  TransactionAssembler& assembler() { return assembler_; }

  std::vector<TransactionPtr> out;
  std::vector<std::string> looked_up;  // tables, in the order in which they were asked for

 private:
  TableSchemaPtr look_up(const RelationMessage& message) {
    looked_up.emplace_back(message.table);
    if (message.relation == kAudit) {
      return nullptr;
    }
    auto schema = std::make_shared<TableSchema>();
    schema->name = {std::string(message.schema), std::string(message.table)};
    for (const RelationColumn& column : message.columns) {
      Column made;
      made.name = std::string(column.name);
      made.identity = column.identity;
      schema->columns.push_back(made);
    }
    schema->key = {0};
    return schema;
  }

  FixedClock clock_;
  TransactionAssembler assembler_;
};

Value text(std::string_view value) {
  return Value::text(value);
}

// The kind of error that `action` ends in, which must name what is wrong in words.
bool is_refused(const std::function<void()>& action, const std::string& words) {
  try {
    action();
    return false;
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kOperator);
    CHECK(std::string(error.what()).find(words) != std::string::npos);
    return true;
  }
}

TEST_CASE("a transaction comes out whole at its COMMIT") {
  Feed feed;
  feed.begin(1000, 4'000'000'000);
  CHECK(feed.assembler().within_transaction());
  feed.insert(kOrders, {text("1"), text("new")});
  feed.update(kOrders, 0, {}, {text("1"), Value::null()});
  feed.erase(kItems, 'K', {text("5")});
  CHECK(feed.out.empty());
  feed.commit(1000);
  CHECK_FALSE(feed.assembler().within_transaction());

  REQUIRE(feed.out.size() == 1);
  const Transaction& transaction = *feed.out[0];
  CHECK(transaction.id() == "4000000000");
  CHECK(transaction.commit_lsn() == LSN::from_postgres(1000));
  CHECK(transaction.commit_time() == kCommitTime);
  CHECK(transaction.end_position == Position{LSN::from_postgres(1008), kHistory});
  CHECK(transaction.portion == Portion::kWhole);
  CHECK(transaction.purpose == Purpose::kChanges);
  REQUIRE(transaction.changes().size() == 3);
  const auto& changes = transaction.changes();
  CHECK(changes[0].operation == Operation::kInsert);
  CHECK(changes[0].table->name == TableName{"shop", "orders"});
  CHECK(changes[0].data[1] == text("new"));
  CHECK(changes[0].commit_time == kCommitTime);
  CHECK(changes[1].operation == Operation::kUpdateAfter);
  CHECK(changes[1].data[1] == Value::null());
  CHECK(changes[1].before.empty());
  CHECK_FALSE(changes[1].key_only);
  CHECK(changes[2].operation == Operation::kDelete);
  CHECK(changes[2].table->name == TableName{"shop", "items"});
  for (std::size_t i = 0; i < changes.size(); ++i) {
    CHECK(changes[i].ordinal == i);
    CHECK(changes[i].lsn == LSN::from_postgres(1000));
  }
  CHECK(transaction.involved_tables().size() == 2);
}

TEST_CASE("what comes out owns its rows and names") {
  Feed feed;
  {
    const std::string note(100, 'n');
    const std::string column = "a_column_with_a_long_name";
    RelationMessage wide = relation(kOrders, {"id", column});
    feed.add(wide);
    feed.begin(1000);
    feed.insert(kOrders, {text("1"), text(note)});
    feed.commit(1000);
  }
  const Transaction& transaction = *feed.out.at(0);
  CHECK(transaction.changes()[0].data[1].bytes() == std::string(100, 'n'));
  CHECK(transaction.involved_tables()[0]->columns[1].name == "a_column_with_a_long_name");
  // The description is compared with what it was, not with memory that is gone.
  const std::size_t lookups = feed.looked_up.size();
  feed.add(relation(kOrders, {"id", "a_column_with_a_long_name"}));
  CHECK(feed.looked_up.size() == lookups);
}

TEST_CASE("a transaction without a captured change is not handed over but moves the end") {
  Feed feed;
  CHECK(feed.assembler().last_end_lsn() == 0);
  feed.begin(1000);
  feed.commit(1000);
  CHECK(feed.assembler().last_end_lsn() == 1008);
  feed.begin(2000);
  feed.insert(kAudit, {text("1")});
  feed.update(kAudit, 0, {}, {text("1")});
  feed.erase(kAudit, 'K', {text("1")});
  feed.add(TruncateMessage{false, false, {kAudit}});
  feed.commit(2000);
  CHECK(feed.assembler().last_end_lsn() == 2008);
  CHECK(feed.out.empty());
  CHECK_FALSE(feed.assembler().within_transaction());
}

TEST_CASE("changes of tables that are not captured are left out of a transaction") {
  Feed feed;
  feed.begin(1000);
  feed.insert(kAudit, {text("1")});
  feed.insert(kItems, {text("2")});
  feed.add(TruncateMessage{true, false, {kAudit, kOrders, kItems}});
  feed.commit(1000);
  const auto& changes = feed.out.at(0)->changes();
  REQUIRE(changes.size() == 3);
  CHECK(changes[0].ordinal == 0);
  CHECK(changes[0].table->name.table == "items");
  CHECK(changes[1].operation == Operation::kTruncate);
  CHECK(changes[1].table->name.table == "orders");
  CHECK(changes[1].data.empty());
  CHECK(changes[2].table->name.table == "items");
  CHECK(changes[2].ordinal == 2);
}

TEST_CASE("origins, types and messages of applications are no changes") {
  Feed feed;
  feed.add(LogicalMessage{false, 5, "app", "outside a transaction"});
  feed.begin(1000);
  feed.add(OriginMessage{1, "upstream"});
  feed.add(TypeMessage{16'400, "shop", "state"});
  feed.add(LogicalMessage{true, 5, "app", "within one"});
  feed.insert(kItems, {text("1")});
  feed.commit(1000);
  REQUIRE(feed.out.size() == 1);
  CHECK(feed.out[0]->changes().size() == 1);
}

TEST_CASE("a large transaction comes out in portions that say which they are") {
  constexpr std::size_t kBound = 4096;
  Feed feed(kBound);
  feed.begin(1000);
  std::size_t sent = 0;
  while (feed.out.size() < 3) {
    feed.insert(kOrders, {text(std::to_string(sent)), text(std::string(200, 'x'))});
    ++sent;
    REQUIRE(sent < 1000);
  }
  feed.insert(kItems, {text("last")});
  ++sent;
  CHECK(feed.assembler().within_transaction());
  feed.commit(1000);
  CHECK_FALSE(feed.assembler().within_transaction());

  REQUIRE(feed.out.size() == 4);
  std::uint64_t ordinal = 0;
  for (std::size_t i = 0; i < feed.out.size(); ++i) {
    const Transaction& portion = *feed.out[i];
    CAPTURE(i);
    const bool last = i == 3;
    CHECK(portion.portion == (i == 0 ? Portion::kFirst : last ? Portion::kLast : Portion::kMiddle));
    CHECK(portion.id() == "7");
    CHECK(portion.commit_lsn() == LSN::from_postgres(1000));
    CHECK(portion.commit_time() == kCommitTime);
    CHECK(portion.end_position.empty() == !last);
    CHECK((last || portion.memory_bytes() >= kBound));
    CHECK(portion.memory_bytes() < 3 * kBound);
    for (const Change& change : portion.changes()) {
      CHECK(change.ordinal == ordinal);
      CHECK(change.lsn == LSN::from_postgres(1000));
      CHECK(change.transaction_id == "7");
      CHECK(change.commit_time == kCommitTime);
      ++ordinal;
    }
  }
  CHECK(ordinal == sent);
  CHECK(feed.out[3]->end_position == Position{LSN::from_postgres(1008), kHistory});
  CHECK(feed.assembler().last_end_lsn() == 1008);
  CHECK(feed.out[3]->changes().back().data[0] == text("last"));
}

TEST_CASE("portions begin anew with the next transaction") {
  Feed feed(4096);
  feed.begin(1000);
  while (feed.out.empty()) {
    feed.insert(kOrders, {text("1"), text(std::string(200, 'x'))});
  }
  feed.commit(1000);  // the last portion may be empty, but must come: it ends the transaction
  REQUIRE(feed.out.size() == 2);
  CHECK(feed.out[1]->portion == Portion::kLast);
  CHECK(feed.out[1]->changes().empty());
  CHECK_FALSE(feed.out[1]->end_position.empty());

  feed.begin(2000);
  feed.insert(kItems, {text("1")});
  feed.commit(2000);
  feed.begin(3000);
  feed.commit(3000);
  REQUIRE(feed.out.size() == 3);
  CHECK(feed.out[2]->portion == Portion::kWhole);
  CHECK(feed.out[2]->changes()[0].ordinal == 0);
}

TEST_CASE("a table that is altered within a transaction has both its schemas there") {
  Feed feed;
  feed.begin(1000);
  feed.insert(kOrders, {text("1"), text("old")});
  feed.add(relation(kOrders, {"id", "note", "added"}));
  feed.insert(kOrders, {text("2"), text("new"), text("more")});
  feed.commit(1000);
  const auto& changes = feed.out.at(0)->changes();
  REQUIRE(changes.size() == 2);
  CHECK(changes[0].table->columns.size() == 2);
  CHECK(changes[0].data.size() == 2);
  CHECK(changes[1].table->columns.size() == 3);
  CHECK(changes[1].data.size() == 3);
  CHECK(feed.out[0]->involved_tables().size() == 2);
}

TEST_CASE("a table that is altered between two portions keeps its schema in the first") {
  Feed feed(4096);
  feed.begin(1000);
  while (feed.out.empty()) {
    feed.insert(kOrders, {text("1"), text(std::string(200, 'x'))});
  }
  feed.add(relation(kOrders, {"id"}));
  feed.insert(kOrders, {text("2")});
  feed.commit(1000);
  CHECK(feed.out.at(0)->changes()[0].table->columns.size() == 2);
  CHECK(feed.out.at(1)->changes()[0].table->columns.size() == 1);
}

TEST_CASE("a relation told again without a difference keeps its schema object") {
  Feed feed;
  const auto schema_now = [&] {
    const std::uint64_t lsn = feed.assembler().last_end_lsn() + 100;
    feed.begin(lsn);
    feed.insert(kOrders, {text("1"), text("x")});
    feed.commit(lsn);
    return feed.out.back()->involved_tables().at(0);
  };
  const TableSchemaPtr before = schema_now();

  // The catalog is asked once more, since it knows what the message does not say.
  const std::size_t first_lookups = feed.looked_up.size();
  feed.add(relation(kOrders, {"id", "note"}));
  CHECK(schema_now() == before);
  CHECK(feed.looked_up.size() == first_lookups + 1);
  const std::size_t lookups = feed.looked_up.size();

  SECTION("what makes no difference to the schema makes no new object") {
    RelationMessage retyped = relation(kOrders, {"id", "note"});
    retyped.columns[1].type_modifier = 12;  // the lookup of this test does not look at it
    feed.add(retyped);
    CHECK(feed.looked_up.size() == lookups);  // not before a row asks for it
    CHECK(schema_now() == before);
    CHECK(feed.looked_up.size() == lookups + 1);
  }
  SECTION("another name of a column does") {
    feed.add(relation(kOrders, {"id", "remark"}));
    CHECK(schema_now() != before);
  }
  SECTION("and so does another identity of a column") {
    RelationMessage other = relation(kOrders, {"id", "note"});
    other.columns[1].identity = true;
    feed.add(other);
    CHECK(schema_now() != before);
  }
}

TEST_CASE("every part of a description is looked at for a difference") {
  Feed feed;
  const std::vector<std::function<void(RelationMessage&)>> edits = {
      [](RelationMessage& m) { m.schema = "other"; },
      [](RelationMessage& m) { m.table = "others"; },
      [](RelationMessage& m) { m.identity = 'f'; },
      [](RelationMessage& m) { m.columns[1].name = "x"; },
      [](RelationMessage& m) { m.columns[1].type_oid = 23; },
      [](RelationMessage& m) { m.columns[1].type_modifier = 5; },
      [](RelationMessage& m) { m.columns[1].identity = true; },
      [](RelationMessage& m) { m.columns.pop_back(); },
      [](RelationMessage& m) {
        m.columns.push_back({"more", 25, -1, false});
      },
  };
  for (std::size_t i = 0; i < edits.size(); ++i) {
    CAPTURE(i);
    feed.add(relation(kOrders, {"id", "note"}));
    const std::size_t lookups = feed.looked_up.size();
    RelationMessage edited = relation(kOrders, {"id", "note"});
    edits[i](edited);
    feed.add(edited);
    feed.begin(1000 * (i + 1));
    feed.add(TruncateMessage{false, false, {kOrders}});
    feed.commit(1000 * (i + 1));
    CHECK(feed.looked_up.size() == lookups + 1);
  }
}

TEST_CASE("a whole old row fills the columns that the update left unchanged") {
  Feed feed;
  feed.begin(1000);
  feed.update(kOrders, 'O', {text("1"), text("long")}, {text("2"), Value::unchanged()});
  feed.commit(1000);
  const Change& change = feed.out.at(0)->changes().at(0);
  CHECK(change.data[0] == text("2"));
  CHECK(change.data[1] == text("long"));
  CHECK(change.before[0] == text("1"));
  CHECK_FALSE(change.key_only);
}

// A key that is stored out of line is not sent again, but the old key tuple has it.
TEST_CASE(
    "an old key fills a key column that was not sent, and an update without any key is refused") {
  Feed feed;
  feed.begin(1000);
  feed.update(kOrders, 'K', {text("large"), Value::null()}, {Value::unchanged(), text("new")});
  CHECK(is_refused(
      [&] {
        feed.update(kOrders, 0, {}, {Value::unchanged(), text("new")});
      },
      "does not say which row"));
  feed.commit(1000);
  const Change& change = feed.out.at(0)->changes().at(0);
  CHECK(change.data[0] == text("large"));
  CHECK(change.data[1] == text("new"));
}

TEST_CASE("an old key says that it is only a key, and fills nothing else") {
  Feed feed;
  feed.begin(1000);
  feed.update(kOrders, 'K', {text("1"), Value::null()}, {text("2"), Value::unchanged()});
  feed.erase(kOrders, 'K', {text("2"), Value::null()});
  feed.erase(kOrders, 'O', {text("3"), text("whole")});
  feed.commit(1000);
  const auto& changes = feed.out.at(0)->changes();
  CHECK(changes[0].key_only);
  CHECK(changes[0].before[0] == text("1"));
  CHECK(changes[0].data[1] == Value::unchanged());
  CHECK(changes[1].key_only);
  CHECK_FALSE(changes[2].key_only);
  CHECK(changes[2].data[1] == text("whole"));
}

TEST_CASE("a stream that breaks the protocol is refused in words") {
  Feed feed;
  const std::vector<Value> row = {text("1"), text("x")};
  SECTION("a BEGIN within a transaction") {
    feed.begin(1000);
    CHECK(is_refused([&] { feed.begin(2000); }, "BEGIN within a transaction"));
  }
  SECTION("a change outside a transaction") {
    const std::string words = "outside a transaction";
    CHECK(is_refused([&] { feed.insert(kOrders, row); }, words));
    CHECK(is_refused([&] { feed.insert(kAudit, {text("1")}); }, words));
    CHECK(is_refused([&] { feed.update(kOrders, 0, {}, row); }, words));
    CHECK(is_refused([&] { feed.erase(kOrders, 'K', row); }, words));
    CHECK(is_refused([&] { feed.add(TruncateMessage{false, false, {kOrders}}); }, words));
    CHECK(is_refused([&] { feed.commit(1000); }, words));
  }
  SECTION("a change of a relation that was never described") {
    feed.begin(1000);
    const std::string words = "relation 999, which was never described";
    CHECK(is_refused([&] { feed.insert(999, row); }, words));
    CHECK(is_refused([&] { feed.update(999, 0, {}, row); }, words));
    CHECK(is_refused([&] { feed.erase(999, 'K', row); }, words));
    CHECK(is_refused([&] { feed.add(TruncateMessage{false, false, {kOrders, 999}}); }, words));
  }
  SECTION("a row with another number of columns than its table") {
    feed.begin(1000);
    CHECK(is_refused([&] { feed.insert(kOrders, {text("1")}); },
                     "a row of 1 columns for table shop.orders with 2"));
    CHECK(is_refused([&] { feed.update(kOrders, 0, {}, {text("1")}); }, "a row of 1"));
    CHECK(is_refused([&] { feed.update(kOrders, 'O', {text("1")}, row); }, "a row of 1"));
    CHECK(is_refused([&] { feed.erase(kOrders, 'K', {}); }, "a row of 0"));
    CHECK(is_refused([&] { feed.insert(kItems, row); }, "a row of 2"));
  }
  SECTION("a COMMIT of another transaction") {
    feed.begin(1000);
    feed.insert(kOrders, row);
    CHECK(is_refused([&] { feed.commit(1001); }, "COMMIT that does not fit"));
    CHECK(feed.out.empty());
  }
  SECTION("a COMMIT that ends before or where it begins") {
    feed.begin(1000);
    feed.insert(kOrders, row);
    CHECK(is_refused([&] { feed.add(CommitMessage{1000, 1000, kCommitTime}); }, "COMMIT"));
    CHECK(is_refused([&] { feed.add(CommitMessage{1000, 999, kCommitTime}); }, "COMMIT"));
    CHECK(feed.out.empty());
  }
}

TEST_CASE("a new connection forgets what was half read, the relations, and the old history") {
  Feed feed;
  feed.begin(1000);
  feed.insert(kOrders, {text("1"), text("x")});
  feed.assembler().reset({"postgres:7:2:5"});
  CHECK_FALSE(feed.assembler().within_transaction());
  feed.begin(2000);
  CHECK(is_refused([&] { feed.insert(kOrders, {text("1"), text("x")}); }, "never described"));
  feed.add(relation(kOrders, {"id", "note"}));
  feed.insert(kOrders, {text("2"), text("x")});
  feed.commit(2000);
  REQUIRE(feed.out.size() == 1);
  CHECK(feed.out[0]->changes().size() == 1);
  CHECK(feed.out[0]->end_position.history.text == "postgres:7:2:5");
}

TEST_CASE("a new connection in the middle of a large transaction begins with a first portion") {
  Feed feed(4096);
  feed.begin(1000);
  while (feed.out.empty()) {
    feed.insert(kOrders, {text("1"), text(std::string(200, 'x'))});
  }
  feed.assembler().reset(kHistory);
  feed.add(relation(kItems, {"id"}));
  feed.begin(1000);
  feed.insert(kItems, {text("1")});
  feed.commit(1000);
  REQUIRE(feed.out.size() == 2);
  CHECK(feed.out[1]->portion == Portion::kWhole);
}

}  // namespace
}  // namespace headgate::source::postgres
