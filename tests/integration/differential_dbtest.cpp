// A long generated script of changes and alterations runs at the source while the daemon mirrors
// it, is killed and is stopped: at the end, and at some points between, every table of both sinks
// is as at the source.

#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include <catch2/catch.hpp>

#include "support/ddl_dml_script.hpp"
#include "support/mirror_setup.hpp"
#include "support/random_seed.hpp"
#include "support/script_random.hpp"

using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

// HEADGATE_SCRIPT_STATEMENTS: more of them, for a longer script.
constexpr int kStatements = 700;
// After so many, the sinks follow to the end, so that columns can be altered that were altered
// before.
constexpr int kStatementsUntilCaughtUp = 70;
constexpr int kStatementsUntilCompared = 350;
// While the first copy is prepared and made. A slot's creation waits for whatever is open then, so
// that transactions are ended now and then.
constexpr int kStatementsWithinCopy = 60;
constexpr int kStatementsUntilQuiet = 10;
// HEADGATE_SCRIPT_SEEDS: how many random seeds the long test tries.
constexpr int kSeeds = 12;

MirrorOptions options() {
  MirrorOptions options;
  options.source_settings = {
      {"logical_decoding_work_mem", "64kB"},  // so that nearly every transaction is spilled
      {"max_prepared_transactions", "20"},
      {"autovacuum", "off"},  // it takes locks whenever it likes
  };
  return options;
}

class Differential {
 public:
  explicit Differential(std::uint64_t seed)
      : files_((std::filesystem::temp_directory_path() /
                ("headgate_differential_" + std::to_string(seed)))
                   .string()),
        setup_({"shop.*"}, options()),
        script_(setup_.source().conninfo(), files_ + ".sql", seed),
        random_(seed + 1) {}

  void run(int statements) {
    script_.create_tables();
    start();
    for (int i = 1; i <= statements; ++i) {
      script_.step();
      disturb();
      if (i <= kStatementsWithinCopy && i % kStatementsUntilQuiet == 0) {
        script_.finish_transactions();
      }
      const bool last = i == statements;
      if (last || i % kStatementsUntilCaughtUp == 0) {
        catch_up();
      }
      if (last || i % kStatementsUntilCompared == 0) {
        REQUIRE(setup_.differences(script_.tables()) == "");
      }
    }
    stop();
    report();
  }

  // Keeps the script and the daemon's log, and says where.
  std::string what_failed() {
    std::ofstream(files_ + ".log") << setup_.daemon().log();
    return "the script is in " + files_ + ".sql, the daemon's log in " + files_ +
           ".log\n--- the script's last statements\n" + script_.last_statements() +
           setup_.daemon().log_end();
  }
  void forget_script() const { std::filesystem::remove(files_ + ".sql"); }

 private:
  // Now and then the daemon is gone for some statements.
  void disturb() {
    if (!down_ && random_.chance(2)) {
      REQUIRE(setup_.daemon().running());
      // One that has only just begun does not know yet how to stop.
      random_.chance(40) && setup_.daemon().ready() ? stop() : kill();
    } else if (down_ && random_.chance(12)) {
      start();
    }
  }

  void kill() {
    down_ = true;
    script_.note("the daemon is killed");
    setup_.daemon().kill9();
  }

  void stop() {
    down_ = true;
    script_.note("the daemon is stopped");
    const auto status = setup_.daemon().terminate();
    INFO(status.describe() << "\n" << setup_.daemon().log_end());
    CHECK(status.ok());
  }

  void start() {
    down_ = false;
    script_.note("the daemon is started");
    setup_.daemon().start();
  }

  void catch_up() {
    if (down_) {
      start();
    }
    script_.finish_transactions();
    script_.touch_tables();
    setup_.catch_up();
    script_.settled();
    script_.note("the sinks have caught up");
  }

  void report() const {
    const DdlDmlScript::Counts& counts = script_.counts();
    std::cout << counts.statements << " statements, " << counts.alterations << " alterations, "
              << counts.commits << " commits, " << counts.rollbacks << " rollbacks, "
              << counts.prepared << " prepared, " << counts.failed << " failed\n";
    CHECK(counts.failed * 5 < counts.statements);
  }

  std::string files_;  // their path without the ending
  MirrorSetup setup_;
  DdlDmlScript script_;
  ScriptRandom random_;  // of its own, so that the script depends on the seed only
  bool down_ = false;
};

void run_seed(std::uint64_t seed) {
  std::cout << "differential: HEADGATE_SEED=" << seed << std::endl;
  INFO("HEADGATE_SEED=" << seed);
  Differential test(seed);
  try {
    test.run(static_cast<int>(number_from_environment("HEADGATE_SCRIPT_STATEMENTS", kStatements)));
  } catch (const std::exception& error) {
    std::cout << test.what_failed() << std::endl;
    FAIL(error.what());
  } catch (...) {  // an assertion that has failed
    std::cout << test.what_failed() << std::endl;
    throw;
  }
  test.forget_script();
}

}  // namespace

TEST_CASE("after a generated script of changes and alterations both sinks are like the source") {
  for (const std::uint64_t seed : {1U, 2U}) {
    run_seed(seed);
  }
}

TEST_CASE("the same after scripts of random seeds", "[.full]") {
  const auto seeds = number_from_environment("HEADGATE_SCRIPT_SEEDS", kSeeds);
  const std::uint64_t first = random_seed("differential");
  for (std::uint64_t seed = first; seed < first + seeds; ++seed) {
    run_seed(seed);
  }
}
