// The daemon is killed again and again while two applications write; nothing may be lost, applied
// twice, torn or reordered, at the end or at any moment on the way.

#include <cstdint>
#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "support/application_load.hpp"
#include "support/mirror_setup.hpp"
#include "support/random_seed.hpp"

using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr int kRounds = 30;         // more with HEADGATE_KILL_ROUNDS
constexpr int kRoundsInBatch = 10;  // between two full comparisons
constexpr int kRoundsInCopy = 3;    // at first, killed soon: while the first copy is made

void check_equal(MirrorSetup& setup) {
  setup.catch_up(120s);
  CHECK(load_differences(setup) == "");
}

}  // namespace

TEST_CASE("a daemon that is killed at any moment loses, repeats, tears and reorders nothing") {
  const std::uint64_t seed = random_seed("kill_rounds");
  const auto rounds = static_cast<int>(number_from_environment("HEADGATE_KILL_ROUNDS", kRounds));
  INFO("HEADGATE_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto between = [&](std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random);
  };

  MirrorSetup setup(ApplicationLoad::patterns());
  ApplicationLoad load(setup.source().conninfo(), setup.folder().path("pgbench.log"), seed);
  load.start();
  int round = 0;
  for (; round < kRoundsInCopy; ++round) {
    setup.daemon().start();
    load.run_for(between(5, 150));
    REQUIRE(setup.daemon().running());
    setup.daemon().kill9();
  }
  setup.daemon().start();
  setup.daemon().wait_ready(120s);

  // The first copy is visible table by table at most until now; from here on every state must be
  // one that the source had.
  MirrorReaders readers(setup.sink().conninfo(), setup.sqlite_path());
  for (; round < rounds; ++round) {
    INFO("round " << round);
    load.run_for(between(5, 700));
    REQUIRE(setup.daemon().running());  // it may only end because we kill it
    setup.daemon().kill9();
    setup.daemon().start();
    if ((round + 1) % kRoundsInBatch == 0) {
      setup.daemon().wait_ready(120s);
      load.stop();
      check_equal(setup);
      load.start();
    }
    REQUIRE(readers.violations() == "");
  }
  setup.daemon().wait_ready(120s);
  load.stop();
  check_equal(setup);
  std::string last_error;
  const std::uint64_t answers = readers.finish(last_error);
  INFO(last_error);
  CHECK(answers > 50);  // none was blind
  CHECK(readers.violations() == "");
  CHECK(setup.daemon().terminate().ok());
}
