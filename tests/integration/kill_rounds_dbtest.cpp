// The daemon is killed again and again while two applications write; nothing may be lost, applied
// twice, torn or reordered, at the end or at any moment on the way.

#include <memory>
#include <random>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/order_schema.hpp"
#include "demo/order_workload.hpp"
#include "demo/pg_session.hpp"
#include "support/invariant_reader.hpp"
#include "support/mirror_setup.hpp"
#include "support/pgbench.hpp"
#include "support/random_seed.hpp"
#include "support/sqlite_file.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr int kRounds = 30;         // more with HEADGATE_KILL_ROUNDS
constexpr int kRoundsInBatch = 10;  // between two full comparisons
constexpr int kRoundsInCopy = 3;    // at first, killed soon: while the first copy is made
constexpr double kOrdersPerSecond = 250;
constexpr int kPgbenchPerSecond = 300;

// Both applications against one source.
class Load {
 public:
  Load(MirrorSetup& setup, std::uint64_t seed)
      : setup_(setup),
        pgbench_(setup.source().conninfo()),
        orders_({.conninfo = setup.source().conninfo(),
                 .transactions_per_second = kOrdersPerSecond,
                 .seed = seed}) {
    pgbench_.create_tables();
    orders_.create_schema();
  }

  void start() {
    pgbench_.start(4, kPgbenchPerSecond, setup_.folder().path("pgbench.log"));
    orders_.start();
  }

  void stop() {
    orders_.stop();
    pgbench_.stop();
  }

  // Returns after that many more transactions of the shop: a moment that depends on the load, not
  // on how fast this machine is.
  void run_for(std::uint64_t transactions) {
    const auto until = orders_.counters().committed + transactions;
    wait_until("the load to go on", 120s, [&] { return orders_.counters().committed >= until; });
  }

  static std::vector<std::string> tables() {
    std::vector<std::string> tables = order_tables();
    for (const std::string& table : Pgbench::tables()) {
      tables.push_back(table);
    }
    return tables;
  }

 private:
  MirrorSetup& setup_;
  Pgbench pgbench_;
  OrderWorkload orders_;
};

// One reader for each sink and each application.
class Readers {
 public:
  explicit Readers(MirrorSetup& setup) {
    const std::string server = setup.sink().conninfo();
    const std::string file = setup.sqlite_path();
    readers_.push_back(
        std::make_unique<InvariantReader>(postgres_invariant(server, order_invariant_postgres())));
    readers_.push_back(
        std::make_unique<InvariantReader>(postgres_invariant(server, Pgbench::invariant())));
    readers_.push_back(
        std::make_unique<InvariantReader>(sqlite_invariant(file, order_invariant_sqlite())));
    readers_.push_back(
        std::make_unique<InvariantReader>(sqlite_invariant(file, Pgbench::invariant())));
  }

  std::string violations() const {
    std::string all;
    for (const auto& reader : readers_) {
      all += reader->violations();
    }
    return all;
  }

  // Stops them, and checks that none was blind.
  void finish() {
    for (const auto& reader : readers_) {
      reader->stop();
      INFO(reader->last_error());
      CHECK(reader->rounds() > 50);
    }
  }

 private:
  std::vector<std::unique_ptr<InvariantReader>> readers_;
};

std::string history_sums(const TextRows& rows) {
  std::string text;
  for (const auto& field : rows.front()) {
    text += field.value_or("NULL") + " ";
  }
  return text;
}

void check_equal(MirrorSetup& setup) {
  setup.catch_up(120s);
  CHECK(setup.differences(Load::tables()) == "");
  // Said again in plain SQL, since it is the keyless table that a second application would double.
  const std::string sums =
      "SELECT count(*), sum(delta), sum(tid), sum(bid), sum(aid) FROM pgbench_history";
  const std::string wanted = history_sums(PgSession(setup.source().conninfo()).query(sums));
  CHECK(history_sums(PgSession(setup.sink().conninfo()).query(sums)) == wanted);
  CHECK(history_sums(SqliteFile(setup.sqlite_path()).query(sums)) == wanted);
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

  MirrorSetup setup({"shop.*", "public.pgbench_*"});
  Load load(setup, seed);
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
  Readers readers(setup);
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
  readers.finish();
  CHECK(readers.violations() == "");
  CHECK(setup.daemon().terminate().ok());
}
