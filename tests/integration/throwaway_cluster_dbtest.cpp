// A cluster must be gone when its owner is, however that ended, and come back after a crash.

#include "demo/throwaway_cluster.hpp"

#include <sys/ipc.h>
#include <sys/shm.h>
#include <unistd.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "demo/pg_session.hpp"
#include "demo/subprocess.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

bool exists(pid_t pid) {
  return ::kill(pid, 0) == 0;
}

// Whether the process has ended, even if nobody has reaped it yet.
bool ended(pid_t pid) {
  std::error_code ignored;
  const std::string folder = "/proc/" + std::to_string(pid);
  return !exists(pid) || std::filesystem::read_symlink(folder + "/exe", ignored).empty();
}

// Of the server in `folder`: its System V segment.
int shared_memory(const std::string& folder) {
  std::ifstream file(folder + "/data/postmaster.pid");
  std::string line;
  for (int i = 0; i < 7; ++i) {
    std::getline(file, line);
  }
  return std::stoi(line.substr(line.find_last_of(' ')));
}

bool is_shared_memory(int segment) {
  shmid_ds now{};
  return ::shmctl(segment, IPC_STAT, &now) == 0;
}

}  // namespace

TEST_CASE("committed rows survive a kill -9, an immediate stop and a fast restart") {
  std::string folder;
  pid_t postmaster = -1;
  int segment = -1;
  {
    ThrowawayCluster cluster({.settings = {{"work_mem", "5MB"}}, .fsync = false, .tcp = true});
    folder = cluster.folder();
    PgSession(cluster.conninfo()).execute("CREATE TABLE t (i integer); INSERT INTO t VALUES (1)");
    CHECK(PgSession(cluster.tcp_conninfo()).value("SHOW wal_level") == "logical");
    CHECK(PgSession(cluster.conninfo()).value("SHOW work_mem") == "5MB");

    PgSession open(cluster.conninfo());
    open.execute("BEGIN; INSERT INTO t VALUES (99)");
    cluster.kill9();
    CHECK_FALSE(cluster.running());
    CHECK_THROWS_AS(PgSession(cluster.conninfo()), PgError);
    CHECK_THROWS_AS(open.value("SELECT 1"), PgError);
    cluster.start();
    PgSession(cluster.conninfo()).execute("INSERT INTO t VALUES (2)");
    cluster.restart(ThrowawayCluster::StopMode::kImmediate);
    PgSession(cluster.conninfo()).execute("INSERT INTO t VALUES (3)");
    cluster.restart();
    CHECK(PgSession(cluster.conninfo()).value("SELECT sum(i) FROM t") == "6");
    postmaster = cluster.postmaster_pid();
    segment = shared_memory(folder);
    CHECK(is_shared_memory(segment));
  }
  CHECK_FALSE(std::filesystem::exists(folder));
  CHECK_FALSE(is_shared_memory(segment));
  CHECK_FALSE(exists(postmaster));
}

TEST_CASE("a missing installation is named with its remedy") {
  const char* former = std::getenv("HEADGATE_PG_BIN");
  const std::string installation = former == nullptr ? "" : former;
  ::setenv("HEADGATE_PG_BIN", "/nonexistent", 1);
  try {
    ThrowawayCluster cluster;
    FAIL("a cluster without programs");
  } catch (const headgate::Error& error) {
    CHECK(error.kind() == headgate::ErrorKind::kOperator);
    CHECK(error.hint() == "install postgresql-15 or set HEADGATE_PG_BIN");
  }
  if (former == nullptr) {
    ::unsetenv("HEADGATE_PG_BIN");
  } else {
    ::setenv("HEADGATE_PG_BIN", installation.c_str(), 1);
  }
}

// Run by the next case in a process of its own: holds a cluster until killed.
TEST_CASE("holds a cluster until killed", "[.holder]") {
  const ThrowawayCluster cluster({.fsync = false});
  std::printf("holding %d %s\n", static_cast<int>(cluster.postmaster_pid()),
              cluster.folder().c_str());
  std::fflush(stdout);
  for (;;) {
    ::pause();
  }
}

TEST_CASE("a server does not outlive an owner that is killed") {
  Subprocess owner({.argv = {"/proc/self/exe", "[.holder]"}, .out = Output::pipe()});
  std::string said;
  wait_until("the cluster", 60s, [&] {
    char buffer[256];
    const auto count = ::read(owner.out_fd(), buffer, sizeof buffer);
    said.append(buffer, count > 0 ? static_cast<std::size_t>(count) : 0);
    return count <= 0 || said.find("holding") != std::string::npos;
  });
  std::istringstream words(said.substr(said.find("holding")));
  std::string word;
  pid_t postmaster = -1;
  std::string folder;
  words >> word >> postmaster >> folder;
  REQUIRE(postmaster > 1);
  CHECK_FALSE(ended(postmaster));

  owner.kill();
  wait_until("the server's end", 30s, [&] { return ended(postmaster); });
  std::filesystem::remove_all(folder);
}

TEST_CASE("a child is run with its arguments, its folder and its environment") {
  const RunResult result =
      run({.argv = {"sh", "-c", "echo \"$1|$GREETING|$PWD\"; echo bad >&2; exit 3", "sh", "a b"},
           .env = {{"GREETING", "hello"}},
           .cwd = "/"},
          10s);
  CHECK(result.out == "a b|hello|/\n");
  CHECK(result.err == "bad\n");
  REQUIRE(result.status);
  CHECK(result.status->describe() == "exit code 3");
  CHECK_THROWS_AS(run({.argv = {"no-such-program-here"}}, 10s), headgate::Error);
  CHECK_THROWS_AS(run({.argv = {"true"}, .cwd = "/nonexistent"}, 10s), headgate::Error);
  CHECK_FALSE(run({.argv = {"cat", "/dev/zero"}}, 50ms).status);
}
