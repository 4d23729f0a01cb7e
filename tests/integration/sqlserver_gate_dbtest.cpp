// No transaction over several tables is ever applied in part, although one of the tables is read
// slowly, with failures, or before the others: the whole daemon, into SQLite and a real PostgreSQL,
// with readers that look at both all the while. The double has to be told to misbehave.

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "support/mirrored_bank.hpp"
#include "support/random_seed.hpp"
#include "support/sqlserver_database.hpp"

using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kScripts = "delays, cuts and reorders answers";

// Statements that read a page of that change table.
std::string pages_of(const std::string& table) {
  return "FROM \\[cdc\\]\\.\\[dbo_" + table + "_CT\\] WHERE";
}

MirroredBankOptions with(std::uint64_t seed, int readers) {
  return {.seed = seed, .source_keys = {"readers: " + std::to_string(readers)}};
}

}  // namespace

TEST_CASE("while one table is read slowly, its transactions wait for it, and all of them come") {
  if (!needs_the_double(kScripts)) {
    return;
  }
  const std::uint64_t seed = random_seed("sqlserver_gate, slow");
  const int readers = GENERATE(1, 3);
  INFO("HEADGATE_SEED=" << seed << " readers=" << readers);
  MirroredBank watched(with(seed, readers));

  SECTION("each page a while") {
    for (const std::string table : {"journal", "totals"}) {
      sqlserver::Fault slow;
      slow.pattern = pages_of(table);
      slow.times = sqlserver::kAlways;
      slow.delay = 60ms;
      const auto fault = watched.faults().add(slow);
      for (unsigned pages = 1; pages <= 5; ++pages) {
        watched.bank().transfer(6);
        watched.wait_struck(fault, pages);
      }
      watched.wait_equal();
      watched.faults().remove(fault);
    }
    watched.finish(5);
    CHECK(watched.daemon().terminate().ok());
  }
  SECTION("one page until it is let go") {
    sqlserver::Fault held;
    held.pattern = pages_of("right_accounts");
    held.held = true;
    const auto fault = watched.faults().add(held);
    const int before = watched.bank().transfers();
    watched.bank().transfer();
    watched.wait_struck(fault, 1);
    watched.bank().transfer(20);
    CHECK(watched.in_file() == before);
    CHECK(watched.in_server() == before);
    watched.faults().release(fault);
    watched.finish(5);
    CHECK(watched.daemon().terminate().ok());
  }
}

TEST_CASE("while reading one table fails, nothing comes in part, and then all of it") {
  if (!needs_the_double(kScripts)) {
    return;
  }
  const std::uint64_t seed = random_seed("sqlserver_gate, failing");
  const int readers = GENERATE(1, 3);
  INFO("HEADGATE_SEED=" << seed << " readers=" << readers);
  std::mt19937_64 random(seed);
  MirroredBank watched(with(seed, readers));

  for (const FaultWay& way : fault_ways()) {
    INFO(way.name);
    sqlserver::Fault fault = fault_of(way, random() % 3);
    fault.pattern = pages_of(random() % 2 == 0 ? "totals" : "left_accounts");
    fault.times = 1 + static_cast<unsigned>(random() % 2);
    const auto id = watched.faults().add(fault);
    for (unsigned strikes = 1; strikes <= fault.times; ++strikes) {
      watched.bank().transfer(5);  // where the answer came whole, nothing is asked for again
      watched.wait_struck(id, strikes);
    }
    watched.bank().transfer(5);
    watched.wait_equal();
    watched.faults().remove(id);
  }
  watched.finish(5);
  CHECK(watched.daemon().terminate().ok());
}

// Three connections, and any of them may have its pages first; large transactions among small ones,
// so that a table is several pages further than another.
TEST_CASE("tables whose pages come in any order are put together in the source's") {
  if (!needs_the_double(kScripts)) {
    return;
  }
  const std::uint64_t seed = random_seed("sqlserver_gate, any order");
  INFO("HEADGATE_SEED=" << seed);
  MirroredBank watched(with(seed, 3));
  sqlserver::Fault late;
  late.pattern = "FROM \\[cdc\\]\\.\\[dbo_[a-z_]*_CT\\] WHERE";
  late.times = sqlserver::kAlways;
  late.delays = [random = std::make_shared<std::mt19937_64>(seed),
                 mutex = std::make_shared<std::mutex>()] {
    const std::lock_guard lock(*mutex);
    return (*random)() % 3 == 0 ? std::chrono::milliseconds((*random)() % 50) : 0ms;
  };
  const auto fault = watched.faults().add(late);
  for (int round = 0; round < 2; ++round) {
    watched.bank().transfer(20);
    watched.bank().transfer_at_once(2'100);
    watched.bank().transfer(20);
    watched.check_readers();
  }
  watched.wait_equal();
  CHECK(watched.faults().struck(fault) > 20);
  watched.finish(5);
  CHECK(watched.daemon().terminate().ok());
}
