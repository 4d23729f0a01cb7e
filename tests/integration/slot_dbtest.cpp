// What becomes of the replication slot: it follows while nothing happens, is waited for while
// somebody else holds it, and its loss is said before anything is read.

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <cstdlib>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "demo/subprocess.hpp"
#include "support/mirror_setup.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* kSlot = "headgate_test";

// A pipeline with one table, its first copy finished.
class Mirrored : public MirrorSetup {
 public:
  Mirrored() : MirrorSetup({"public.items"}) {
    on_source(
        "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
        "CREATE TABLE public.other (id integer PRIMARY KEY, t text);"
        "INSERT INTO public.items VALUES (1, 'one')");
    daemon().start();
    daemon().wait_ready();
    catch_up();
  }

  void on_source(const std::string& sql) { PgSession(source().conninfo()).execute(sql); }
  std::string ask_source(const std::string& sql) {
    return PgSession(source().conninfo()).value(sql);
  }
  std::string slot(const std::string& expression) {
    return ask_source("SELECT " + expression + " FROM pg_replication_slots WHERE slot_name = '" +
                      kSlot + "'");
  }
};

bool says(const std::string& log, const std::string& words) {
  return log.find(words) != std::string::npos;
}

}  // namespace

// The log grows by a table that is not captured. The sinks' positions must follow as well: a slot
// that is ahead of a sink is what a lost slot looks like.
TEST_CASE("the slot follows the log while no captured table changes, and a restart goes on") {
  Mirrored setup;
  setup.on_source(
      "INSERT INTO public.other SELECT i, repeat('x', 500) FROM generate_series(1, 20000) i");
  const std::string end = setup.ask_source("SELECT pg_current_wal_lsn()");
  wait_until("the slot to follow", 60s,
             [&] { return setup.slot("confirmed_flush_lsn >= '" + end + "'") == "t"; });
  CHECK(setup.daemon().terminate().ok());

  setup.on_source("INSERT INTO public.items VALUES (2, 'two')");
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK_FALSE(says(setup.daemon().log(), "position_lost"));
}

// A kill leaves the old walsender in place for a while; any other reader looks the same.
TEST_CASE("a slot that is in use is waited for") {
  Mirrored setup;
  CHECK(setup.daemon().terminate().ok());
  SpawnOptions pg_recvlogical;
  pg_recvlogical.argv = {ThrowawayCluster::program("pg_recvlogical"),
                         "-d",
                         setup.source().conninfo(),
                         "-S",
                         kSlot,
                         "--start",
                         "-f",
                         "/dev/null",
                         "-o",
                         "proto_version=1",
                         "-o",
                         "publication_names=headgate_test"};
  Subprocess reader(pg_recvlogical);
  wait_until("the other reader", 30s, [&] { return setup.slot("active") == "t"; });
  setup.daemon().start();
  wait_until("the daemon to say so", 30s,
             [&] { return says(setup.daemon().log(), "is active for PID"); });
  CHECK(setup.daemon().running());
  reader.kill();
  setup.on_source("INSERT INTO public.items VALUES (2, 'two')");
  setup.catch_up(90s);
  CHECK(setup.differences({"public.items"}) == "");
}

TEST_CASE("a slot that is gone, or made anew, is a gap that is named before anything is read") {
  Mirrored setup;
  CHECK(setup.daemon().terminate().ok());
  setup.on_source(std::string("SELECT pg_drop_replication_slot('") + kSlot + "')");
  setup.on_source("INSERT INTO public.items VALUES (2, 'missed')");
  SECTION("gone") {
    setup.daemon().start();
    CHECK(setup.daemon().wait_exit().code == 76);
    CHECK(says(setup.daemon().log(), "replication slot headgate_test does not exist"));
  }
  SECTION("made anew") {
    setup.on_source(std::string("SELECT pg_create_logical_replication_slot('") + kSlot +
                    "', 'pgoutput')");
    setup.daemon().start();
    CHECK(setup.daemon().wait_exit().code == 76);
    CHECK(says(setup.daemon().log(), "what lies between is no longer sent"));
  }
  const RunResult check = setup.daemon().command({"check"});
  CHECK(check.status->code == 76);
}

TEST_CASE("a sink of another source is refused") {
  Mirrored setup;
  CHECK(setup.daemon().terminate().ok());
  ThrowawayCluster other;
  PgSession(other.conninfo())
      .execute(
          "CREATE TABLE public.items (id integer PRIMARY KEY, t text);"
          "CREATE TABLE public.sync_marker (id integer PRIMARY KEY, round bigint)");
  PipelineConfig config;
  config.source_dsn = other.conninfo();
  config.tables = {"public.*"};
  config.sinks = {sqlite_sink("file", setup.sqlite_path())};
  Daemon daemon(setup.folder(), config, "other");
  daemon.start();
  CHECK(daemon.wait_exit().code == 76);
  CHECK(says(daemon.log(), "history"));
}

// A socket as systemd gives one to the service.
TEST_CASE("systemd is told when the daemon is ready, lives and stops") {
  const TempDir folder;
  const std::string path = folder.path("notify");
  const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  REQUIRE(socket >= 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  REQUIRE(::bind(socket, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  const timeval patience{30, 0};
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  const auto wait_for = [&](const std::string& word) {
    char buffer[4096];
    while (true) {
      const ssize_t size = ::recv(socket, buffer, sizeof(buffer), 0);
      if (size <= 0) {
        return false;
      }
      if (says(std::string(buffer, static_cast<std::size_t>(size)), word)) {
        return true;
      }
    }
  };

  ::setenv("NOTIFY_SOCKET", path.c_str(), 1);
  MirrorSetup setup({"public.items"});
  PgSession(setup.source().conninfo())
      .execute("CREATE TABLE public.items (id integer PRIMARY KEY, t text)");
  setup.daemon().start();
  ::unsetenv("NOTIFY_SOCKET");
  CHECK(wait_for("READY=1"));
  CHECK(wait_for("WATCHDOG=1"));
  CHECK(wait_for("STATUS=streaming"));
  CHECK(setup.daemon().terminate().ok());
  CHECK(wait_for("STOPPING=1"));
  ::close(socket);
}
