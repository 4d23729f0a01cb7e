// Every call to the sink fails once, in every way: whatever happens, each row arrives exactly once.

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "apply_fixture.hpp"
#include "pipeline/apply_step.hpp"

namespace headgate::pipeline_test {
namespace {

using Fault = FakeSink::Fault;

const TableSchemaPtr kOrders = schema("orders");
const TableSchemaPtr kItems = schema("items");

// One of each kind of transaction, in commit order.
std::vector<std::vector<TransactionPtr>> workload() {
  return {copy_of(100, kOrders, {2, 1, 2}),  {whole(110, kOrders)}, {whole(120, kItems, 2)},
          portions(130, kOrders, {1, 2, 1}), {empty(140)},          {whole(150, kItems)},
          portions(160, kItems, {2, 0}),     {whole(170, kOrders)}};
}

std::vector<std::string> expected_rows() {
  return ids(100, 5) + ids(110) + ids(120, 2) + ids(130, 4) + ids(150) + ids(160, 2) + ids(170);
}

struct Arrival {
  bool all_at_once;
  std::size_t batch_transactions_max;
};

// Feeds the workload through, beginning again from the source as often as the step asks for it.
// Returns the number of calls that the sink has seen.
std::size_t run(Arrival arrival, bool durable_commits, std::size_t first, std::size_t second,
                Fault fault) {
  ApplyOptions options;
  options.batch_transactions_max = arrival.batch_transactions_max;
  Lane lane(options);
  lane.sink.durable_commits = durable_commits;
  lane.sink.strike(first, fault);
  lane.sink.strike(second, fault);
  for (int attempt = 0; attempt < 5; ++attempt) {
    try {
      for (const auto& transactions : workload()) {
        lane.push(transactions);
        if (!arrival.all_at_once) {
          lane.run_until_idle();
        }
      }
      lane.run_until_idle();
      lane.clock.advance(std::chrono::seconds(1));
      lane.run_until_idle();
      CHECK(lane.sink.rows() == expected_rows());
      CHECK(lane.sink.durable() == position(170));
      CHECK(lane.status().durable == position(170));
      return lane.sink.calls.size();
    } catch (const Error& error) {
      REQUIRE(error.kind() == ErrorKind::kReread);
      lane.restart();
    }
  }
  FAIL("the pipeline begins again and again");
  return 0;
}

TEST_CASE("whichever call to the sink fails, and however, every row is applied exactly once") {
  const Fault fault = GENERATE(Fault::kConnectionLost, Fault::kReplyLostDone,
                               Fault::kReplyLostNotDone, Fault::kPowerCut);
  const bool durable_commits = GENERATE(true, false);
  const Arrival arrival = GENERATE(Arrival{true, 1000}, Arrival{true, 2}, Arrival{false, 1000});
  CAPTURE(static_cast<int>(fault), durable_commits, arrival.all_at_once,
          arrival.batch_transactions_max);
  // A second fault follows soon after the first: what mends the first is struck as well.
  for (const std::size_t gap : {std::size_t{0}, std::size_t{1}, std::size_t{2}, std::size_t{5}}) {
    std::size_t struck = 0;
    std::size_t calls = 1;
    while (struck < calls) {
      CAPTURE(struck, gap);
      calls = run(arrival, durable_commits, struck, struck + gap, fault);
      ++struck;
    }
    CHECK(struck > 20);  // the sweep has met more than a call or two
  }
}

}  // namespace
}  // namespace headgate::pipeline_test
