// Where clocks come in: the timed gate, and the strict gate's alert.

#include <catch2/catch.hpp>

#include "gate/transaction_buffer.hpp"
#include "gate_fixture.hpp"

namespace headgate::gate_test {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

GateOptions timed() {
  GateOptions options;
  options.mode = GateMode::kTimed;
  options.max_wait_time = seconds(30);
  options.poll_interval = seconds(5);
  return options;
}

struct Fixture {
  ManualClock clock;
  TableSchemaPtr orders = schema("orders");
  TableSchemaPtr lines = schema("lines");
  std::set<TableName> tables = {name("orders"), name("lines")};
  TransactionBuffer strict{clock, tables};
  TransactionBuffer gate{clock, tables, timed()};
};

TEST_CASE_METHOD(Fixture, "timed: what the marks vouch for goes at once and is whole") {
  REQUIRE(OneRow(orders, "7", lsn(10), at_second(0), "x").add_to(gate));
  gate.mark_all(at_second(0), lsn(10));
  const auto released = gate.get_complete_transactions();
  REQUIRE(released.size() == 1);
  CHECK(released[0].reason == DeliveryReason::kCommitTime);
  CHECK(released[0].whole);
}

TEST_CASE_METHOD(Fixture, "timed: a mark by time alone must be past the commit, since times tie") {
  REQUIRE(OneRow(orders, "7", LSN{}, at_second(0), "x").add_to(gate));
  gate.update_table_max_commit_time(name("orders"), at_second(1));
  CHECK(gate.get_complete_transactions().empty());
  gate.update_table_max_commit_time(name("lines"), at_second(0));
  CHECK(gate.get_complete_transactions().empty());
  gate.update_table_max_commit_time(name("lines"), at_second(1));
  const auto released = gate.get_complete_transactions();
  REQUIRE(shown(released) == Texts{"7:x"});
  CHECK(released[0].reason == DeliveryReason::kCommitTime);
  CHECK_FALSE(released[0].whole);
}

TEST_CASE_METHOD(Fixture, "timed: a transaction goes when more than two poll intervals are over") {
  REQUIRE(OneRow(orders, "7", lsn(10), clock.wall_now(), "x").add_to(gate));
  clock.advance(seconds(10));
  CHECK(gate.get_complete_transactions().empty());
  clock.advance(milliseconds(1));
  const auto released = gate.get_complete_transactions();
  REQUIRE(shown(released) == Texts{"7:x"});
  CHECK(released[0].reason == DeliveryReason::kPollInterval);
  CHECK_FALSE(released[0].whole);
  CHECK(gate.counts().of(DeliveryReason::kPollInterval) == 1);
}

// A commit time ahead of our clock (or none at all) leaves only the longest wait.
TEST_CASE_METHOD(Fixture,
                 "timed: a transaction goes after the longest wait, and that is reported") {
  std::vector<GateStall> stalls;
  gate.set_on_timeout([&](const GateStall& stall) { stalls.push_back(stall); });
  const auto commit_time = GENERATE(WallTime{}, at_second(86'400));
  REQUIRE(OneRow(orders, "7", lsn(10), commit_time, "x").add_to(gate));
  gate.update_table_max_commit_time(name("orders"), WallTime{}, lsn(10));
  clock.advance(seconds(30) - milliseconds(1));
  CHECK(gate.get_complete_transactions().empty());
  clock.advance(milliseconds(1));
  const auto released = gate.get_complete_transactions();
  REQUIRE(shown(released) == Texts{"7:x"});
  CHECK(released[0].reason == DeliveryReason::kTimeout);
  CHECK_FALSE(released[0].whole);
  CHECK(gate.counts().of(DeliveryReason::kTimeout) == 1);
  REQUIRE(stalls.size() == 1);
  CHECK(stalls[0].transaction_id == "7");
  CHECK(stalls[0].waited == seconds(30));
  CHECK(stalls[0].behind == std::vector{name("lines")});
}

TEST_CASE_METHOD(Fixture, "timed: even then none overtakes an earlier one") {
  REQUIRE(OneRow(orders, "b", lsn(20), at_second(-100), "2").add_to(gate));
  REQUIRE(OneRow(orders, "a", lsn(10), at_second(100), "1").add_to(gate));
  CHECK(gate.get_complete_transactions().empty());
  clock.advance(seconds(30));
  CHECK(shown(gate.get_complete_transactions()) == Texts{"a:1", "b:2"});
}

TEST_CASE_METHOD(Fixture, "timed: without LSNs commit times give identity and order") {
  REQUIRE(OneRow(orders, "7", LSN{}, at_second(2), "late").add_to(gate));
  REQUIRE(OneRow(orders, "7", LSN{}, at_second(1), "early").add_to(gate));
  REQUIRE(OneRow(lines, "7", LSN{}, at_second(2), "line").add_to(gate));
  CHECK(gate.size() == 2);
  clock.advance(seconds(60));
  CHECK(shown(gate.get_complete_transactions()) == Texts{"7:early", "7:late,line"});
}

TEST_CASE_METHOD(Fixture, "timed: the rest of a torn transaction is never called whole") {
  REQUIRE(OneRow(orders, "7", lsn(10), at_second(0), "order").add_to(gate));
  clock.advance(seconds(60));
  CHECK(shown(gate.get_complete_transactions()) == Texts{"7:order"});
  REQUIRE(OneRow(lines, "7", lsn(10), at_second(0), "line").add_to(gate));
  gate.mark_all(at_second(0), lsn(10));
  const auto rest = gate.get_complete_transactions();
  REQUIRE(shown(rest) == Texts{"7:line"});
  CHECK_FALSE(rest[0].whole);
}

TEST_CASE_METHOD(Fixture, "timed: after close time opens nothing any more") {
  REQUIRE(OneRow(orders, "7", lsn(10), at_second(0), "x").add_to(gate));
  gate.close();
  clock.advance(std::chrono::hours(1));
  CHECK(gate.get_complete_transactions().empty());
}

TEST_CASE_METHOD(Fixture, "timed: commit times of any year are compared without overflow") {
  const auto years = GENERATE(-2000, -300, 300, 7000);
  const WallTime commit_time{std::chrono::hours(std::int64_t{years} * 8766)};
  REQUIRE(OneRow(orders, "7", lsn(10), commit_time, "x").add_to(gate));
  CHECK(gate.get_complete_transactions().size() == (years < 0 ? 1U : 0U));
}

TEST_CASE_METHOD(Fixture, "strict: time opens nothing, however long it takes") {
  REQUIRE(OneRow(orders, "7", lsn(10), at_second(0), "x").add_to(strict));
  for (int hour = 0; hour < 100; ++hour) {
    clock.advance(std::chrono::hours(1));
    CHECK(strict.get_complete_transactions().empty());
  }
  CHECK(strict.size() == 1);
}

TEST_CASE_METHOD(Fixture,
                 "strict: a stalled gate says so once, names who holds it up, and recovers") {
  std::vector<GateStall> stalls;
  strict.set_on_timeout([&](const GateStall& stall) { stalls.push_back(stall); });
  REQUIRE(OneRow(orders, "a", lsn(10), at_second(0), "1").add_to(strict));
  strict.update_table_max_commit_time(name("orders"), at_second(0), lsn(10));
  clock.advance(seconds(20));
  REQUIRE(OneRow(orders, "b", lsn(20), at_second(0), "2").add_to(strict));
  clock.advance(seconds(10) - milliseconds(1));
  strict.get_complete_transactions();
  CHECK(stalls.empty());
  CHECK_FALSE(strict.counts().stalled);

  clock.advance(milliseconds(1));
  strict.get_complete_transactions();
  REQUIRE(stalls.size() == 1);
  CHECK(stalls[0].transaction_id == "a");
  CHECK(stalls[0].commit_lsn == lsn(10));
  CHECK(stalls[0].waited == seconds(30));
  CHECK(stalls[0].behind == std::vector{name("lines")});
  CHECK(strict.counts().stalled);

  clock.advance(seconds(100));
  strict.get_complete_transactions();
  CHECK(stalls.size() == 1);

  strict.mark_all(at_second(0), lsn(20));
  CHECK(strict.get_complete_transactions().size() == 2);
  CHECK_FALSE(strict.counts().stalled);
  CHECK(strict.counts().stalls == 1);

  REQUIRE(OneRow(orders, "c", lsn(30), at_second(0), "3").add_to(strict));
  clock.advance(seconds(30));
  strict.get_complete_transactions();
  CHECK(stalls.size() == 2);
}

// It is the wait that counts, not the place in the order.
TEST_CASE_METHOD(Fixture, "strict: a stall is seen behind an earlier transaction that is new") {
  REQUIRE(OneRow(orders, "b", lsn(20), at_second(0), "2").add_to(strict));
  clock.advance(seconds(30));
  REQUIRE(OneRow(orders, "a", lsn(10), at_second(0), "1").add_to(strict));
  strict.get_complete_transactions();
  CHECK(strict.counts().stalls == 1);
}

TEST_CASE_METHOD(Fixture, "strict: a closed gate does not stall") {
  REQUIRE(OneRow(orders, "a", lsn(10), at_second(0), "1").add_to(strict));
  strict.close();
  clock.advance(seconds(60));
  strict.get_complete_transactions();
  CHECK(strict.counts().stalls == 0);
}

}  // namespace
}  // namespace headgate::gate_test
