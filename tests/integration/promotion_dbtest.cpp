// The source fails over: a standby is promoted and goes on under a timeline of its own.
//
// One cluster plays both servers: stopped, started as a standby of nobody, and promoted. To the
// daemon that looks like a promoted standby that had received everything and whose slot was
// synchronised, which before PostgreSQL 17 takes an extension or a copy by hand.

#include <cstdlib>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/mirror_setup.hpp"
#include "support/sqlite_file.hpp"
#include "support/temp_dir.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

class Promoted : public MirrorSetup {
 public:
  Promoted() : MirrorSetup({"public.items"}) {
    on_source("CREATE TABLE public.items (id integer PRIMARY KEY, t text)");
    on_source("INSERT INTO public.items SELECT n, 'before' FROM generate_series(1, 100) n");
    daemon().start();
    daemon().wait_ready();
    catch_up();
  }

  void on_source(const std::string& sql) { PgSession(source().conninfo()).execute(sql); }

  // A server in recovery, which may last.
  void become_standby() {
    if (source().running()) {
      source().stop();
    }
    std::ofstream(source().folder() + "/data/standby.signal");
    source().start();
  }
  void promote() {
    become_standby();
    on_source("SELECT pg_promote()");
  }

  std::string timeline() {
    return PgSession(source().conninfo()).value("SELECT timeline_id FROM pg_control_checkpoint()");
  }
  std::string history_in_sink() {
    return PgSession(sink().conninfo())
        .value("SELECT split_part(history, ':', 3) FROM headgate_positions");
  }
};

bool says(const std::string& log, const std::string& words) {
  return log.find(words) != std::string::npos;
}

}  // namespace

TEST_CASE("a running pipeline follows a promoted standby that holds everything") {
  Promoted setup;
  setup.promote();
  setup.on_source("UPDATE public.items SET t = 'after' WHERE id <= 50");
  setup.on_source("INSERT INTO public.items VALUES (1000, 'after')");
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK(setup.history_in_sink() == "2");
  CHECK(says(setup.daemon().log(), "sink follows another history"));
  CHECK(setup.daemon().running());
}

// Whoever names both servers, or a name that moves, meets the standby before it is promoted.
TEST_CASE("a source that is still a standby is waited for, by a running and by a new process") {
  Promoted setup;
  const bool running = GENERATE(true, false);
  if (!running) {
    CHECK(setup.daemon().terminate().ok());
  }
  setup.become_standby();
  const std::size_t said = setup.daemon().log().size();
  if (!running) {
    setup.daemon().start();
  }
  setup.daemon().wait_until("the daemon to name the standby", 30s, [&] {
    return setup.daemon().log().find("the server is a standby", said) != std::string::npos;
  });
  setup.on_source("SELECT pg_promote()");
  setup.on_source("INSERT INTO public.items VALUES (1000, 'after')");
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
}

TEST_CASE("a pipeline that was stopped meanwhile goes on as well, twice") {
  Promoted setup;
  CHECK(setup.daemon().terminate().ok());
  setup.on_source("UPDATE public.items SET t = 'while down' WHERE id <= 50");
  setup.promote();
  setup.promote();
  setup.on_source("DELETE FROM public.items WHERE id > 90");
  setup.daemon().start();
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK(setup.history_in_sink() == "3");
}

// As if the old primary's last commits had never reached the standby: the sink is set ahead of the
// place where the new timeline begins.
TEST_CASE("a sink that holds more than the promoted standby is said to, and nothing is written") {
  Promoted setup;
  CHECK(setup.daemon().terminate().ok());
  setup.promote();
  PgSession(setup.sink().conninfo())
      .execute("UPDATE headgate_positions SET position = '0x00000000FFFFFFF0'");
  setup.on_source("INSERT INTO public.items VALUES (1000, 'after')");
  setup.daemon().start();
  CHECK(setup.daemon().wait_exit().code == 76);
  CHECK(says(setup.daemon().log(), "promoted (timeline 2) without all that sink"));
  CHECK(PgSession(setup.sink().conninfo())
            .value("SELECT count(*) FROM public.items WHERE id = 1000") == "0");
}

