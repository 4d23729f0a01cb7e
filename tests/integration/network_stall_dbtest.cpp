// A network that stalls: nobody is told, and nothing but time-outs can notice.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/sqlite_file.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;
using namespace std::string_literals;
using headgate::Duration;
using headgate::SystemClock;
using headgate::TimePoint;

namespace {

constexpr Duration kShutdownTimeout = 3s;
// What the daemon adds for threads to come back, and what a busy machine needs to end a process.
constexpr Duration kShutdownGrace = 4s;
constexpr Duration kEndOfProcess = 3s;

// Where a transaction of the sink begins and ends, in queries of PostgreSQL's protocol.
const std::string kBegin = "BEGIN; EXECUTE headgate_lock\0"s;
const std::string kCommit = "; COMMIT\0"s;

MirrorOptions gated(const std::string& keywords) {
  MirrorOptions options;
  options.gates = true;
  options.source_keywords = keywords;
  options.sink_keywords = keywords;
  options.more = "shutdown_timeout: 3s\n";
  return options;
}

// Noticed within three seconds or so, where the defaults take half a minute.
MirrorOptions impatient() {
  MirrorOptions options =
      gated("keepalives_idle=1 keepalives_interval=1 keepalives_count=2 tcp_user_timeout=2000");
  options.source_settings = {{"wal_sender_timeout", "3s"}};
  return options;
}

// A pipeline with one table, its first copy finished.
class Stalled : public MirrorSetup {
 public:
  explicit Stalled(const MirrorOptions& options) : MirrorSetup({"public.items"}, options) {
    on_source("CREATE TABLE public.items (id serial PRIMARY KEY, t text)");
    daemon().start();
    daemon().wait_ready();
    catch_up();
  }

  void on_source(const std::string& sql) { PgSession(source().conninfo()).execute(sql); }
  void insert(int rows) {
    on_source("INSERT INTO public.items (t) SELECT repeat('x', 200) FROM generate_series(1, " +
              std::to_string(rows) + ")");
  }
  std::string rows_at_source() { return PgSession(source().conninfo()).value(kCount); }
  std::string rows_at_sink() { return PgSession(sink().conninfo()).value(kCount); }
  std::string rows_in_file() const { return SqliteFile(sqlite_path()).value(kCount); }

  // Waits until the log, from `offset` on, says `words`.
  void wait_for_log(const std::string& words, std::size_t offset, Duration timeout) {
    daemon().wait_until("the daemon to say: " + words, timeout,
                        [&] { return daemon().log().find(words, offset) != std::string::npos; });
  }

 private:
  static constexpr const char* kCount = "SELECT count(*) FROM items";
};

// SIGTERM, and the end in time. What is not applied is read again, so that both codes are good.
void check_ends_in_time(Daemon& daemon) {
  const SystemClock clock;
  const TimePoint asked = clock.now();
  const auto ended = daemon.terminate(60s);
  const Duration taken = clock.now() - asked;
  INFO(daemon.log_end());
  INFO("taken " << std::chrono::duration_cast<std::chrono::milliseconds>(taken).count() << " ms");
  CHECK((ended.ok() || ended.code == 75));
  CHECK(taken < kShutdownTimeout + kShutdownGrace + kEndOfProcess);
}

}  // namespace

// The sink is slow, so that much is on its way to it when the source falls silent.
TEST_CASE("while the source's network is stalled the sinks go on, and it is noticed and survived") {
  Stalled setup(impatient());
  setup.sink_gate().slow(Way::kToServer, {}, 1'000'000);
  for (int transaction = 0; transaction < 20; ++transaction) {
    setup.insert(1000);
  }
  const std::string wanted = setup.rows_at_source();
  wait_until("all to be read", 30s, [&] { return setup.rows_in_file() == wanted; });
  const std::size_t said = setup.daemon().log().size();
  setup.source_gate().black_hole();
  CHECK(setup.rows_at_sink() != wanted);
  setup.wait_for_log("source unavailable", said, 20s);
  wait_until("the sink to go on", 60s, [&] { return setup.rows_at_sink() == wanted; });
  setup.insert(100);
  setup.source_gate().release();
  setup.sink_gate().heal();
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK(setup.daemon().terminate().ok());
}

