// A clean shutdown of the source waits until its walsenders' clients have confirmed everything. It
// must not wait for a sink of ours that takes nothing (I10), and nothing may be lost by hanging up.

#include <string>

#include <catch2/catch.hpp>

#include "demo/order_schema.hpp"
#include "demo/order_workload.hpp"
#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

using StopMode = ThrowawayCluster::StopMode;

// stop() throws when the server has not ended within this; without a sink in the way it takes one
// or two seconds.
constexpr auto kShutdownMax = 30s;

void insert_rows(ThrowawayCluster& source, int from, int to) {
  PgSession(source.conninfo())
      .execute("INSERT INTO public.items SELECT i, repeat('x', 200) FROM generate_series(" +
               std::to_string(from) + ", " + std::to_string(to) + ") i");
}

}  // namespace

TEST_CASE("the source shuts down cleanly while a sink is down, and nothing is lost") {
  MirrorSetup setup({"public.items"});
  PgSession(setup.source().conninfo())
      .execute("CREATE TABLE public.items (id integer PRIMARY KEY, t text)");
  setup.daemon().start();
  setup.daemon().wait_ready();
  insert_rows(setup.source(), 1, 100);
  setup.catch_up();

  setup.sink().stop(StopMode::kFast);
  SECTION("with a little that is not confirmed") {
    insert_rows(setup.source(), 101, 200);
  }
  SECTION("with more than the queues hold") {
    for (int i = 0; i < 40; ++i) {
      insert_rows(setup.source(), 1000 + i * 10000, 10999 + i * 10000);
    }
  }
  CHECK_NOTHROW(setup.source().stop(StopMode::kFast, kShutdownMax));

  REQUIRE(setup.daemon().running());
  setup.source().start();
  setup.sink().start();
  setup.catch_up(120s);
  CHECK(setup.differences({"public.items"}) == "");
  CHECK(setup.daemon().terminate().ok());
}

TEST_CASE("a server that is source and sink at once shuts down and comes back") {
  const TempDir folder;
  ThrowawayCluster cluster;
  PgSession(cluster.conninfo()).execute("CREATE DATABASE report");
  PgSession(cluster.conninfo())
      .execute("CREATE TABLE public.items (id integer PRIMARY KEY, t text)");
  PipelineConfig config;
  config.source_dsn = cluster.conninfo();
  config.tables = {"public.items"};
  config.sinks = {postgres_sink("report", cluster.conninfo("report"))};
  Daemon daemon(folder, config);
  daemon.start();
  daemon.wait_ready();
  const auto mirrored = [&] {
    return PgSession(cluster.conninfo("report")).value("SELECT count(*) FROM items");
  };
  for (int round = 0; round < 3; ++round) {
    insert_rows(cluster, round * 100 + 1, round * 100 + 100);
    CHECK_NOTHROW(cluster.stop(StopMode::kFast, kShutdownMax));
    REQUIRE(daemon.running());
    cluster.start();
    wait_until("the rows", 60s, [&] { return mirrored() == std::to_string(round * 100 + 100); });
  }
  CHECK(daemon.terminate().ok());
}

// Mirroring into the captured tables themselves would feed on itself for ever.
TEST_CASE("a sink that is the captured table itself is refused") {
  const TempDir folder;
  ThrowawayCluster cluster;
  PgSession(cluster.conninfo())
      .execute("CREATE TABLE public.items (id integer PRIMARY KEY, t text)");
  PipelineConfig config;
  config.source_dsn = cluster.conninfo();
  config.tables = {"*.items"};
  config.sinks = {"{ name: self, type: postgres, dsn: \"" + cluster.conninfo() +
                  "\", mirror: { schema: live } }"};
  Daemon daemon(folder, config);
  daemon.start();
  CHECK(daemon.wait_exit().code == 77);
  CHECK(daemon.log().find("live.items is captured from this very database") != std::string::npos);
}
