// The push side: batch limits, changes without a transaction, and callbacks that call back.

#include <stdexcept>

#include <catch2/catch.hpp>

#include "base/check.hpp"
#include "gate/transaction_buffer.hpp"
#include "gate_fixture.hpp"

namespace headgate::gate_test {
namespace {

GateOptions two_at_a_time() {
  GateOptions options;
  options.max_tx_count = 2;
  return options;
}

struct Fixture {
  ManualClock clock;
  TableSchemaPtr orders = schema("orders");
  TransactionBuffer buffer{clock, {name("orders")}, two_at_a_time()};
  Texts pushed;
  std::vector<DeliveryReason> reasons;
  std::vector<bool> whole;

  void listen() {
    buffer.set_on_complete([this](const std::vector<ReleasedTransaction>& released) {
      for (const auto& one : released) {
        pushed.push_back(shown(one.transaction));
        reasons.push_back(one.reason);
        whole.push_back(one.whole);
      }
    });
  }
  void add(std::uint64_t commit_lsn) {
    REQUIRE(OneRow(orders, std::to_string(commit_lsn), lsn(commit_lsn), at_second(0), "x")
                .add_to(buffer));
  }
  void mark(std::uint64_t read_to) {
    buffer.update_table_max_commit_time(name("orders"), at_second(0), lsn(read_to));
  }
};

TEST_CASE_METHOD(Fixture, "what is ready is pushed at once when the limit is reached") {
  listen();
  for (const std::uint64_t commit : {1U, 2U, 3U, 4U}) {
    add(commit);
  }
  CHECK(pushed.empty());  // none of them is ready: the limit does not count them
  mark(1);
  CHECK(pushed.empty());
  mark(3);
  CHECK(pushed == Texts{"1:x", "2:x", "3:x"});
  CHECK(reasons == std::vector(3, DeliveryReason::kBatchLimit));
  CHECK(whole == std::vector(3, true));
  CHECK(buffer.counts().of(DeliveryReason::kBatchLimit) == 3);
  mark(4);
  CHECK(pushed.size() == 3);
  CHECK(shown(buffer.get_complete_transactions()) == Texts{"4:x"});
  CHECK(buffer.counts().of(DeliveryReason::kCommitTime) == 1);
}

TEST_CASE_METHOD(Fixture, "without a callback the limit waits for whoever asks") {
  add(1);
  add(2);
  mark(2);
  const auto released = buffer.get_complete_transactions();
  CHECK(shown(released) == Texts{"1:x", "2:x"});
  CHECK(released[0].reason == DeliveryReason::kBatchLimit);
}

TEST_CASE("the limit counts bytes as well") {
  const ManualClock clock;
  const auto orders = schema("orders");
  GateOptions options;
  options.max_batch_bytes = 50'000;
  TransactionBuffer buffer(clock, {name("orders")}, options);
  std::size_t pushed = 0;
  buffer.set_on_complete([&](const auto& released) { pushed += released.size(); });
  REQUIRE(OneRow(orders, "1", lsn(1), at_second(0), "small").add_to(buffer));
  REQUIRE(OneRow(orders, "2", lsn(2), at_second(0), std::string(60'000, 'x')).add_to(buffer));
  buffer.mark_all(at_second(0), lsn(1));
  CHECK(pushed == 0);
  buffer.mark_all(at_second(0), lsn(2));
  CHECK(pushed == 2);
}

TEST_CASE("the batch limit does not hide that a transaction may be torn") {
  const ManualClock clock;
  const auto orders = schema("orders");
  GateOptions options;
  options.mode = GateMode::kTimed;
  options.max_tx_count = 1;
  TransactionBuffer buffer(clock, {name("orders")}, options);
  REQUIRE(OneRow(orders, "1", lsn(1), at_second(-100), "x").add_to(buffer));
  const auto released = buffer.get_complete_transactions();
  REQUIRE(released.size() == 1);
  CHECK(released[0].reason == DeliveryReason::kPollInterval);
}

TEST_CASE_METHOD(Fixture, "declaring a transaction complete can reach the limit") {
  listen();
  add(1);
  add(2);
  buffer.set_complete("1", lsn(1));
  CHECK(pushed.empty());
  buffer.set_complete("2", lsn(2));
  CHECK(pushed == Texts{"1:x", "2:x"});
  CHECK(whole == std::vector(2, false));
}

TEST_CASE_METHOD(Fixture, "changes without a transaction go out at once, each on its own") {
  listen();
  OneRow one(orders, "", lsn(5), at_second(0), "1");
  OneRow with(orders, "7", lsn(6), at_second(0), "in it");
  OneRow two(orders, "", LSN{}, at_second(0), "2");
  const std::array changes = {one.change(), with.change(), two.change()};
  REQUIRE(buffer.add(orders, changes));
  CHECK(pushed == Texts{":1", ":2"});
  CHECK(whole == std::vector(2, false));
  CHECK(buffer.size() == 1);
  CHECK(buffer.counts().of(DeliveryReason::kCommitTime) == 2);
}

TEST_CASE_METHOD(Fixture,
                 "a change without a transaction is never dropped for want of a listener") {
  CHECK_THROWS_AS(OneRow(orders, "", lsn(5), at_second(0), "1").add_to(buffer), CheckFailure);
}

// With the lock held, the first call back would never return.
TEST_CASE_METHOD(Fixture,
                 "a callback may call the buffer, and what that releases follows in order") {
  std::size_t calls = 0;
  bool within = false;
  buffer.set_on_complete([&](const std::vector<ReleasedTransaction>& released) {
    CHECK_FALSE(within);
    within = true;
    for (const auto& one : released) {
      pushed.push_back(shown(one.transaction));
    }
    if (++calls == 1) {
      add(10);
      add(11);
      mark(11);
      CHECK(buffer.is_empty());
      CHECK(pushed.size() == 2);  // not before this call has returned
    }
    within = false;
  });
  add(1);
  add(2);
  mark(2);
  CHECK(calls == 2);
  CHECK(pushed == Texts{"1:x", "2:x", "10:x", "11:x"});
}

TEST_CASE_METHOD(Fixture, "a callback that throws does not block the buffer") {
  int calls = 0;
  buffer.set_on_complete([&](const auto&) {
    if (++calls == 1) {
      throw std::runtime_error("the listener failed");
    }
  });
  add(1);
  add(2);
  CHECK_THROWS_WITH(mark(2), "the listener failed");
  add(3);
  add(4);
  CHECK_NOTHROW(mark(4));
  CHECK(calls == 2);
}

}  // namespace
}  // namespace headgate::gate_test
