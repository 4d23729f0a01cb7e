// What becomes of the replication slot: it follows while nothing happens, is waited for while
// somebody else holds it, and its loss is said before anything is read.

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "demo/subprocess.hpp"
#include "source/postgres/replication_stream.hpp"
#include "support/mirror_setup.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using headgate::source::postgres::ReplicationStream;
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
             [&] { return says(setup.daemon().log(), "slot headgate_test is in use by"); });
  wait_until("the daemon to name it", 30s,
             [&] { return says(setup.daemon().log(), "pg_recvlogical"); });
  wait_until("the daemon to wait", 30s,
             [&] { return says(setup.daemon().log(), "it is waited for"); });
  CHECK_FALSE(says(setup.daemon().log(), "is active for PID"));  // we have not even asked
  const RunResult check = setup.daemon().command({"check"});
  CHECK(check.status->ok());
  CHECK(says(check.out, "warn  source: replication slot headgate_test is in use by"));
  CHECK(setup.daemon().running());
  reader.kill();
  setup.on_source("INSERT INTO public.items VALUES (2, 'two')");
  setup.catch_up(90s);
  CHECK(setup.differences({"public.items"}) == "");
}

namespace {

// Neither the daemon nor check goes on, and both say `words`; nothing reaches a sink meanwhile.
void check_position_lost(Mirrored& setup, const std::string& words) {
  const std::size_t said = setup.daemon().log().size();
  const auto sink = [&] {
    return PgSession(setup.sink().conninfo())
        .value("SELECT count(*) || ' ' || max(position) FROM public.items, headgate_positions");
  };
  const std::string before = sink();
  setup.daemon().start();
  CHECK(setup.daemon().wait_exit().code == 76);
  const std::string log = setup.daemon().log().substr(said);
  INFO(log);
  CHECK(says(log, words));
  CHECK(says(log, "start again with a new copy"));
  CHECK_FALSE(says(log, "capturer opened"));  // before START_REPLICATION
  CHECK(sink() == before);
  const RunResult check = setup.daemon().command({"check"});
  CHECK(check.status->code == 76);
  CHECK(says(check.out, words));
}

}  // namespace

TEST_CASE("a slot that is gone, or made anew, is a gap that is named before anything is read") {
  Mirrored setup;
  CHECK(setup.daemon().terminate().ok());
  setup.on_source(std::string("SELECT pg_drop_replication_slot('") + kSlot + "')");
  setup.on_source("INSERT INTO public.items VALUES (2, 'missed')");
  SECTION("gone") {
    check_position_lost(setup, "replication slot headgate_test does not exist");
  }
  SECTION("made anew") {
    setup.on_source(std::string("SELECT pg_create_logical_replication_slot('") + kSlot +
                    "', 'pgoutput')");
    check_position_lost(setup, "what lies between is no longer sent");
  }
}

// The walsender is ended and the slot taken from under it, as an administrator in need of disk
// space does.
TEST_CASE("a slot that is dropped under a running daemon, or made anew, stops it") {
  Mirrored setup;
  const bool anew = GENERATE(false, true);
  wait_until("the slot to be dropped", 60s, [&] {
    setup.on_source(
        "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE active");
    try {
      setup.on_source(std::string("SELECT pg_drop_replication_slot('") + kSlot + "')");
      return true;
    } catch (const PgError&) {
      return false;  // the daemon was faster
    }
  });
  setup.on_source("INSERT INTO public.items VALUES (2, 'missed')");
  if (anew) {
    // May come after the daemon has looked already, and found none: a gap as well.
    setup.on_source(std::string("SELECT pg_create_logical_replication_slot('") + kSlot +
                    "', 'pgoutput')");
  }
  CHECK(setup.daemon().wait_exit().code == 76);
  CHECK(
      PgSession(setup.sink().conninfo()).value("SELECT count(*) FROM public.items WHERE id = 2") ==
      "0");
}

// max_slot_wal_keep_size protects the source's disk at our expense.
TEST_CASE("a slot whose log was removed is lost, and its loss is named with the setting") {
  Mirrored setup;
  CHECK(setup.daemon().terminate().ok());
  setup.on_source("ALTER SYSTEM SET max_slot_wal_keep_size = '1MB'");
  setup.on_source("SELECT pg_reload_conf()");
  const RunResult check = setup.daemon().command({"check"});
  CHECK(check.status->ok());
  CHECK(says(check.out, "warn  source: max_slot_wal_keep_size is 1 MB"));
  // Only a checkpoint removes log: until then there is time to act.
  wait_until("the slot to be in danger", 60s, [&] {
    setup.on_source("INSERT INTO public.items SELECT max(id) + 1 FROM public.items");
    setup.on_source("SELECT pg_switch_wal()");
    return setup.slot("wal_status") == "unreserved";
  });
  const RunResult danger = setup.daemon().command({"check"});
  CHECK(danger.status->ok());
  CHECK(says(danger.out, "warn  source: replication slot headgate_test is about to be lost"));
  wait_until("the slot to be lost", 60s, [&] {
    setup.on_source(
        "INSERT INTO public.other SELECT i, 'x' FROM generate_series(1, 10) i "
        "ON CONFLICT DO NOTHING");
    setup.on_source("SELECT pg_switch_wal()");
    setup.on_source("CHECKPOINT");
    return setup.slot("wal_status") == "lost";
  });
  check_position_lost(setup, "replication slot headgate_test is lost: the server has removed log");
  CHECK(says(setup.daemon().log(), "max_slot_wal_keep_size"));
}