namespace {

// Primary and standby as two servers. Of the standby's slots, those of the primary that were made
// with FAILOVER are kept in step by the server itself (PostgreSQL 17 and later).
class TwoServers {
 public:
  TwoServers() {
    on_primary("CREATE TABLE public.items (id integer PRIMARY KEY, t text)");
    on_primary("SELECT pg_create_physical_replication_slot('standby')");
    on_primary(
        "SELECT pg_create_logical_replication_slot('headgate_test', 'pgoutput', failover => true)");
    primary.stop();
    standby.stop();
    const std::string from = primary.folder() + "/data";
    const std::string to = standby.folder() + "/data";
    REQUIRE(std::system(("rm -rf '" + to + "' && cp -a '" + from + "' '" + to + "' && rm -rf '" +
                         to + "'/pg_replslot/*")
                            .c_str()) == 0);
    std::ofstream(to + "/standby.signal");
    std::ofstream(to + "/postgresql.conf", std::ios::app)
        << "unix_socket_directories = '" << standby.folder() << "'\n"
        << "primary_conninfo = '" << primary.conninfo() << "'\n"
        << "primary_slot_name = 'standby'\nhot_standby_feedback = on\n"
        << "sync_replication_slots = on\n";
    primary.start();
    // We are sent nothing that the standby has not got.
    on_primary("ALTER SYSTEM SET synchronized_standby_slots = 'standby'");
    on_primary("SELECT pg_reload_conf()");
    standby.start();
  }

  void on_primary(const std::string& sql) const { PgSession(primary.conninfo()).execute(sql); }
  void on_standby(const std::string& sql) const { PgSession(standby.conninfo()).execute(sql); }
  std::string ask_standby(const std::string& sql) const {
    return PgSession(standby.conninfo()).value(sql);
  }

  ThrowawayCluster primary{{.fsync = false}};
  ThrowawayCluster standby{{.fsync = false}};
};

}  // namespace

TEST_CASE("a standby that keeps the slot in step takes over from a primary that died") {
  {
    const ThrowawayCluster cluster({.fsync = false});
    if (std::stoi(PgSession(cluster.conninfo()).value("SHOW server_version_num")) < 170000) {
      return;
    }
  }
  TwoServers servers;
  const TempDir folder;
  PipelineConfig config;
  config.source_dsn = "host=" + servers.primary.folder() + "," + servers.standby.folder() +
                      " port=5432,5432 dbname=postgres user=postgres "
                      "target_session_attrs=read-write";
  config.tables = {"public.items"};
  config.sinks = {sqlite_sink("file", folder.path("mirror.db"))};
  Daemon daemon(folder, config);
  const auto mirrored = [&](const std::string& count) {
    daemon.wait_until(count + " rows in the mirror", 60s, [&] {
      return SqliteFile(folder.path("mirror.db")).value("SELECT count(*) FROM items") == count;
    });
  };
  servers.on_primary("INSERT INTO public.items SELECT n, 'copied' FROM generate_series(1, 10) n");
  const RunResult before = daemon.command({"check"});
  INFO(before.out);
  CHECK(before.status->ok());
  CHECK_FALSE(says(before.out, "synchronized_standby_slots"));
  daemon.start();
  daemon.wait_ready();
  servers.on_primary("INSERT INTO public.items SELECT n, 'sent' FROM generate_series(11, 20) n");
  mirrored("20");
  daemon.wait_until("the standby to have the slot", 60s, [&] {
    return servers.ask_standby(
               "SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'headgate_test' "
               "AND synced AND NOT temporary") == "1";
  });

  servers.primary.kill9();
  servers.on_standby("SELECT pg_promote()");
  servers.on_standby("INSERT INTO public.items SELECT n, 'after' FROM generate_series(21, 30) n");
  servers.on_standby("DELETE FROM public.items WHERE id = 1");
  mirrored("29");
  CHECK(daemon.running());
  CHECK_FALSE(says(daemon.log(), "position_lost"));
  const RunResult check = daemon.command({"check"});
  INFO(check.out);
  CHECK(check.status->ok());
  CHECK_FALSE(says(check.out, "synchronized_standby_slots"));
  CHECK(daemon.terminate().ok());

  // As when the configuration came over with the data: the new primary waits for a standby that it
  // has not got, and says so in its own log only.
  servers.on_standby("ALTER SYSTEM SET synchronized_standby_slots = 'standby'");
  servers.on_standby("SELECT pg_reload_conf()");
  CHECK(says(daemon.command({"check"}).out,
             "warn  source: the server sends nothing that standby is not known to have"));
}
