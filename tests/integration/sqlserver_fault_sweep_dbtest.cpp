// Every request that a daemon makes to a SQL Server, from its first to the ones of its daily round,
// fails once in every way, while changes are captured as late as they like: the whole daemon, into
// SQLite and a real PostgreSQL, killed before each fault, with readers that look at both all the
// while.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "support/mirrored_bank.hpp"
#include "support/random_seed.hpp"
#include "support/sqlserver_database.hpp"

using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

class Sweep {
 public:
  Sweep(std::uint64_t seed, const std::vector<std::string>& source_keys)
      : random_(seed), mirrored_({.seed = seed, .source_keys = source_keys}) {
    mirrored_.server().set_capture(
        CaptureMode::kAutomatic, [lags = std::make_shared<std::mt19937_64>(seed)] {
          return std::chrono::milliseconds((*lags)() % 3 == 0 ? (*lags)() % 30 : 0);
        });
  }

  // How many requests a process makes until it has everything, and for one round more.
  unsigned count_requests() {
    mirrored_.daemon().kill9();
    mirrored_.server().forget_statements();
    mirrored_.daemon().start();
    mirrored_.bank().transfer(3);
    mirrored_.wait_equal();
    unsigned count = 0;
    for (const auto& statement : mirrored_.server().statements()) {
      count += statement.application == "headgate" ? 1U : 0U;
    }
    return count + kRound;
  }

  void strike(unsigned request, const FaultWay& way) {
    INFO("request " << request << ", " << way.name);
    sqlserver::Fault fault = fault_of(way, random_() % 3);
    fault.application = "headgate";
    fault.skip = request;
    Daemon& daemon = mirrored_.daemon();
    daemon.kill9();
    mirrored_.faults().clear();
    const auto id = mirrored_.faults().add(fault);
    daemon.start();
    mirrored_.bank().transfer(2);
    mirrored_.wait_struck(id, 1);
    mirrored_.bank().transfer();
    if (random_() % 8 == 0) {  // before it has recovered
      daemon.kill9();
      daemon.start();
    }
    mirrored_.wait_equal();
    REQUIRE(daemon.running());  // none of this is a reason to stop
  }

  void shuffle(std::vector<FaultWay>& ways) { std::shuffle(ways.begin(), ways.end(), random_); }

  void finish() {
    mirrored_.daemon().wait_ready();
    mirrored_.finish(20);
    CHECK(mirrored_.daemon().terminate().ok());
  }

 private:
  static constexpr unsigned kRound = 12;

  std::mt19937_64 random_;
  MirroredBank mirrored_;
};

}  // namespace

// Each request in one way, chosen by chance, and one way of reading; in full, each in each.
TEST_CASE("whichever request fails, nothing is lost, applied twice or seen in part") {
  if (!needs_the_double("fails when it is told to")) {
    return;
  }
  const std::uint64_t seed = random_seed("sqlserver_fault_sweep");
  INFO("HEADGATE_SEED=" << seed);
  const bool full = number_from_environment("HEADGATE_TEST_FULL", 0) != 0;
  const std::vector<std::vector<std::string>> readings = {
      {}, {"readers: 3"}, {"query_mode: functions"}};
  for (std::size_t i = 0; i < readings.size(); ++i) {
    if (!full && i != seed % readings.size()) {
      continue;
    }
    Sweep sweep(seed, readings[i]);
    const unsigned requests = sweep.count_requests();
    std::cout << fmt::format("{} requests of a process, source: {{ {} }}\n", requests,
                             fmt::join(readings[i], ", "));
    for (unsigned request = 0; request < requests; ++request) {
      std::vector<FaultWay> ways = fault_ways();
      sweep.shuffle(ways);
      ways.resize(full ? ways.size() : 1);
      for (const FaultWay& way : ways) {
        sweep.strike(request, way);
      }
    }
    sweep.finish();
  }
}