// PostgreSQL 18 and later.
TEST_CASE("a slot that was idle for too long is lost, and its loss is named with the setting") {
  Mirrored setup;
  if (std::stoi(setup.ask_source("SHOW server_version_num")) < 180000) {
    return;
  }
  CHECK(setup.daemon().terminate().ok());
  setup.on_source("ALTER SYSTEM SET idle_replication_slot_timeout = '1s'");
  setup.on_source("SELECT pg_reload_conf()");
  const RunResult check = setup.daemon().command({"check"});
  CHECK(says(check.out, "warn  source: idle_replication_slot_timeout is 1 s"));
  wait_until("the slot to be lost", 60s, [&] {
    setup.on_source("CHECKPOINT");
    return setup.slot("wal_status") == "lost";
  });
  check_position_lost(setup, "lost: nobody read it for longer than idle_replication_slot_timeout");
}

// A server that restarts can come back with an older confirmed position: it is saved rarely, and a
// checkpoint need not know of it. Here an old copy of the slot takes its place.
TEST_CASE("a slot whose position went back is no gap, and nothing is applied twice") {
  Mirrored setup;
  CHECK(setup.daemon().terminate().ok());
  setup.on_source(std::string("SELECT pg_copy_logical_replication_slot('") + kSlot + "', 'kept')");
  for (int round = 0; round < 2; ++round) {
    setup.daemon().start();
    setup.on_source("INSERT INTO public.items SELECT max(id) + 1, 'new' FROM public.items");
    setup.on_source("UPDATE public.items SET id = id + 1000, t = t || '+' WHERE id < 1000");
    setup.catch_up();
    CHECK(setup.differences({"public.items"}) == "");
    CHECK(setup.daemon().terminate().ok());
    const std::string ahead = setup.slot("confirmed_flush_lsn");
    setup.source().restart();
    setup.on_source(std::string("SELECT pg_drop_replication_slot('") + kSlot + "')");
    setup.on_source(std::string("SELECT pg_copy_logical_replication_slot('kept', '") + kSlot +
                    "')");
    CHECK(setup.slot("confirmed_flush_lsn < '" + ahead + "'") == "t");
  }
  CHECK(setup.daemon().command({"check"}).status->ok());
  setup.daemon().start();
  setup.on_source("DELETE FROM public.items WHERE id = 1001");
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK_FALSE(says(setup.daemon().log(), "position_lost"));
}

// Each sink for itself: the other one has moved on, and its position has let the slot move on, too.
TEST_CASE("a sink that was restored to before what the slot has discarded is named") {
  Mirrored setup;
  CHECK(setup.daemon().terminate().ok());
  const std::string file = setup.sqlite_path();
  const std::string backup = file + ".backup";
  std::filesystem::copy_file(file, backup);
  const std::string stand = setup.slot("confirmed_flush_lsn");
  setup.daemon().start();
  setup.on_source("INSERT INTO public.items VALUES (2, 'two')");
  setup.catch_up();
  CHECK(setup.daemon().terminate().ok());
  REQUIRE(setup.slot("confirmed_flush_lsn > '" + stand + "'") == "t");
  for (const char* suffix : {"-wal", "-shm"}) {
    std::filesystem::remove(file + suffix);
  }
  std::filesystem::rename(backup, file);
  check_position_lost(setup, "and sink file stands at");
  CHECK_FALSE(says(setup.daemon().log(), "and sink server stands at"));
}

// The server takes any position for true that a reader confirms (postgres-cdc.md, 5.2), and sends
// nothing of what commits before it.
TEST_CASE(
    "a slot that stands behind the end of the server's log is refused before the first copy") {
  MirrorSetup setup({"public.items"});
  PgSession source(setup.source().conninfo());
  source.execute("CREATE TABLE public.items (id integer PRIMARY KEY, t text)");
  source.execute(std::string("SELECT pg_create_logical_replication_slot('") + kSlot +
                 "', 'pgoutput')");
  source.execute("CREATE PUBLICATION headgate_test FOR TABLE public.items, public.sync_marker");
  {
    headgate::pq::ConnectOptions options;
    options.conninfo = setup.source().conninfo();
    options.role = "reader";
    ReplicationStream reader(options);
    reader.start(kSlot, 0, "proto_version '1', publication_names 'headgate_test'");
    reader.send_status(0, std::uint64_t{1} << 62, headgate::WallTime{});
    wait_until("the position to be confirmed", 30s, [&] {
      return source.value(
                 "SELECT confirmed_flush_lsn > pg_current_wal_lsn() FROM "
                 "pg_replication_slots") == "t";
    });
  }
  wait_until("the reader to be gone", 30s, [&] {
    return source.value("SELECT count(*) FROM pg_replication_slots WHERE active") == "0";
  });
  const RunResult check = setup.daemon().command({"check"});
  INFO(check.out);
  CHECK(check.status->code == 77);
  CHECK(says(check.out, "what commits until then would not be sent"));
  setup.daemon().start();
  CHECK(setup.daemon().wait_exit().code == 77);
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
