#include "base/bounded_queue.hpp"

#include <memory>
#include <optional>
#include <thread>

#include <catch2/catch.hpp>

namespace {

using headgate::BoundedQueue;
using headgate::SystemClock;
using headgate::TimePoint;
using std::chrono::milliseconds;
using std::chrono::minutes;

bool push(BoundedQueue<int>& queue, int item, std::size_t cost) {
  return queue.try_push(item, cost);
}

TEST_CASE("a queue hands items over in order and adds up their cost") {
  BoundedQueue<int> queue(10, 100);
  CHECK(queue.empty());
  CHECK(push(queue, 1, 30));
  CHECK(push(queue, 2, 40));
  CHECK(queue.size() == 2);
  CHECK(queue.cost() == 70);
  CHECK(queue.try_pop() == 1);
  CHECK(queue.cost() == 40);
  CHECK(queue.try_pop() == 2);
  CHECK(queue.try_pop() == std::nullopt);
  CHECK(queue.cost() == 0);
}

TEST_CASE("a queue is bounded by the number of items and by their cost, both inclusive") {
  BoundedQueue<int> by_count(2, 1000);
  CHECK(push(by_count, 1, 1));
  CHECK(push(by_count, 2, 1));
  CHECK_FALSE(push(by_count, 3, 1));

  BoundedQueue<int> by_cost(10, 100);
  CHECK(push(by_cost, 1, 60));
  CHECK_FALSE(push(by_cost, 2, 41));
  CHECK(push(by_cost, 3, 40));
  CHECK(by_cost.size() == 2);
}

TEST_CASE("an item dearer than the bound gets through an empty queue only") {
  BoundedQueue<int> queue(10, 100);
  CHECK(push(queue, 1, 1));
  CHECK_FALSE(push(queue, 2, 500));
  queue.try_pop();
  CHECK(push(queue, 2, 500));
  CHECK_FALSE(push(queue, 3, 0));
  CHECK(queue.try_pop() == 2);
}

TEST_CASE("a refused item is left untouched") {
  BoundedQueue<std::unique_ptr<int>> queue(1, 100);
  auto first = std::make_unique<int>(1);
  auto second = std::make_unique<int>(2);
  REQUIRE(queue.try_push(first, 1));
  CHECK(first == nullptr);
  REQUIRE_FALSE(queue.try_push(second, 1));
  CHECK(*second == 2);
}

TEST_CASE("a batch takes only what it accepts") {
  BoundedQueue<int> queue(10, 100);
  push(queue, 1, 10);
  push(queue, 2, 50);
  const auto cheap = [](int, std::size_t cost) { return cost <= 20; };
  CHECK(queue.try_pop_if(cheap) == 1);
  CHECK(queue.try_pop_if(cheap) == std::nullopt);
  CHECK(queue.size() == 1);
  CHECK(queue.cost() == 50);
  CHECK(queue.try_pop_if([](int item, std::size_t) { return item == 2; }) == 2);
  CHECK(queue.try_pop_if([](int, std::size_t) { return true; }) == std::nullopt);
}

// A thread looks at its stop token and then waits; a wake between the two must not be lost.
TEST_CASE("a wake that comes before the wait ends it, once for each side") {
  const SystemClock clock;
  BoundedQueue<int> queue(1, 100);
  queue.wake();
  TimePoint far = clock.now() + minutes(5);
  queue.wait_not_empty(far);
  CHECK(clock.now() < far);
  TimePoint near = clock.now() + milliseconds(10);
  queue.wait_not_empty(near);
  CHECK(clock.now() >= near);

  push(queue, 1, 100);
  far = clock.now() + minutes(5);
  queue.wait_not_full(far);
  CHECK(clock.now() < far);
  near = clock.now() + milliseconds(10);
  queue.wait_not_full(near);
  CHECK(clock.now() >= near);
}

// Otherwise the producer would spin: awake for a quarter of room, and refused again.
TEST_CASE("a producer waits until there is room for what was refused") {
  const SystemClock clock;
  BoundedQueue<int> queue(10, 100);
  push(queue, 1, 30);
  push(queue, 2, 30);
  REQUIRE_FALSE(push(queue, 3, 50));
  const TimePoint near = clock.now() + milliseconds(10);
  queue.wait_not_full(near);
  CHECK(clock.now() >= near);

  queue.try_pop();
  const TimePoint far = clock.now() + minutes(5);
  queue.wait_not_full(far);
  CHECK(clock.now() < far);
  CHECK(push(queue, 3, 50));
}

TEST_CASE("a producer waits until a quarter of the places is free, however small the items") {
  const SystemClock clock;
  BoundedQueue<int> queue(8, 1'000'000);
  for (int item = 0; item < 8; ++item) {
    push(queue, item, 1);
  }
  REQUIRE_FALSE(push(queue, 8, 1));
  queue.try_pop();
  const TimePoint near = clock.now() + milliseconds(10);
  queue.wait_not_full(near);
  CHECK(clock.now() >= near);

  queue.try_pop();
  const TimePoint far = clock.now() + minutes(5);
  queue.wait_not_full(far);
  CHECK(clock.now() < far);
}

TEST_CASE("two threads hand everything over in order, within the bound") {
  constexpr int kItems = 20'000;
  constexpr std::size_t kCostMax = 64;
  const SystemClock clock;
  BoundedQueue<int> queue(8, kCostMax);
  // Fails the test long before it would hang for ever.
  const TimePoint deadline = clock.now() + minutes(2);

  std::jthread producer([&] {
    for (int item = 0; item < kItems && clock.now() < deadline;) {
      int copy = item;
      if (queue.try_push(copy, static_cast<std::size_t>(item % 40))) {
        ++item;
      } else {
        queue.wait_not_full(deadline);
      }
    }
  });

  int expected = 0;
  std::size_t dearest = 0;
  bool in_order = true;
  while (expected < kItems && clock.now() < deadline) {
    dearest = std::max(dearest, queue.cost());
    if (const auto item = queue.try_pop()) {
      in_order = in_order && *item == expected;
      ++expected;
    } else {
      queue.wait_not_empty(deadline);
    }
  }
  CHECK(expected == kItems);
  CHECK(in_order);
  CHECK(dearest <= kCostMax);
  CHECK(queue.cost() == 0);
}

TEST_CASE("a wake from another thread ends a wait") {
  const SystemClock clock;
  BoundedQueue<int> queue(1, 1);
  const TimePoint far = clock.now() + minutes(5);
  std::jthread waker([&] { queue.wake(); });
  queue.wait_not_empty(far);
  CHECK(clock.now() < far);
}

}  // namespace
