#include "pipeline/runtime.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/check.hpp"
#include "pipeline/copy_control.hpp"
#include "scripted_capturer.hpp"

namespace headgate::pipeline_test {
namespace {

const TableSchemaPtr kOrders = schema("orders");

struct Machine {
  Machine() {
    runtime.add(cdc);
    runtime.add(snapshot);
    runtime.add(replay);
  }
  ~Machine() {
    for (const ScriptedCapturer* capturer : {&cdc, &snapshot, &replay}) {
      for (const std::string& rule : capturer->misuse) {
        FAIL_CHECK(rule);
      }
    }
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  CaptureResult fetch() { return runtime.fetch({}, clock.now() + std::chrono::milliseconds(100)); }

  std::optional<ErrorKind> open_error() {
    try {
      runtime.open();
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
  ScriptedCapturer replay{"replay", clock};
};

TEST_CASE("reading begins with cdc behind the oldest position when every sink has one") {
  Machine machine;
  machine.runtime.start_at({position(100), false});
  CHECK(machine.runtime.current() == "");
  machine.runtime.open();
  CHECK(machine.runtime.current() == "cdc");
  CHECK(machine.states.current() == RunState::kPolling);
  REQUIRE(machine.cdc.opened.size() == 1);
  CHECK(machine.cdc.opened[0].resume == position(100));
  CHECK(machine.snapshot.opened.empty());
}

TEST_CASE("reading begins with the snapshot while some sink needs a copy") {
  Machine machine;
  machine.runtime.start_at({{}, true});
  machine.runtime.open();
  CHECK(machine.runtime.current() == "snapshot");
  CHECK(machine.states.current() == RunState::kSnapshot);
}

TEST_CASE("after the copy, cdc goes on behind it") {
  Machine machine;
  machine.runtime.start_at({{}, true});
  machine.runtime.open();
  machine.snapshot.reply(copy_of(100, kOrders, {2}), "cdc");
  CHECK(machine.fetch().transactions.size() == 1);
  CHECK(machine.fetch().transactions.empty());
  CHECK(machine.runtime.current() == "cdc");
  CHECK(machine.states.current() == RunState::kPolling);
  CHECK(machine.snapshot.stops == 1);
  REQUIRE(machine.cdc.opened.size() == 1);
  CHECK(machine.cdc.opened[0].resume == position(100));
  CHECK_FALSE(machine.cdc.opened[0].copy_needed);
}

TEST_CASE("after a copy for a new sink, cdc goes on where the older sinks stand") {
  Machine machine;
  machine.runtime.start_at({position(60), true});
  machine.runtime.open();
  machine.snapshot.reply({copy_of(100, kOrders, {1, 1})[0]});
  machine.snapshot.reply({copy_of(100, kOrders, {1, 1})[1]}, "cdc");
  machine.fetch();
  machine.fetch();
  machine.fetch();
  REQUIRE(machine.cdc.opened.size() == 1);
  CHECK(machine.cdc.opened[0].resume == position(60));
}

// Whatever was fetched counts as handed over: a failure to open the next capturer may not take it
// along.
TEST_CASE("what was fetched arrives although the next capturer cannot be opened") {
  Machine machine;
  machine.runtime.start_at({{}, true});
  machine.runtime.open();
  machine.snapshot.reply(copy_of(100, kOrders, {2}), "cdc");
  machine.cdc.fail_open(ErrorKind::kTransient);
  std::size_t arrived = 0;
  for (int attempt = 0; attempt < 3 && !machine.cdc.is_open(); ++attempt) {
    try {
      if (machine.runtime.current().empty()) {
        machine.runtime.open();
      }
      arrived += machine.fetch().transactions.size();
    } catch (const Error&) {
      machine.runtime.stop();
    }
  }
  CHECK(machine.runtime.current() == "cdc");
  CHECK(arrived == 1);
  CHECK(machine.cdc.opened.back().resume == position(100));
}

// Found by the simulator: a standby was promoted between the copy and the stream behind it.
TEST_CASE("a position that is lost at the hand-over calls for asking the sinks again") {
  Machine machine;
  machine.runtime.start_at({{}, true});
  machine.runtime.open();
  machine.snapshot.reply(copy_of(100, kOrders, {2}), "cdc");
  machine.fetch();
  machine.cdc.fail_open(ErrorKind::kPositionLost);
  try {
    machine.fetch();
    FAIL("it goes on");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kReread);
  }
}

TEST_CASE("a lost source is opened again behind the last whole transaction") {
  Machine machine;
  machine.runtime.start_at({position(100), false});
  machine.runtime.open();
  machine.cdc.reply({whole(110, kOrders), empty(115), portions(120, kOrders, {1, 1})[0]});
  machine.fetch();
  machine.runtime.stop();
  machine.runtime.open();
  REQUIRE(machine.cdc.opened.size() == 2);
  CHECK(machine.cdc.opened[1].resume == position(115));
}

TEST_CASE("a copy that was not finished begins again") {
  Machine machine;
  machine.runtime.start_at({{}, true});
  machine.runtime.open();
  machine.snapshot.reply({copy_of(100, kOrders, {1, 1})[0]});
  machine.fetch();
  machine.runtime.stop();
  machine.runtime.open();
  CHECK(machine.runtime.current() == "snapshot");
  REQUIRE(machine.snapshot.opened.size() == 2);
  CHECK(machine.snapshot.opened[1].copy_needed);
  CHECK(machine.snapshot.opened[1].resume.empty());
}

TEST_CASE("a capturer that could not be opened can be tried again") {
  const bool copy_needed = GENERATE(true, false);
  CAPTURE(copy_needed);
  Machine machine;
  machine.runtime.start_at({{}, copy_needed});
  ScriptedCapturer& capturer = copy_needed ? machine.snapshot : machine.cdc;
  capturer.fail_open(ErrorKind::kTransient);
  CHECK(machine.open_error() == ErrorKind::kTransient);
  CHECK(machine.runtime.current() == "");
  CHECK(machine.states.is_idle());
  CHECK_FALSE(machine.open_error().has_value());
  CHECK(machine.runtime.current() == capturer.name());
}

TEST_CASE("a capturer that names itself as the next one goes on") {
  Machine machine;
  machine.runtime.start_at({position(100), false});
  machine.runtime.open();
  machine.cdc.reply({whole(110, kOrders)}, "cdc");
  machine.fetch();
  machine.fetch();
  CHECK(machine.cdc.opened.size() == 1);
  CHECK(machine.cdc.stops == 0);
}

TEST_CASE("tables that have come to the source are copied, behind a whole transaction") {
  Machine machine;
  machine.runtime.start_at({position(100), false});
  machine.runtime.open();
  const auto large = portions(120, kOrders, {1, 1});
  machine.cdc.reply({whole(110, kOrders), large[0]}, CopyRequest{{{"shop", "new"}}, true});
  CHECK(machine.fetch().transactions.size() == 2);
  CHECK(machine.runtime.current() == "cdc");
  machine.cdc.reply({large[1]});
  machine.fetch();
  CHECK(machine.runtime.current() == "cdc");  // the transaction came to its end with this
  CHECK(machine.fetch().transactions.empty());
  CHECK(machine.runtime.current() == "snapshot");
  REQUIRE(machine.snapshot.opened.size() == 1);
  CHECK(machine.snapshot.opened[0].resume == position(120));
  REQUIRE(machine.snapshot.opened[0].requested);
  CHECK(machine.snapshot.opened[0].requested->tables == std::vector<TableName>{{"shop", "new"}});
  CHECK(machine.snapshot.opened[0].requested->missing_only);
}

// What a sink would learn of a copy that begins.
TransactionPtr copy_begins(std::uint64_t at) {
  auto begun = std::make_shared<Transaction>("copy", position(at).lsn, WallTime{});
  begun->purpose = Purpose::kCopyBegin;
  begun->end_position = position(at);
  return begun;
}

TEST_CASE("a copy that was asked for begins, once, whatever becomes of the first attempt") {
  StateManager states;
  CopyControl control{states};
  std::vector<TableName> asked{kOrders->name};
  {
    Machine first;
    first.runtime.listen_to(control);
    first.runtime.start_at({position(100), false});
    first.runtime.open();
    REQUIRE(control.start({asked}).empty());
    first.snapshot.fail_open(GENERATE(ErrorKind::kReread, ErrorKind::kPositionLost));
    const ErrorKind kind = [&] {
      try {
        first.fetch();
      } catch (const Error& error) {
        return error.kind();
      }
      return ErrorKind::kOperator;
    }();
    CHECK(kind == ErrorKind::kReread);  // a person is asked only when the sinks cannot tell
    CHECK_FALSE(control.start({asked}).empty());
  }
  Machine second;
  second.runtime.listen_to(control);
  second.runtime.start_at({position(100), false});
  second.runtime.open();
  second.snapshot.reply({copy_begins(100)});
  second.fetch();
  REQUIRE(second.snapshot.opened.size() == 1);
  REQUIRE(second.snapshot.opened[0].requested);
  CHECK(second.snapshot.opened[0].requested->tables == asked);
  second.snapshot.reply({}, "cdc");
  second.fetch();
  second.fetch();
  second.fetch();
  CHECK(second.runtime.current() == "cdc");
  CHECK(second.snapshot.opened.size() == 1);
}

TEST_CASE("what is told of the progress is what the capturer says now") {
  Machine machine;
  machine.runtime.start_at({position(100), false});
  machine.runtime.open();
  machine.cdc.told = {{"paused", "yes"}, {"rows", "1"}};
  machine.fetch();
  machine.cdc.told = {{"rows", "2"}};
  machine.fetch();
  CHECK(machine.states.metadata() == std::map<std::string, std::string>{{"rows", "2"}});
}

TEST_CASE("a copy that was asked for and not begun can be cancelled") {
  StateManager states;
  CopyControl control{states};
  REQUIRE(control.start({{kOrders->name}}).empty());
  const bool taken = GENERATE(true, false);
  if (taken) {
    CHECK(control.request().has_value());
  }
  CHECK(control.cancel().empty());
  CHECK_FALSE(control.request().has_value());
  CHECK(control.take_cancel() == taken);  // whoever took it has to know
  CHECK_FALSE(control.take_cancel());
}

TEST_CASE("a switch stops what reads and opens the other where that one stood") {
  Machine machine;
  machine.runtime.start_at({position(100), false});
  machine.runtime.open();
  machine.cdc.reply({whole(110, kOrders)});
  machine.fetch();
  machine.runtime.switch_to("replay");
  CHECK(machine.runtime.current() == "replay");
  CHECK(machine.states.current() == RunState::kReplay);
  CHECK_FALSE(machine.cdc.is_open());
  CHECK(machine.replay.opened.at(0).resume == position(110));
}

TEST_CASE("a switch to a name that nobody has changes nothing") {
  Machine machine;
  machine.runtime.start_at({position(100), false});
  machine.runtime.open();
  try {
    machine.runtime.switch_to("copy");
    FAIL("it was accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kOperator);
    CHECK(std::string(error.what()).find("copy") != std::string::npos);
  }
  CHECK(machine.runtime.current() == "cdc");
  CHECK(machine.cdc.is_open());
}

TEST_CASE("keep-alives go to the capturer that reads, acknowledgements to the next one as well") {
  Machine machine;
  machine.runtime.acknowledge(position(90));
  machine.runtime.keep_alive();
  machine.runtime.start_at({position(100), false});
  machine.runtime.open();
  machine.runtime.acknowledge(position(100));
  machine.runtime.keep_alive();
  // What nobody was there to hear is told to the capturer that comes.
  CHECK(machine.cdc.acknowledged == std::vector<Position>{position(90), position(100)});
  CHECK(machine.cdc.keep_alives == 1);
  CHECK(machine.snapshot.keep_alives == 0);
}

TEST_CASE("a stopped runtime is idle and can be stopped again") {
  Machine machine;
  machine.runtime.start_at({position(100), false});
  machine.runtime.open();
  machine.runtime.stop();
  machine.runtime.stop();
  CHECK(machine.runtime.current() == "");
  CHECK(machine.states.is_idle());
  CHECK(machine.cdc.stops == 1);
}

TEST_CASE("fetching from nothing is a bug of ours") {
  Machine machine;
  CHECK_THROWS_AS(machine.fetch(), CheckFailure);
}

}  // namespace
}  // namespace headgate::pipeline_test