// The server, or a proxy before it, hangs while TCP lives: no time-out of the network's notices,
// and the capture thread itself asks the server about its slot now and then.
TEST_CASE("a source that hangs while its connections live is noticed and survived") {
  Stalled setup(gated(""));
  const std::size_t said = setup.daemon().log().size();
  setup.source_gate().hold();
  setup.wait_for_log("source unavailable", said, 90s);
  setup.insert(100);
  setup.source_gate().release();
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
}

TEST_CASE("while a sink's network is stalled the other sink goes on, and it is noticed") {
  Stalled setup(impatient());
  const std::size_t said = setup.daemon().log().size();
  setup.sink_gate().black_hole();
  setup.insert(500);
  const std::string wanted = setup.rows_at_source();
  wait_until("the other sink", 30s, [&] { return setup.rows_in_file() == wanted; });
  CHECK(setup.rows_at_sink() == "0");
  setup.wait_for_log("sink unavailable sink=server", said, 20s);
  setup.insert(500);
  const std::string more = setup.rows_at_source();
  wait_until("the other sink again", 30s, [&] { return setup.rows_in_file() == more; });
  setup.sink_gate().release();
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK(setup.daemon().terminate().ok());
}

// With the time-outs of TCP that the daemon sets by itself, or with a network where TCP lives and
// none of them fires: what is left is the daemon's own patience.
TEST_CASE("a SIGTERM while a network is stalled ends the process within shutdown_timeout") {
  Stalled setup(gated(""));
  struct Stall {
    const char* name;
    std::function<void()> begin;
  };
  TcpGate& source = setup.source_gate();
  TcpGate& sink = setup.sink_gate();
  const std::vector<Stall> stalls{
      {"source held", [&] { source.hold(); }},
      {"sink held", [&] { sink.hold(); }},
      {"both in a black hole",
       [&] {
         source.black_hole();
         sink.black_hole();
       }},
      {"sink held at a COMMIT",
       [&] { sink.strike_at(Way::kToServer, kCommit, Moment::kBefore, Strike::kHold); }},
  };
  for (const Stall& stall : stalls) {
    INFO(stall.name);
    stall.begin();
    setup.insert(100);
    const std::string wanted = setup.rows_at_source();
    if (stall.name != "source held"s && stall.name != "both in a black hole"s) {
      wait_until("the other sink", 30s, [&] { return setup.rows_in_file() == wanted; });
    }
    check_ends_in_time(setup.daemon());
    source.heal();
    sink.heal();
    setup.daemon().start();
    setup.daemon().wait_ready(90s);
    setup.catch_up();
    CHECK(setup.differences({"public.items"}) == "");
  }
  CHECK(setup.daemon().terminate().ok());
}

// Where one thread does all the work and asks both servers this and that.
TEST_CASE(
    "a SIGTERM while the daemon starts on a stalled network ends it within shutdown_timeout") {
  Stalled setup(gated(""));
  CHECK(setup.daemon().terminate().ok());
  struct Stall {
    const char* name;
    TcpGate& gate;
    const char* at;  // the statement that gets no answer
  };
  for (const Stall& stall : {Stall{"source", setup.source_gate(), "IDENTIFY_SYSTEM"},
                             Stall{"sink", setup.sink_gate(), "pg_try_advisory_lock"}}) {
    INFO(stall.name);
    const auto struck = stall.gate.counters().struck;
    stall.gate.strike_at(Way::kToServer, stall.at, Moment::kAfter, Strike::kHold);
    setup.daemon().start();
    wait_until("the stall", 30s, [&] { return stall.gate.counters().struck > struck; });
    check_ends_in_time(setup.daemon());
    stall.gate.heal();
  }
  setup.insert(100);
  setup.daemon().start();
  setup.daemon().wait_ready();
  setup.catch_up();
  CHECK(setup.differences({"public.items"}) == "");
  CHECK(setup.daemon().terminate().ok());
}
