// The strict gate, taken from with get_complete_transactions().

#include "gate/transaction_buffer.hpp"

#include <catch2/catch.hpp>

#include "base/check.hpp"
#include "gate_fixture.hpp"

namespace headgate::gate_test {
namespace {

struct Fixture {
  ManualClock clock;
  TableSchemaPtr orders = schema("orders");
  TableSchemaPtr lines = schema("lines");
  TransactionBuffer buffer{clock, {name("orders"), name("lines")}};

  void add(const TableSchemaPtr& table, const std::string& id, std::uint64_t commit_lsn,
           const std::string& row, WallTime commit_time = at_second(0), std::uint64_t ordinal = 0) {
    REQUIRE(OneRow(table, id, lsn(commit_lsn), commit_time, row, ordinal).add_to(buffer));
  }
  void mark(const TableSchemaPtr& table, std::uint64_t read_to, WallTime time = at_second(0)) {
    buffer.update_table_max_commit_time(table->name, time, lsn(read_to));
  }
  Texts take() { return shown(buffer.get_complete_transactions()); }
};

TEST_CASE_METHOD(Fixture, "a transaction waits until every table has been read past its commit") {
  add(orders, "7", 10, "order");
  CHECK(take().empty());
  mark(orders, 10);
  CHECK(take().empty());
  add(lines, "7", 10, "line");
  mark(lines, 9);
  CHECK(take().empty());
  CHECK(buffer.size() == 1);
  mark(lines, 10);
  CHECK(take() == Texts{"7:order,line"});
  CHECK(buffer.is_empty());
  CHECK(take().empty());
}

TEST_CASE_METHOD(Fixture, "a table without changes holds everything back until it is marked") {
  add(orders, "7", 10, "order");
  mark(orders, 1000);
  CHECK(take().empty());
  mark(lines, 1000);
  CHECK(take() == Texts{"7:order"});
}

TEST_CASE_METHOD(Fixture, "transactions leave in commit order, whatever the order they came in") {
  add(orders, "c", 30, "3");
  add(orders, "a", 10, "1");
  add(lines, "b", 20, "2");
  mark(orders, 30);
  mark(lines, 30);
  CHECK(take() == Texts{"a:1", "b:2", "c:3"});
}

TEST_CASE_METHOD(Fixture, "only the ready prefix leaves") {
  for (std::uint64_t commit : {10U, 20U, 30U}) {
    add(orders, std::to_string(commit), commit, "x");
  }
  mark(orders, 30);
  mark(lines, 25);
  CHECK(take() == Texts{"10:x", "20:x"});
  CHECK(buffer.size() == 1);
  mark(lines, 30);
  CHECK(take() == Texts{"30:x"});
}

TEST_CASE_METHOD(Fixture, "an id that has wrapped is another transaction") {
  add(orders, "7", 10, "old");
  add(orders, "7", 20, "new");
  add(lines, "7", 10, "old line");
  CHECK(buffer.size() == 2);
  mark(orders, 20);
  mark(lines, 10);
  CHECK(take() == Texts{"7:old,old line"});
  mark(lines, 20);
  CHECK(take() == Texts{"7:new"});
}

TEST_CASE_METHOD(Fixture, "commit times that tie or jump back decide nothing") {
  add(orders, "a", 10, "1", at_second(50));
  add(orders, "b", 20, "2", at_second(50));
  add(orders, "c", 30, "3", at_second(-3600));
  mark(orders, 30, at_second(50));
  clock.advance(std::chrono::hours(100));
  mark(lines, 15, at_second(99'999));
  CHECK(take() == Texts{"a:1"});
  mark(lines, 20, at_second(-9'999));
  CHECK(take() == Texts{"b:2"});
  mark(lines, 30, at_second(0));
  CHECK(take() == Texts{"c:3"});
}

TEST_CASE_METHOD(Fixture, "a mark without an LSN opens nothing") {
  add(orders, "7", 10, "order", at_second(1));
  buffer.update_table_max_commit_time(name("orders"), at_second(1000));
  buffer.update_table_max_commit_time(name("lines"), at_second(1000));
  CHECK(take().empty());
  CHECK(buffer.get_table_max_commit_time(name("orders")) == at_second(1000));
}

TEST_CASE_METHOD(Fixture, "the greatest commit time of a table's marks is kept for people") {
  CHECK(buffer.get_table_max_commit_time(name("orders")) == std::nullopt);
  mark(orders, 10, at_second(7));
  mark(orders, 11, at_second(3));
  CHECK(buffer.get_table_max_commit_time(name("orders")) == at_second(7));
  CHECK(buffer.get_table_max_commit_time(name("lines")) == std::nullopt);
}

TEST_CASE_METHOD(Fixture, "a commit in a single stream marks all tables at once") {
  add(orders, "7", 10, "order");
  add(lines, "7", 10, "line");
  buffer.mark_all(at_second(5), lsn(10));
  CHECK(take() == Texts{"7:order,line"});
  CHECK(buffer.get_table_max_commit_time(name("lines")) == at_second(5));
}

TEST_CASE_METHOD(Fixture, "a transaction's changes leave in the order of their ordinals") {
  add(lines, "7", 10, "second", at_second(1), 1);
  add(lines, "7", 10, "fourth", at_second(1), 3);
  add(orders, "7", 10, "first", at_second(1), 0);
  add(orders, "7", 10, "third", at_second(1), 2);
  buffer.mark_all(at_second(1), lsn(10));
  const auto released = buffer.get_complete_transactions();
  REQUIRE(shown(released) == Texts{"7:first,second,third,fourth"});
  const Transaction& transaction = released[0].transaction;
  CHECK(transaction.commit_time() == at_second(1));
  CHECK(transaction.end_position.lsn == lsn(10));
  CHECK(transaction.involved_tables() == std::vector{orders, lines});
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(transaction.changes()[i].ordinal == i);
    CHECK(transaction.changes()[i].commit_time == at_second(1));
  }
}

TEST_CASE_METHOD(Fixture, "changes without ordinals leave in the order in which they came") {
  add(lines, "7", 10, "a");
  add(orders, "7", 10, "b");
  add(lines, "7", 10, "c");
  buffer.mark_all(at_second(1), lsn(10));
  const auto released = buffer.get_complete_transactions();
  CHECK(shown(released) == Texts{"7:a,b,c"});
  CHECK(released[0].transaction.changes()[2].ordinal == 2);
}

// Ordinals that each table counts for itself: ties between tables, and in each the order it had.
TEST_CASE_METHOD(Fixture, "equal ordinals leave in the order in which they came, however many") {
  for (std::uint64_t ordinal = 0; ordinal < 100; ++ordinal) {
    add(lines, "7", 10, "l" + std::to_string(ordinal), at_second(1), ordinal / 10);
  }
  for (std::uint64_t ordinal = 0; ordinal < 100; ++ordinal) {
    add(orders, "7", 10, "o" + std::to_string(ordinal), at_second(1), ordinal / 10);
  }
  std::string expected = "7";
  for (std::uint64_t ten = 0; ten < 10; ++ten) {
    for (const char* table : {"l", "o"}) {
      for (std::uint64_t i = 0; i < 10; ++i) {
        expected += (expected == "7" ? ":" : ",") + (table + std::to_string(ten * 10 + i));
      }
    }
  }
  buffer.mark_all(at_second(1), lsn(10));
  CHECK(take() == Texts{expected});
}

TEST_CASE_METHOD(Fixture, "a released transaction is complete in itself") {
  add(orders, "7", 10, "order", at_second(3));
  clock.advance(std::chrono::seconds(2));
  add(lines, "7", 10, "line", at_second(3));
  const auto first_seen = clock.now() - std::chrono::seconds(2);
  buffer.mark_all(at_second(3), lsn(10));
  auto released = buffer.get_complete_transactions();
  REQUIRE(released.size() == 1);
  const ReleasedTransaction& one = released[0];
  CHECK(one.whole);
  CHECK(one.reason == DeliveryReason::kCommitTime);
  CHECK(one.transaction.id() == "7");
  CHECK(one.transaction.commit_lsn() == lsn(10));
  CHECK(one.transaction.end_position.lsn == lsn(10));
  CHECK(one.transaction.first_seen_time == first_seen);
  CHECK(one.transaction.created_at() == clock.wall_now() - std::chrono::seconds(2));
  CHECK(one.transaction.commit_time() == at_second(3));
  CHECK(one.transaction.portion == Portion::kWhole);
  CHECK(buffer.counts().of(DeliveryReason::kCommitTime) == 1);
}

TEST_CASE_METHOD(Fixture, "a span of changes goes to the transactions they belong to") {
  OneRow one(orders, "a", lsn(10), at_second(0), "1");
  OneRow two(orders, "b", lsn(20), at_second(0), "2");
  OneRow three(orders, "a", lsn(10), at_second(0), "3");
  const std::array changes = {one.change(), two.change(), three.change()};
  REQUIRE(buffer.add(orders, changes));
  CHECK(buffer.size() == 2);
  buffer.mark_all(at_second(0), lsn(20));
  CHECK(take() == Texts{"a:1,3", "b:2"});
}

TEST_CASE_METHOD(Fixture, "a table that joins holds back what comes after it joined") {
  add(orders, "a", 10, "1");
  buffer.mark_all(at_second(0), lsn(10));
  CHECK(take() == Texts{"a:1"});
  const auto returns = schema("returns");
  buffer.add_table(returns->name, lsn(10));
  add(orders, "b", 20, "2");
  mark(orders, 20);
  mark(lines, 20);
  CHECK(take().empty());
  add(returns, "b", 20, "3");
  mark(returns, 20);
  CHECK(take() == Texts{"b:2,3"});
}

TEST_CASE_METHOD(Fixture, "a table cannot join behind what has left") {
  add(orders, "a", 10, "1");
  buffer.mark_all(at_second(0), lsn(10));
  take();
  CHECK_THROWS_AS(buffer.add_table(name("returns"), lsn(9)), CheckFailure);
}

// The transaction may have left without it: a torn transaction that nothing here could mend.
TEST_CASE_METHOD(Fixture, "a change behind its table's mark stops everything") {
  mark(orders, 10);
  CHECK_THROWS_AS(OneRow(orders, "7", lsn(10), at_second(0), "late").add_to(buffer), CheckFailure);
  CHECK_THROWS_AS(OneRow(orders, "6", lsn(9), at_second(0), "late").add_to(buffer), CheckFailure);
  CHECK_NOTHROW(add(lines, "7", 10, "line"));
  CHECK_NOTHROW(add(orders, "8", 11, "order"));
}

TEST_CASE_METHOD(Fixture, "what would escape the gate's judgement is refused") {
  const auto typo = schema("typo");
  CHECK_THROWS_AS(OneRow(typo, "7", lsn(10), at_second(0), "x").add_to(buffer), CheckFailure);
  CHECK_THROWS_AS(buffer.update_table_max_commit_time(typo->name, at_second(0), lsn(1)),
                  CheckFailure);
  // Without an LSN the strict gate could never tell when it is whole.
  CHECK_THROWS_AS(OneRow(orders, "7", LSN{}, at_second(0), "x").add_to(buffer), CheckFailure);
  OneRow row(orders, "7", lsn(10), at_second(0), "x");
  CHECK_THROWS_AS(buffer.add(lines, row.change()), CheckFailure);
  CHECK(buffer.is_empty());
}

TEST_CASE_METHOD(Fixture, "after close nothing gets in, and what was ready can still be taken") {
  add(orders, "a", 10, "1");
  add(orders, "b", 20, "2");
  mark(orders, 20);
  mark(lines, 10);
  buffer.close();
  CHECK_FALSE(OneRow(lines, "b", lsn(20), at_second(0), "refused").add_to(buffer));
  // Its table was read past a change that was refused: the mark would tear the transaction.
  mark(lines, 20);
  buffer.mark_all(at_second(0), lsn(20));
  CHECK(take() == Texts{"a:1"});
  CHECK(buffer.size() == 1);
}

TEST_CASE_METHOD(Fixture, "flush takes everything in commit order and says what is not whole") {
  add(orders, "b", 20, "2");
  add(orders, "a", 10, "1");
  mark(orders, 20);
  mark(lines, 10);
  const auto released = buffer.flush();
  REQUIRE(shown(released) == Texts{"a:1", "b:2"});
  CHECK(released[0].whole);
  CHECK(released[0].reason == DeliveryReason::kCommitTime);
  CHECK_FALSE(released[1].whole);
  CHECK(released[1].reason == DeliveryReason::kTimeout);
  CHECK(buffer.is_empty());
  CHECK(buffer.flush().empty());
  CHECK(buffer.counts().flushed == 1);
  CHECK(buffer.counts().of(DeliveryReason::kTimeout) == 0);
}

TEST_CASE_METHOD(Fixture, "the rest of a transaction that was flushed is never called whole") {
  add(orders, "a", 10, "1");
  buffer.flush();
  add(lines, "a", 10, "2");
  add(lines, "b", 20, "3");
  buffer.mark_all(at_second(0), lsn(20));
  const auto released = buffer.get_complete_transactions();
  REQUIRE(shown(released) == Texts{"a:2", "b:3"});
  CHECK_FALSE(released[0].whole);
  CHECK(released[1].whole);
}

TEST_CASE_METHOD(Fixture, "a transaction declared complete is ready but overtakes none") {
  add(orders, "a", 10, "1");
  add(orders, "b", 20, "2");
  CHECK_FALSE(buffer.set_complete("b", lsn(10)));
  CHECK_FALSE(buffer.set_complete("x", lsn(20)));
  CHECK(buffer.set_complete("b", lsn(20)));
  CHECK(take().empty());
  CHECK(buffer.set_complete("a", lsn(10)));
  const auto released = buffer.get_complete_transactions();
  CHECK(shown(released) == Texts{"a:1", "b:2"});
  CHECK_FALSE(released[0].whole);
}

TEST_CASE("a gate without tables lets nothing through") {
  const ManualClock clock;
  TransactionBuffer buffer(clock, {});
  buffer.mark_all(at_second(0), lsn(10));
  CHECK(buffer.get_complete_transactions().empty());
  const auto orders = schema("orders");
  CHECK_THROWS_AS(OneRow(orders, "7", lsn(10), at_second(0), "x").add_to(buffer), CheckFailure);
}

TEST_CASE("a gate with a limit of nothing is refused") {
  const ManualClock clock;
  GateOptions no_transactions;
  no_transactions.max_tx_count = 0;
  CHECK_THROWS_AS(TransactionBuffer(clock, {}, no_transactions), CheckFailure);
  GateOptions no_bytes;
  no_bytes.max_batch_bytes = 0;
  CHECK_THROWS_AS(TransactionBuffer(clock, {}, no_bytes), CheckFailure);
}

}  // namespace
}  // namespace headgate::gate_test
