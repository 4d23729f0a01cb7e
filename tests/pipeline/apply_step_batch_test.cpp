// How much ApplyStep puts into one sink transaction.

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "apply_fixture.hpp"
#include "pipeline/apply_step.hpp"

namespace headgate::pipeline_test {
namespace {

using Sizes = std::vector<std::size_t>;

const TableSchemaPtr kOrders = schema("orders");

TEST_CASE("a transaction that waits alone is a batch") {
  Lane lane;
  lane.sink.start_at(position(100));
  for (const std::uint64_t end : {110U, 120U, 130U}) {
    lane.push(whole(end, kOrders));
    lane.run_until_idle();
  }
  CHECK(lane.sink.commit_sizes() == Sizes{1, 1, 1});
}

TEST_CASE("transactions that wait together are one batch") {
  Lane lane;
  lane.sink.start_at(position(100));
  for (const std::uint64_t end : {110U, 120U, 130U}) {
    lane.push(whole(end, kOrders, 2));
  }
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{6});
  CHECK(lane.sink.current() == position(130));
  CHECK(lane.status().batches == 1);
}

TEST_CASE("a batch holds at most so many transactions") {
  ApplyOptions options;
  options.batch_transactions_max = 2;
  Lane lane(options);
  lane.sink.start_at(position(100));
  for (const std::uint64_t end : {110U, 120U, 130U, 140U, 150U}) {
    lane.push(whole(end, kOrders));
  }
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{2, 2, 1});
}

TEST_CASE("a batch holds no more transactions than the sink wants") {
  Lane lane;
  lane.sink.transactions_wanted = 3;
  lane.sink.start_at(position(100));
  for (const std::uint64_t end : {110U, 120U, 130U, 140U}) {
    lane.push(whole(end, kOrders));
  }
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{3, 1});
}

TEST_CASE("a batch holds at most so many bytes, and one larger transaction alone") {
  const std::size_t small = whole(110, kOrders)->memory_bytes();
  const TransactionPtr large = whole(140, kOrders, 200);
  ApplyOptions options;
  options.batch_bytes_max = 2 * small + small / 2;
  REQUIRE(large->memory_bytes() > options.batch_bytes_max);
  Lane lane(options);
  lane.sink.start_at(position(100));
  lane.push({whole(110, kOrders), whole(120, kOrders), whole(130, kOrders), large,
             whole(150, kOrders), whole(160, kOrders)});
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{2, 1, 200, 2});
}

TEST_CASE("skipped transactions take no room in a batch") {
  ApplyOptions options;
  options.batch_transactions_max = 2;
  Lane lane(options);
  lane.sink.start_at(position(130));
  for (const std::uint64_t end : {110U, 120U, 130U, 140U, 150U}) {
    lane.push(whole(end, kOrders));
  }
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{2});
}

TEST_CASE("a copy shares its sink transaction with no change") {
  Lane lane;
  lane.push(copy_of(100, kOrders, {3}));
  lane.push(whole(110, kOrders));
  lane.push(whole(120, kOrders));
  lane.run_until_idle();
  CHECK(lane.sink.commit_sizes() == Sizes{3, 2});
}

// A seeded mix of whole and large transactions under tight bounds, arriving in bursts.
TEST_CASE("no bound ever splits or reorders a transaction") {
  const std::uint32_t seed = GENERATE(range(0U, 60U));
  CAPTURE(seed);
  std::mt19937 random(seed);
  const auto below = [&](std::uint32_t bound) { return random() % bound; };
  ApplyOptions options;
  options.batch_transactions_max = 1 + below(4);
  options.batch_bytes_max = 1 + below(6000);
  Lane lane(options);
  lane.sink.start_at(position(100));

  std::vector<std::string> expected;
  for (std::uint64_t end = 110; end < 400; end += 10) {
    std::vector<std::size_t> sizes(1 + (below(4) == 0 ? below(4) : 0));
    std::size_t total = 0;
    for (std::size_t& size : sizes) {
      size = 1 + below(20);
      total += size;
    }
    lane.push(sizes.size() == 1 ? std::vector{whole(end, kOrders, total)}
                                : portions(end, kOrders, sizes));
    expected = std::move(expected) + ids(end, total);
    if (below(3) == 0) {
      lane.run_until_idle();
    }
  }
  lane.run_until_idle();

  CHECK(lane.sink.rows() == expected);
  for (std::size_t i = 0; i + 1 < lane.sink.commits().size(); ++i) {
    const std::string last = lane.sink.commits()[i].rows.back();
    const std::string next = lane.sink.commits()[i + 1].rows.front();
    CHECK(last.substr(0, last.find('.')) != next.substr(0, next.find('.')));
  }
}

}  // namespace
}  // namespace headgate::pipeline_test
