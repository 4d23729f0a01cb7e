// The whole daemon with a SQL Server as its source, into SQLite and a real PostgreSQL. The server
// is the double, through FreeTDS's real driver, or the one that HEADGATE_TEST_SQLSERVER names.

#include <chrono>
#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include <catch2/catch.hpp>

#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/random_seed.hpp"
#include "support/sqlserver_bank.hpp"
#include "support/sqlserver_database.hpp"
#include "support/temp_dir.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kRounds = 40;  // more with HEADGATE_KILL_ROUNDS

}  // namespace

// Killed at any moment, and where the server can be told so, with capturing as late as it likes and
// connections that break. Readers look at both mirrors all the while.
TEST_CASE("a SQL Server is mirrored whole transaction by whole transaction, whoever is killed") {
  const std::uint64_t seed = random_seed("sqlserver_mirror");
  INFO("HEADGATE_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto any = [&](std::uint64_t below) { return random() % below; };

  TempDir folder;
  ThrowawayCluster cluster({.fsync = false});
  SqlServerDatabase database;
  SqlServerBank bank(database, seed);
  const std::string path = folder.path("mirror.db");
  Daemon daemon(folder, bank.config({sqlite_sink("file", path),
                                     postgres_sink("server", cluster.conninfo())}));
  const auto file = sqlite_bank(path);
  const auto server = postgres_bank(cluster.conninfo());
  daemon.start();
  daemon.wait_ready();
  if (SqlServerDouble* scripted = database.scripted()) {
    scripted->set_capture(CaptureMode::kAutomatic,
                          [lags = std::make_shared<std::mt19937_64>(seed)] {
                            return std::chrono::milliseconds((*lags)() % 40);
                          });
  }
  bank.open_accounts();
  auto storm = std::make_unique<BankStorm>(bank);
  const std::uint64_t rounds = number_from_environment("HEADGATE_KILL_ROUNDS", kRounds);
  for (std::uint64_t round = 0; round < rounds; ++round) {
    INFO("round " << round);
    storm->run_for(1 + static_cast<int>(any(40)));
    REQUIRE(daemon.running());  // it may only end because we kill it
    if (database.scripted() != nullptr && any(3) == 0) {
      sqlserver::Fault cut;
      cut.application = "headgate";
      cut.skip = static_cast<unsigned>(any(5));
      cut.drop = sqlserver::Drop::kBeforeReply;
      database.scripted()->faults().add(cut);
    } else {
      daemon.kill9();
      daemon.start();
    }
    if (any(6) == 0) {
      storm->stop();
      wait_equal(bank, database, daemon, {file.get(), server.get()}, 120s);
      storm = std::make_unique<BankStorm>(bank);
    }
    REQUIRE(file->reader().violations() == "");
    REQUIRE(server->reader().violations() == "");
  }
  storm->stop();
  wait_equal(bank, database, daemon, {file.get(), server.get()}, 120s);
  for (BankMirror* mirror : {file.get(), server.get()}) {  // neither reader is blind
    daemon.wait_until("a reader's answers", 30s, [&] { return mirror->reader().rounds() > 5; });
    CHECK(mirror->reader().violations() == "");
  }
  daemon.wait_ready(120s);
  CHECK(daemon.terminate().ok());
}
