// Every request that a daemon makes to a SQL Server, from its first to the ones of its daily round,
// fails once in every way, while changes are captured as late as they like: the whole daemon, into
// SQLite and a real PostgreSQL, killed before each fault, with readers that look at both all the
// while.

#include <algorithm>
#include <array>
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

using sqlserver::Drop;
using sqlserver::ErrorPlace;
using sqlserver::Fault;

struct Way {
  const char* name;
  int error;  // 0: none
  ErrorPlace place;
  Drop drop;
};
constexpr std::array<Way, 7> kWays = {{
    {"cut before it runs", 0, ErrorPlace::kInstead, Drop::kBeforeRunning},
    {"cut before the answer", 0, ErrorPlace::kInstead, Drop::kBeforeReply},
    {"cut within the answer", 0, ErrorPlace::kInstead, Drop::kInsideRow},
    {"cut behind the answer", 0, ErrorPlace::kInstead, Drop::kAfterReply},
    {"deadlock", 1205, ErrorPlace::kInstead, Drop::kNever},
    {"deadlock behind some rows", 1205, ErrorPlace::kAfterRows, Drop::kNever},
    {"deadlock behind the answer", 1205, ErrorPlace::kAfterResult, Drop::kNever},
}};

class Sweep {
 public:
  Sweep(std::uint64_t seed, const std::vector<std::string>& source_keys)
      : random_(seed),
        cluster_({.fsync = false}),
        bank_(database_, seed),
        path_(folder_.path("mirror.db")),
        daemon_(folder_, config(source_keys)),
        file_(sqlite_bank(path_)),
        server_(postgres_bank(cluster_.conninfo())) {
    daemon_.start();
    daemon_.wait_ready();
    bank_.open_accounts();
    bank_.transfer();
    wait_equal();
    database_.scripted()->set_capture(
        CaptureMode::kAutomatic, [lags = std::make_shared<std::mt19937_64>(seed)] {
          return std::chrono::milliseconds((*lags)() % 3 == 0 ? (*lags)() % 30 : 0);
        });
  }

  // How many requests a process makes until it has everything, and for one round more.
  unsigned count_requests() {
    restart();
    return static_cast<unsigned>(requests()) + kRound;
  }

  void strike(unsigned request, const Way& way) {
    INFO("request " << request << ", " << way.name);
    Fault fault;
    fault.application = "headgate";
    fault.skip = request;
    fault.rows = random_() % 3;
    fault.drop = way.drop;
    fault.error_place = way.place;
    if (way.error != 0) {
      fault.error = sqlserver::SqlError(way.error, "scripted", 13);
    }
    daemon_.kill9();
    database_.scripted()->faults().clear();
    const auto id = database_.scripted()->faults().add(fault);
    daemon_.start();
    bank_.transfer(2);
    daemon_.wait_until("the fault to strike", 60s, [&] {
      return database_.scripted()->faults().struck(id) > 0 || !daemon_.running();
    });
    bank_.transfer();
    if (random_() % 8 == 0) {  // before it has recovered
      daemon_.kill9();
      daemon_.start();
    }
    wait_equal();
    REQUIRE(daemon_.running());  // none of this is a reason to stop
  }

  void shuffle(std::vector<Way>& ways) { std::shuffle(ways.begin(), ways.end(), random_); }

  void finish() {
    daemon_.wait_ready();
    CHECK(file_->reader().rounds() > 20);  // neither was blind
    CHECK(server_->reader().rounds() > 20);
    CHECK(daemon_.terminate().ok());
  }

 private:
  static constexpr unsigned kRound = 12;

  PipelineConfig config(const std::vector<std::string>& source_keys) const {
    PipelineConfig config =
        bank_.config({sqlite_sink("file", path_), postgres_sink("server", cluster_.conninfo())});
    config.source_keys = source_keys;
    return config;
  }

  void restart() {
    daemon_.kill9();
    database_.scripted()->forget_statements();
    daemon_.start();
    bank_.transfer(3);
    wait_equal();
  }

  std::size_t requests() const {
    std::size_t count = 0;
    for (const auto& statement : database_.scripted()->statements()) {
      count += statement.application == "headgate" ? 1U : 0U;
    }
    return count;
  }

  void wait_equal() {
    headgate::test::wait_equal(bank_, database_, daemon_, {file_.get(), server_.get()});
    REQUIRE(file_->reader().violations() == "");
    REQUIRE(server_->reader().violations() == "");
  }

  std::mt19937_64 random_;
  TempDir folder_;
  ThrowawayCluster cluster_;
  mutable SqlServerDatabase database_;
  SqlServerBank bank_;
  std::string path_;
  Daemon daemon_;
  std::unique_ptr<BankMirror> file_;
  std::unique_ptr<BankMirror> server_;
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
      std::vector<Way> ways(kWays.begin(), kWays.end());
      sweep.shuffle(ways);
      ways.resize(full ? ways.size() : 1);
      for (const Way& way : ways) {
        sweep.strike(request, way);
      }
    }
    sweep.finish();
  }
}
