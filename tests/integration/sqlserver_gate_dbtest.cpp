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

constexpr const char* kScripts = "delays, cuts and reorders answers";

// Statements that read a page of that change table.
std::string pages_of(const std::string& table) {
  return "FROM \\[cdc\\]\\.\\[dbo_" + table + "_CT\\] WHERE";
}

class Watched {
 public:
  // `readers`: connections that read change tables.
  Watched(std::uint64_t seed, int readers)
      : cluster_({.fsync = false}),
        bank_(database_, seed),
        path_(folder_.path("mirror.db")),
        daemon_(folder_, config(readers)),
        file_(sqlite_bank(path_)),
        server_(postgres_bank(cluster_.conninfo())) {
    daemon_.start();
    daemon_.wait_ready();
    bank_.open_accounts();
    bank_.transfer();
    wait_equal();
  }

  SqlServerBank& bank() { return bank_; }
  sqlserver::FaultScript& faults() { return database_.scripted()->faults(); }
  Daemon& daemon() { return daemon_; }
  int in_file() { return file_->transfers(); }
  int in_server() { return server_->transfers(); }

  void wait_equal() {
    headgate::test::wait_equal(bank_, database_, daemon_, {file_.get(), server_.get()});
    check_readers();
  }
  void wait_struck(sqlserver::FaultId fault, unsigned times) {
    daemon_.wait_until("the fault to strike", 30s, [&] { return faults().struck(fault) >= times; });
  }
  void check_readers() {
    REQUIRE(file_->reader().violations() == "");
    REQUIRE(server_->reader().violations() == "");
  }
  void finish() {
    wait_equal();
    for (BankMirror* mirror : {file_.get(), server_.get()}) {  // neither is blind
      daemon_.wait_until("a reader's answers", 30s, [&] { return mirror->reader().rounds() > 5; });
    }
    check_readers();
    CHECK(daemon_.terminate().ok());
  }

 private:
  PipelineConfig config(int readers) {
    PipelineConfig config =
        bank_.config({sqlite_sink("file", path_), postgres_sink("server", cluster_.conninfo())});
    config.source_keys = {"readers: " + std::to_string(readers)};
    return config;
  }

  TempDir folder_;
  ThrowawayCluster cluster_;
  SqlServerDatabase database_;
  SqlServerBank bank_;
  std::string path_;
  Daemon daemon_;
  std::unique_ptr<BankMirror> file_;
  std::unique_ptr<BankMirror> server_;
};

}  // namespace

TEST_CASE("while one table is read slowly, its transactions wait for it, and all of them come") {
  if (!needs_the_double(kScripts)) {
    return;
  }
  const std::uint64_t seed = random_seed("sqlserver_gate, slow");
  const int readers = GENERATE(1, 3);
  INFO("HEADGATE_SEED=" << seed << " readers=" << readers);
  Watched watched(seed, readers);

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
    watched.finish();
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
    watched.finish();
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
  Watched watched(seed, readers);

  using sqlserver::Drop;
  using sqlserver::ErrorPlace;
  struct Way {
    std::string name;
    int error;  // 0: none
    ErrorPlace place;
    Drop drop;
  };
  const std::vector<Way> ways = {
      {"cut before it runs", 0, ErrorPlace::kInstead, Drop::kBeforeRunning},
      {"cut before the answer", 0, ErrorPlace::kInstead, Drop::kBeforeReply},
      {"cut between rows", 0, ErrorPlace::kInstead, Drop::kInRows},
      {"cut within a row", 0, ErrorPlace::kInstead, Drop::kInsideRow},
      {"deadlock", 1205, ErrorPlace::kInstead, Drop::kNever},
      {"deadlock behind some rows", 1205, ErrorPlace::kAfterRows, Drop::kNever},
      {"deadlock behind all rows", 1205, ErrorPlace::kAfterResult, Drop::kNever},
      {"lock not granted", 1222, ErrorPlace::kInstead, Drop::kNever},
      {"snapshot undone", 3961, ErrorPlace::kAfterRows, Drop::kNever},
  };
  for (const Way& way : ways) {
    INFO(way.name);
    sqlserver::Fault fault;
    fault.pattern = pages_of(random() % 2 == 0 ? "totals" : "left_accounts");
    fault.times = 1 + static_cast<unsigned>(random() % 2);
    fault.rows = random() % 3;
    fault.drop = way.drop;
    fault.error_place = way.place;
    if (way.error != 0) {
      fault.error = sqlserver::SqlError(way.error, "scripted", 13);
    }
    const auto id = watched.faults().add(fault);
    watched.bank().transfer(5);
    watched.wait_struck(id, fault.times);
    watched.bank().transfer(5);
    watched.wait_equal();
    watched.faults().remove(id);
  }
  watched.finish();
}

// Three connections, and any of them may have its pages first; large transactions among small ones,
// so that a table is several pages further than another.
TEST_CASE("tables whose pages come in any order are put together in the source's") {
  if (!needs_the_double(kScripts)) {
    return;
  }
  const std::uint64_t seed = random_seed("sqlserver_gate, any order");
  INFO("HEADGATE_SEED=" << seed);
  Watched watched(seed, 3);
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
  watched.finish();
}
