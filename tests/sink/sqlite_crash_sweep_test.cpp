// A process that writes to a SQLite file is killed, or its machine loses power, at every single
// operation on the disk. Whatever is left must be a state of the source together with its position
// (I1, I3), hold all that the source was told to be durable, and lead on to the same end.
//
// A failure prints what replays it.

#include <iostream>

#include <catch2/catch.hpp>

#include "crash_sweep.hpp"
#include "support/random_seed.hpp"

namespace headgate::sink::sqlite::test {
namespace {

using headgate::test::number_from_environment;
using headgate::test::random_seed;

using Sorts = std::set<std::string>;

// One thread, so that ThreadSanitizer has nothing to find: there it need only run.
#ifdef __SANITIZE_THREAD__
constexpr std::uint64_t kStride = 20;
#else
constexpr std::uint64_t kStride = 1;
#endif

// `name` finds the test case. HEADGATE_CRASH_STOP and HEADGATE_CRASH_ROUND leave only one case.
SweepResult sweep(const std::string& name, SweepOptions options) {
  options.seed = random_seed(name);
  options.stride *= kStride;
  if (const auto stop = number_from_environment("HEADGATE_CRASH_STOP", 0); stop > 0) {
    options.only_stop = stop;
    options.only_round = static_cast<unsigned>(number_from_environment("HEADGATE_CRASH_ROUND", 0));
  }
  SweepResult result = CrashSweep(options).run();
  std::cout << name << ": " << result.stops << " stops, " << result.cases << " cases, "
            << result.second_stops << " second stops" << std::endl;
  return result;
}

void check_sound(const SweepResult& result) {
  for (const std::string& problem : result.problems) {
    std::cout << problem << std::endl;  // whole lines, which the test's own output would break
  }
  CHECK(result.problems.empty());
}

// What of `sorts` no stop has struck, where all of them were tried.
Sorts missed(const SweepResult& result, Sorts sorts) {
  const bool complete = kStride == 1 && result.problems.empty() &&
                        number_from_environment("HEADGATE_CRASH_STOP", 0) == 0;
  if (!complete) {
    return {};
  }
  for (const std::string& sort : result.struck) {
    sorts.erase(sort);
  }
  return sorts;
}

// With unique columns and foreign keys of the sink's own, rows are written in the source's order.
TEST_CASE("tables with constraints lose nothing whatever operation on the disk is the last") {
  const SweepResult result = sweep("tables with constraints*", {.transactions = 50});
  check_sound(result);
  // Checkpoints, logs that begin anew and shrink, and the end of the process are struck as well.
  CHECK(missed(result, {"create log", "begin log", "write log", "sync log", "truncate log",
                        "remove log", "write database", "sync database", "sync folder"}) ==
        Sorts{});
}

// A log without the checksums of some frames, by SQLite's rollback to a savepoint: met in about one
// sweep of fifty, and in this one at these stops.
TEST_CASE("a crash behind a rollback to a savepoint loses nothing") {
  for (const unsigned stop : {302U, 309U, 344U}) {
    SweepOptions options{.transactions = 50};
    options.seed = 718566076;
    options.only_stop = stop;
    check_sound(CrashSweep(options).run());
  }
}

// With tables that the sink creates, rows are written by net effect. The first operations make the
// file and put it into WAL mode, with a rollback journal.
TEST_CASE("a new file loses nothing whatever operation on the disk is the last") {
  const SweepResult result = sweep(
      "a new file*",
      {.transactions = 20, .device = {.sector_bytes = 512}, .tables_exist = false, .rounds = 3});
  check_sound(result);
  CHECK(missed(result, {"create database", "create journal", "write journal", "sync journal",
                        "remove journal", "create log", "sync log", "sync folder"}) == Sorts{});
}

TEST_CASE("every device loses nothing whatever operation is the last", "[.full]") {
  const bool tables_exist = GENERATE(true, false);
  const std::size_t sector_bytes = GENERATE(512U, 4096U);
  const bool powersafe_overwrite = GENERATE(true, false);
  CAPTURE(tables_exist, sector_bytes, powersafe_overwrite);
  check_sound(sweep("every device*", {.transactions = 60,
                                      .device = {.sector_bytes = sector_bytes,
                                                 .powersafe_overwrite = powersafe_overwrite},
                                      .tables_exist = tables_exist,
                                      .second_stops = powersafe_overwrite,
                                      .rounds = 6}));
}

// If nothing were lost on such a drive either, the sweep could not see a forgotten sync.
TEST_CASE("a drive that lies about syncs is found out") {
  const SweepResult result =
      sweep("a drive that lies*", {.device = {.honours_syncs = false}, .stride = 2});
  CHECK_FALSE(result.problems.empty());
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
