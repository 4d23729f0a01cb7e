// A server that hangs, or something between here and there that does: TCP lives, and no byte comes.

#include <memory>
#include <string>

#include <catch2/catch.hpp>

#include "base/error.hpp"
#include "demo/pg_session.hpp"
#include "demo/throwaway_cluster.hpp"
#include "source/postgres/postgres_source.hpp"
#include "support/tcp_gate.hpp"

using namespace headgate;
using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

// A source behind a gate, with its stream open. The server says nothing by itself.
struct QuietSource {
  QuietSource()
      : cluster({.settings = {{"wal_sender_timeout", "0"}}, .tcp = true}), gate(cluster.port()) {
    demo::PgSession(cluster.conninfo())
        .execute("CREATE TABLE public.items (id integer PRIMARY KEY)");
    source::postgres::Options options;
    options.conninfo =
        "host=127.0.0.1 user=postgres dbname=postgres port=" + std::to_string(gate.port());
    options.slot = options.publication = "headgate_test";
    options.tables = {"public.items"};
    options.receive_timeout = 2s;
    source = std::make_unique<source::postgres::PostgresSource>(
        options, clock, std::make_shared<spdlog::logger>("quiet"));
    source->prepare({});
    source->cdc().open({});
  }

  demo::ThrowawayCluster cluster;
  TcpGate gate;
  SystemClock clock;
  std::unique_ptr<source::postgres::PostgresSource> source;
};

}  // namespace

TEST_CASE("a source that hangs while the connection lives is taken for lost") {
  QuietSource quiet;
  quiet.gate.hold();
  const TimePoint begun = quiet.clock.now();
  try {
    while (quiet.clock.now() < begun + 30s) {
      quiet.source->cdc().fetch({}, quiet.clock.now() + 100ms);
    }
    FAIL("it waits for ever");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kTransient);
    CHECK_THAT(error.what(), Catch::Contains("has not answered"));
  }
  CHECK(quiet.clock.now() - begun >= 2s);
  quiet.gate.heal();
}

TEST_CASE("a source that has nothing to say is asked, and not taken for lost") {
  QuietSource quiet;
  const TimePoint begun = quiet.clock.now();
  while (quiet.clock.now() < begun + 5s) {
    CHECK_NOTHROW(quiet.source->cdc().fetch({}, quiet.clock.now() + 100ms));
  }
  demo::PgSession(quiet.cluster.conninfo()).execute("INSERT INTO public.items VALUES (1)");
  std::size_t changes = 0;
  while (changes == 0 && quiet.clock.now() < begun + 30s) {
    for (const auto& transaction :
         quiet.source->cdc().fetch({}, quiet.clock.now() + 1s).transactions) {
      changes += transaction->changes().size();
    }
  }
  CHECK(changes == 1);
}
