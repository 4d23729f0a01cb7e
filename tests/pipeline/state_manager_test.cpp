#include "pipeline/state_manager.hpp"

#include <map>
#include <string>

#include <catch2/catch.hpp>

namespace {

using headgate::RunState;
using headgate::StateManager;

bool is_exclusive(RunState state) {
  return state == RunState::kSnapshot || state == RunState::kReplay;
}

TEST_CASE("a pipeline begins idle") {
  const StateManager manager;
  CHECK(manager.is_idle());
  CHECK(manager.current() == RunState::kIdle);
  CHECK(manager.metadata().empty());
}

TEST_CASE("every state can follow every other, but snapshot and replay exclude each other") {
  const auto from =
      GENERATE(RunState::kIdle, RunState::kPolling, RunState::kSnapshot, RunState::kReplay);
  const auto to =
      GENERATE(RunState::kIdle, RunState::kPolling, RunState::kSnapshot, RunState::kReplay);
  CAPTURE(to_string(from), to_string(to));
  StateManager manager;
  REQUIRE(manager.set(from));
  const bool allowed = !(is_exclusive(from) && is_exclusive(to));
  CHECK(manager.can_start(to) == allowed);
  CHECK(manager.current() == from);  // asking changes nothing
  CHECK(manager.set(to) == allowed);
  CHECK(manager.current() == (allowed ? to : from));
  CHECK(manager.is_idle() == (manager.current() == RunState::kIdle));
}

TEST_CASE("progress belongs to one run of a state and is gone at the next transition") {
  StateManager manager;
  REQUIRE(manager.set(RunState::kSnapshot));
  manager.set_metadata({{"rows", "1"}, {"paused", "yes"}});
  manager.set_metadata({{"rows", "2"}, {"table", "shop.orders"}});
  CHECK(manager.metadata() ==
        std::map<std::string, std::string>{{"rows", "2"}, {"table", "shop.orders"}});
  CHECK_FALSE(manager.set(RunState::kReplay));
  CHECK(manager.metadata().size() == 2);  // a refused transition is none
  REQUIRE(manager.set(RunState::kPolling));
  CHECK(manager.metadata().empty());
  manager.set_metadata({{"lag", "0"}});
  REQUIRE(manager.set(RunState::kPolling));  // the same state again is a transition too
  CHECK(manager.metadata().empty());
}

TEST_CASE("run states have the names that status shows") {
  CHECK(to_string(RunState::kIdle) == "idle");
  CHECK(to_string(RunState::kPolling) == "polling");
  CHECK(to_string(RunState::kSnapshot) == "snapshot");
  CHECK(to_string(RunState::kReplay) == "replay");
}

}  // namespace
