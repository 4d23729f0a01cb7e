// The servers on both sides crash or restart while the daemon runs: it waits, returns, and
// converges.

#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/order_schema.hpp"
#include "demo/order_workload.hpp"
#include "demo/pg_session.hpp"
#include "support/invariant_reader.hpp"
#include "support/mirror_setup.hpp"
#include "support/random_seed.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

// Each round one disturbance, at a moment that depends on the load; the same process must see all
// through.
TEST_CASE("crashes and restarts of source and sink are survived without a restart of ours") {
  const std::uint64_t seed = random_seed("server_crash");
  INFO("HEADGATE_SEED=" << seed);
  std::mt19937_64 random(seed);

  MirrorSetup setup({"shop.*"});
  OrderWorkload workload(
      {.conninfo = setup.source().conninfo(), .transactions_per_second = 300, .seed = random()});
  workload.create_schema();
  setup.daemon().start();
  setup.daemon().wait_ready();
  const auto pid = setup.daemon().pid();
  workload.start();
  InvariantReader on_server(
      postgres_invariant(setup.sink().conninfo(), order_invariant_postgres()));
  InvariantReader on_file(sqlite_invariant(setup.sqlite_path(), order_invariant_sqlite()));

  using StopMode = ThrowawayCluster::StopMode;
  const std::vector<std::pair<std::string, std::function<void()>>> disturbances{
      {"source killed", [&] { setup.source().kill9(); }},
      {"sink killed", [&] { setup.sink().kill9(); }},
      {"both killed",
       [&] {
         setup.sink().kill9();
         setup.source().kill9();
       }},
      {"source restarted", [&] { setup.source().stop(StopMode::kFast); }},
      {"sink restarted", [&] { setup.sink().stop(StopMode::kFast); }},
      {"sink restarted at once", [&] { setup.sink().stop(StopMode::kImmediate); }},
      {"source killed again", [&] { setup.source().kill9(); }},
      {"sink killed again", [&] { setup.sink().kill9(); }},
  };
  const auto run_for = [&](std::uint64_t transactions) {
    const auto until = workload.counters().committed + transactions;
    wait_until("the load to go on", 120s, [&] { return workload.counters().committed >= until; });
  };
  for (const auto& [name, disturb] : disturbances) {
    INFO(name);
    run_for(std::uniform_int_distribution<std::uint64_t>(50, 600)(random));
    disturb();
    setup.source().start();
    setup.sink().start();
    INFO(setup.daemon().log_end());
    REQUIRE(setup.daemon().running());
    // Every second one strikes a daemon that has not recovered from the one before.
    if (random() % 2 == 0) {
      setup.catch_up(90s);
    }
  }
  run_for(200);
  workload.stop();
  setup.catch_up(120s);
  on_server.stop();
  on_file.stop();
  CHECK(on_server.violations() == "");
  CHECK(on_file.violations() == "");
  CHECK(on_server.rounds() > 20);
  CHECK(on_file.rounds() > 20);
  CHECK(setup.differences(order_tables()) == "");
  CHECK(setup.daemon().pid() == pid);
  CHECK(setup.daemon().terminate().ok());
}
