#include "pipeline/capture_step.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "scripted_capturer.hpp"

namespace headgate::pipeline_test {
namespace {

using Kind = StepOutcome::Kind;
using Ends = std::vector<std::uint64_t>;

const TableSchemaPtr kOrders = schema("orders");

// A CaptureStep over scripted capturers, with two sinks whose queues the test empties by hand.
struct Machine {
  explicit Machine(std::size_t queue_items = 1000) {
    runtime.add(cdc);
    runtime.add(snapshot);
    for (int i = 0; i < 2; ++i) {
      queues.push_back(std::make_unique<DeliveryQueue>(queue_items, std::size_t{1} << 30U));
      sinks.push_back(std::make_unique<SinkProgress>());
    }
    step = std::make_unique<CaptureStep>(
        runtime,
        std::vector<SinkFeed>{{queues[0].get(), sinks[0].get()}, {queues[1].get(), sinks[1].get()}},
        progress, clock, CaptureOptions{}, quiet());
  }
  ~Machine() {
    for (const ScriptedCapturer* capturer : {&cdc, &snapshot}) {
      for (const std::string& rule : capturer->misuse) {
        FAIL_CHECK(rule);
      }
    }
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void durable(std::size_t sink, std::uint64_t end) {
    sinks[sink]->update([&](SinkStatus& status) { status.durable = position(end); });
  }

  // The ends of what waits for a sink, taken out: 0 for a portion without one.
  Ends taken(std::size_t sink, std::size_t at_most = 1000) {
    Ends ends;
    while (ends.size() < at_most) {
      const auto transaction = queues[sink]->try_pop();
      if (!transaction) {
        break;
      }
      ends.push_back((*transaction)->end_position.lsn.to_postgres());
    }
    return ends;
  }

  // Steps until `capturer` reads; back-offs pass on the clock.
  void reopen(const ScriptedCapturer& capturer) {
    for (int i = 0; i < 20 && !capturer.is_open(); ++i) {
      const StepOutcome outcome = step->step();
      if (outcome.kind == Kind::kWaiting) {
        clock.advance_to(outcome.wake_at);
      }
    }
    REQUIRE(capturer.is_open());
  }

  std::optional<ErrorKind> step_error() {
    try {
      step->step();
      return {};
    } catch (const Error& error) {
      return error.kind();
    }
  }

  ManualClock clock;
  StateManager states;
  Runtime runtime{states, quiet()};
  ScriptedCapturer cdc{"cdc", clock};
  ScriptedCapturer snapshot{"snapshot", clock};
  std::vector<std::unique_ptr<DeliveryQueue>> queues;
  std::vector<std::unique_ptr<SinkProgress>> sinks;
  CaptureProgress progress;
  std::unique_ptr<CaptureStep> step;
};

TEST_CASE("what is fetched reaches every sink, in order") {
  Machine machine;
  machine.cdc.reply({whole(110, kOrders), whole(120, kOrders)});
  machine.cdc.reply({whole(130, kOrders, 3)});
  CHECK(machine.step->step().kind == Kind::kWorked);
  CHECK(machine.step->step().kind == Kind::kWorked);
  CHECK(machine.taken(0) == Ends{110, 120, 130});
  CHECK(machine.taken(1) == Ends{110, 120, 130});
}

TEST_CASE("a step with nothing to fetch has waited as long as it may, and no longer") {
  Machine machine;
  const TimePoint before = machine.clock.now();
  CHECK(machine.step->step().kind == Kind::kWaiting);
  CHECK(machine.clock.now() == before + CaptureOptions{}.wait_max);
}

TEST_CASE("status tells what was received") {
  Machine machine;
  CHECK(machine.progress.get().state == "starting");
  machine.cdc.reply({whole(110, kOrders, 2), empty(120)});
  machine.step->step();
  CaptureStatus status = machine.progress.get();
  CHECK(status.state == "cdc");
  CHECK(status.received == position(120));
  CHECK(status.transactions == 1);
  CHECK(status.changes == 2);
  CHECK(status.last_commit_time == WallTime{std::chrono::seconds(110)});
  const auto large = portions(130, kOrders, {2, 2});
  machine.cdc.reply({large[0]});
  machine.step->step();
  CHECK(machine.progress.get().received == position(120));  // half of it is nothing yet
  machine.cdc.reply({large[1]});
  machine.step->step();
  status = machine.progress.get();
  CHECK(status.received == position(130));
  CHECK(status.transactions == 2);
  CHECK(status.changes == 6);
}

TEST_CASE("while one sink's queue is full, nothing is fetched and the source hears from us") {
  Machine machine(2);
  machine.cdc.reply({whole(110, kOrders), whole(120, kOrders), whole(130, kOrders)});
  machine.cdc.reply({whole(140, kOrders)});
  machine.step->step();
  CHECK(machine.step->blocked_queue() == machine.queues[0].get());
  const std::size_t fetches = machine.cdc.fetches;
  for (std::size_t i = 1; i < 4; ++i) {
    const StepOutcome outcome = machine.step->step();
    CHECK(outcome.kind == Kind::kWaiting);
    CHECK(outcome.wake_at == machine.clock.now() + CaptureOptions{}.blocked_wait_max);
    CHECK(machine.cdc.keep_alives == i);
    machine.clock.advance_to(outcome.wake_at);
  }
  CHECK(machine.cdc.fetches == fetches);

  // The other sink has room for one more, but goes on only together with the first.
  CHECK(machine.taken(0, 1) == Ends{110});
  machine.step->step();
  CHECK(machine.step->blocked_queue() == machine.queues[1].get());
  CHECK(machine.cdc.fetches == fetches);
  CHECK(machine.taken(1, 1) == Ends{110});
  machine.step->step();
  CHECK(machine.cdc.fetches == fetches + 1);

  machine.taken(0, 1);
  machine.taken(1, 1);
  machine.step->step();
  CHECK(machine.step->blocked_queue() == nullptr);
  CHECK(machine.taken(0) == Ends{130, 140});
  CHECK(machine.taken(1) == Ends{130, 140});
}

TEST_CASE("what is acknowledged is the oldest durable position of all sinks") {
  Machine machine;
  machine.step->step();
  machine.durable(0, 120);
  machine.step->step();
  CHECK(machine.cdc.acknowledged.empty());  // the other sink has none yet
  machine.durable(1, 110);
  machine.step->step();
  machine.durable(0, 130);
  machine.step->step();
  CHECK(machine.cdc.acknowledged == std::vector{position(110)});
  machine.durable(1, 125);
  machine.step->step();
  CHECK(machine.cdc.acknowledged == std::vector{position(110), position(125)});
  CHECK(machine.progress.get().acknowledged == position(125));
  // A sink that went back is given again what the source still has; that is not told backwards.
  machine.durable(1, 105);
  machine.step->step();
  machine.durable(1, 125);
  machine.step->step();
  CHECK(machine.cdc.acknowledged == std::vector{position(110), position(125)});
}

TEST_CASE("acknowledgements go on while a queue is full") {
  Machine machine(1);
  machine.cdc.reply({whole(110, kOrders), whole(120, kOrders)});
  machine.step->step();
  machine.durable(0, 105);
  machine.durable(1, 105);
  CHECK(machine.step->step().kind == Kind::kWaiting);
  CHECK(machine.cdc.acknowledged == std::vector{position(105)});
}

TEST_CASE("a lost source is opened again after a back-off, behind what was handed over") {
  Machine machine;
  machine.runtime.start_at({position(100), false});
  machine.cdc.reply({whole(110, kOrders)});
  machine.cdc.fail_fetch(ErrorKind::kTransient);
  machine.step->step();
  const StepOutcome lost = machine.step->step();
  REQUIRE(lost.kind == Kind::kWaiting);
  CHECK(lost.wake_at > machine.clock.now());
  CHECK(machine.progress.get().state == "retrying");
  CHECK(machine.progress.get().error == "scripted failure");
  CHECK(machine.cdc.stops == 1);
  CHECK(machine.states.is_idle());
  CHECK(machine.step->step().wake_at == lost.wake_at);
  CHECK(machine.cdc.opened.size() == 1);

  machine.clock.advance_to(lost.wake_at);
  machine.cdc.reply({whole(120, kOrders)});
  machine.step->step();
  REQUIRE(machine.cdc.opened.size() == 2);
  CHECK(machine.cdc.opened[1].resume == position(110));
  CHECK(machine.progress.get().state == "cdc");
  CHECK(machine.progress.get().error.empty());
  CHECK(machine.taken(0) == Ends{110, 120});
}

TEST_CASE("a source that cannot be opened is tried again, ever more rarely") {
  Machine machine;
  for (int i = 0; i < 12; ++i) {
    machine.cdc.fail_open(ErrorKind::kTransient);
  }
  Duration longest{};
  while (!machine.cdc.is_open()) {
    const StepOutcome outcome = machine.step->step();
    if (!machine.cdc.is_open()) {
      longest = std::max(longest, outcome.wake_at - machine.clock.now());
    }
    machine.clock.advance_to(outcome.wake_at);
  }
  CHECK(machine.cdc.opened.size() == 13);
  CHECK(longest > std::chrono::seconds(5));
}

TEST_CASE("a source that can be opened but not read is tried again ever more rarely, too") {
  Machine machine;
  for (int i = 0; i < 12; ++i) {
    machine.cdc.fail_fetch(ErrorKind::kTransient);
  }
  Duration longest{};
  for (int i = 0; i < 12; ++i) {
    const StepOutcome outcome = machine.step->step();
    longest = std::max(longest, outcome.wake_at - machine.clock.now());
    machine.clock.advance_to(outcome.wake_at);
  }
  CHECK(longest > std::chrono::seconds(5));
  machine.step->step();  // nothing came, but the source answered
  machine.cdc.fail_fetch(ErrorKind::kTransient);
  const StepOutcome lost_again = machine.step->step();
  CHECK(lost_again.wake_at - machine.clock.now() <= BackoffOptions{}.first);
}

TEST_CASE("a source that a person must mend stops the step") {
  const ErrorKind kind = GENERATE(ErrorKind::kPositionLost, ErrorKind::kOperator);
  Machine machine;
  SECTION("at open") {
    machine.cdc.fail_open(kind);
    CHECK(machine.step_error() == kind);
  }
  SECTION("at fetch") {
    machine.step->step();
    machine.cdc.fail_fetch(kind);
    CHECK(machine.step_error() == kind);
  }
}

// Found by the simulator: two processes, of which the second read on and confirmed while the first
// was cut off; when the first came back it took the slot for lost and stopped for a person. What a
// session remembers of its reading is not what the sinks hold.
TEST_CASE("a position that is lost on a later attempt calls for asking the sinks again") {
  Machine machine;
  SECTION("behind what was read") {
    machine.cdc.reply({whole(110, kOrders)});
    machine.step->step();
    machine.cdc.fail_fetch(ErrorKind::kTransient);
    machine.clock.advance_to(machine.step->step().wake_at);
  }
  SECTION("behind where the first attempt was to begin") {
    machine.cdc.fail_open(ErrorKind::kTransient);
    machine.clock.advance_to(machine.step->step().wake_at);
  }
  machine.cdc.fail_open(ErrorKind::kPositionLost);
  try {
    machine.step->step();
    FAIL("it goes on");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kReread);
  }
}

TEST_CASE("a source lost within a large transaction calls for reading again") {
  Machine machine;
  machine.runtime.start_at({position(100), false});
  const auto large = portions(120, kOrders, {1, 1, 1});
  machine.cdc.reply({whole(110, kOrders), large[0]});
  machine.cdc.reply({large[1]});
  machine.cdc.fail_fetch(ErrorKind::kTransient);
  machine.step->step();
  machine.step->step();
  CHECK(machine.step_error() == ErrorKind::kReread);
}

TEST_CASE("a source lost just after a large transaction is only opened again") {
  Machine machine;
  machine.cdc.reply(portions(120, kOrders, {1, 1, 1}));
  machine.cdc.fail_fetch(ErrorKind::kTransient);
  machine.step->step();
  CHECK_FALSE(machine.step_error().has_value());
  machine.reopen(machine.cdc);
  CHECK(machine.cdc.opened.back().resume == position(120));
}

TEST_CASE("what was fetched and not yet delivered survives a lost source, once and in order") {
  Machine machine(1);
  machine.runtime.start_at({position(100), false});
  machine.cdc.reply({whole(110, kOrders), whole(120, kOrders), whole(130, kOrders)});
  machine.cdc.fail_keep_alive(ErrorKind::kTransient);
  machine.step->step();
  const StepOutcome lost = machine.step->step();
  REQUIRE(machine.progress.get().state == "retrying");

  // Otherwise a thread that waits for room in it would wait for what is there already.
  CHECK(machine.step->blocked_queue() == nullptr);

  machine.clock.advance_to(lost.wake_at);
  Ends first;
  Ends second;
  machine.cdc.reply({whole(140, kOrders)});
  for (int i = 0; i < 20; ++i) {
    machine.step->step();
    for (const std::uint64_t end : machine.taken(0)) {
      first.push_back(end);
    }
    for (const std::uint64_t end : machine.taken(1)) {
      second.push_back(end);
    }
  }
  CHECK(machine.cdc.opened.back().resume == position(130));
  CHECK(first == Ends{110, 120, 130, 140});
  CHECK(second == Ends{110, 120, 130, 140});
}

TEST_CASE("after a copy for a new sink, both sinks are given what each needs") {
  Machine machine;
  machine.runtime.start_at({position(60), true});
  machine.snapshot.reply({copy_of(100, kOrders, {1, 1})[0]});
  machine.snapshot.reply({copy_of(100, kOrders, {1, 1})[1]}, "cdc");
  machine.step->step();
  CHECK(machine.progress.get().state == "snapshot");
  machine.step->step();
  machine.cdc.reply({whole(70, kOrders), whole(110, kOrders)});
  machine.step->step();
  machine.step->step();
  CHECK(machine.progress.get().state == "cdc");
  CHECK(machine.cdc.opened.at(0).resume == position(60));
  CHECK(machine.taken(0) == Ends{100, 100, 70, 110});
}

TEST_CASE("a copy is delivered although the source is lost right after it") {
  Machine machine;
  machine.runtime.start_at({{}, true});
  machine.snapshot.reply(copy_of(100, kOrders, {2}), "cdc");
  machine.cdc.fail_open(ErrorKind::kTransient);
  machine.reopen(machine.cdc);
  CHECK(machine.taken(0) == Ends{100});
  CHECK(machine.taken(1) == Ends{100});
  CHECK(machine.cdc.opened.back().resume == position(100));
}

TEST_CASE("a copy that was lost half-way calls for beginning again") {
  Machine machine;
  machine.runtime.start_at({{}, true});
  machine.snapshot.reply({copy_of(100, kOrders, {1, 1})[0]});
  machine.snapshot.fail_fetch(ErrorKind::kTransient);
  machine.step->step();
  CHECK(machine.step_error() == ErrorKind::kReread);
}

TEST_CASE("a finished step has sent the last acknowledgement and closed the source") {
  Machine machine;
  machine.step->step();
  machine.durable(0, 110);
  machine.durable(1, 110);
  machine.step->finish();
  CHECK(machine.cdc.acknowledged == std::vector{position(110)});
  CHECK_FALSE(machine.cdc.is_open());
  CHECK(machine.progress.get().state == "stopped");
  CHECK(machine.states.is_idle());
}

TEST_CASE("a source that is gone at the end is no failure") {
  Machine machine;
  machine.step->step();
  machine.durable(0, 110);
  machine.durable(1, 110);
  machine.cdc.fail_acknowledge(ErrorKind::kTransient);
  machine.step->finish();
  CHECK_FALSE(machine.cdc.is_open());
  CHECK(machine.progress.get().state == "stopped");
}

}  // namespace
}  // namespace headgate::pipeline_test
