// A SQL Server that says nothing while the daemon waits for it: at the login, in the middle of what
// it was asked, or to one statement. The daemon gives each up in time, says so meanwhile, and goes
// on by itself once there are answers. The double has to be told to be silent.

#include <chrono>
#include <cstdint>
#include <string>

#include <catch2/catch.hpp>

#include "support/mirrored_bank.hpp"
#include "support/random_seed.hpp"
#include "support/sqlserver_database.hpp"

using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kScripts = "is silent when it is told to";

// The daemon lets a login take ten seconds, and a statement a minute; the driver waits as long
// again for the answer to its cancellation.
constexpr auto kLoginPatience = 40s;
constexpr auto kStatementPatience = 180s;

std::size_t count(const std::string& text, const std::string& what) {
  std::size_t found = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) {
    ++found;
  }
  return found;
}

std::size_t attempts(MirroredBank& mirrored) {
  return count(mirrored.daemon().log(), "source unavailable attempt=");
}

// What a person and a machine are told while the source is away.
void check_told(MirroredBank& mirrored) {
  const std::string status = mirrored.daemon().command({"status", "--json"}).out;
  INFO(status);
  CHECK(status.find("\"retrying\"") != std::string::npos);
  CHECK(status.find("\"error\":\"source: ") != std::string::npos);
  const auto ready = http_get(mirrored.daemon().socket_path(), "/ready");
  REQUIRE(ready);
  CHECK(ready->code == 503);
  const auto health = http_get(mirrored.daemon().socket_path(), "/health");
  REQUIRE(health);
  CHECK(health->code == 200);  // it copes, and nobody need restart it
}

void check_recovered(MirroredBank& mirrored, pid_t pid) {
  mirrored.bank().transfer(3);
  mirrored.wait_equal();
  mirrored.daemon().wait_ready();
  CHECK(mirrored.daemon().pid() == pid);  // the same process
  const std::string status = mirrored.daemon().command({"status", "--json"}).out;
  CHECK(status.find("\"retrying\"") == std::string::npos);
  mirrored.finish(5);
  CHECK(mirrored.daemon().terminate().ok());
}

}  // namespace

TEST_CASE("a server that accepts and says nothing is given up in time, and come back to") {
  if (!needs_the_double(kScripts)) {
    return;
  }
  const std::uint64_t seed = random_seed("sqlserver_silence, login");
  INFO("HEADGATE_SEED=" << seed);
  MirroredBank mirrored({.seed = seed, .source_keys = {"readers: 2"}, .gate = true});
  const pid_t pid = mirrored.daemon().pid();
  mirrored.gate().hold();
  mirrored.gate().cut(CutKind::kReset);
  mirrored.bank().transfer(5);
  const int before = mirrored.in_file();
  // The first attempt follows the reset, the second a login that was given up.
  mirrored.daemon().wait_until("a login that is given up", kLoginPatience,
                               [&] { return attempts(mirrored) >= 2; });
  INFO(mirrored.daemon().log_end());
  check_told(mirrored);
  CHECK(mirrored.in_file() == before);
  CHECK(mirrored.in_server() == before);
  mirrored.gate().heal();
  check_recovered(mirrored, pid);
}

// In full only: it takes the minutes that a statement has.
TEST_CASE("a server that falls silent in the middle is given up in time, and come back to") {
  if (!needs_the_double(kScripts) || number_from_environment("HEADGATE_TEST_FULL", 0) == 0) {
    return;
  }
  const std::uint64_t seed = random_seed("sqlserver_silence, statement");
  INFO("HEADGATE_SEED=" << seed);
  MirroredBank mirrored({.seed = seed, .gate = true});
  const pid_t pid = mirrored.daemon().pid();
  SECTION("all of it: nothing comes through any more") {
    mirrored.gate().hold();
    mirrored.bank().transfer(5);
    mirrored.daemon().wait_until("a statement that is given up", kStatementPatience,
                                 [&] { return attempts(mirrored) >= 1; });
    check_told(mirrored);
    mirrored.gate().heal();
  }
  SECTION("one page, whether it takes the cancellation or not") {
    sqlserver::Fault silence;
    silence.pattern = "FROM \\[cdc\\]\\.\\[dbo_totals_CT\\] WHERE";
    silence.held = true;
    silence.ignores_attention = GENERATE(false, true);
    const auto fault = mirrored.faults().add(silence);
    mirrored.bank().transfer(5);
    mirrored.wait_struck(fault, 1);
    const int before = mirrored.in_file();
    mirrored.daemon().wait_until("a statement that is given up", kStatementPatience,
                                 [&] { return attempts(mirrored) >= 1; });
    CHECK(mirrored.in_file() <= before + 5);
  }
  check_recovered(mirrored, pid);
}
