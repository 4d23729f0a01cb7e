// A daemon dies while its network is gone: the sink's server goes on believing in the session,
// which holds the pipeline's lock. The next process must get it within the time-outs that are
// documented (src/sink/postgres/README.md), although nobody ever tells the server.

#include <memory>
#include <string>

#include <catch2/catch.hpp>

#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"
#include "support/wait_until.hpp"

using namespace headgate::demo;
using namespace headgate::test;
using namespace std::chrono_literals;
using namespace std::string_literals;
using headgate::Duration;
using headgate::SystemClock;
using headgate::TimePoint;

namespace {

// idle_in_transaction_session_timeout (60 s); keep-alives and tcp_user_timeout end it sooner. With
// what the next attempt's back-off adds (15 s), and a busy machine.
constexpr Duration kTakeOverMax = 60s + 15s + 15s;

// The end of a query of PostgreSQL's protocol, behind the position.
const std::string kCommit = "; COMMIT\0"s;

// A pipeline whose network to the sink goes while it works, with a second daemon that reaches the
// sink by another way.
class HalfOpen {
 public:
  explicit HalfOpen(const MirrorOptions& options) : setup_({"public.items"}, options) {
    on_source("CREATE TABLE public.items (n integer, t text)");  // no key: twice would show
    setup_.daemon().start();
    setup_.daemon().wait_ready();
    setup_.catch_up();
    session_ = lock_holder();
  }

  MirrorSetup& setup() { return setup_; }
  void on_source(const std::string& sql) { PgSession(setup_.source().conninfo()).execute(sql); }

  // Waits for the armed strike, then kills the daemon and starts the other.
  void lose_and_replace() {
    wait_until("the network to go", 30s, [&] { return setup_.sink_gate().counters().struck == 1; });
    lost_at_ = clock_.now();
    setup_.daemon().kill9();
    PipelineConfig config = setup_.config();
    config.sinks = {sqlite_sink("file", setup_.sqlite_path()),
                    postgres_sink("server", setup_.sink().conninfo())};
    next_ = std::make_unique<Daemon>(setup_.folder(), config, "next");
    next_->start();
  }

  // Returns when the next process has the lock. Throws WaitedTooLong.
  void wait_for_take_over() {
    next_->wait_until("the next process to say whom it waits for", 30s,
                      [&] { return says("server pid " + session_ + ")"); });
    next_->wait_until("the next process to take over", 2 * kTakeOverMax,
                      [&] { return says("sink connected sink=server"); });
    CHECK(clock_.now() - lost_at_ < kTakeOverMax);
    CHECK(says("holds the lock of pipeline test; waiting for it to end"));
  }

  // The marker is waited for by hand, since the setup's own daemon is dead.
  void check_nothing_lost() {
    on_source("UPDATE public.sync_marker SET round = -1");
    wait_until("the sinks to catch up", 60s, [&] {
      return PgSession(setup_.sink().conninfo()).value("SELECT round FROM sync_marker") == "-1";
    });
    CHECK(next_->terminate().ok());  // ... and the other sink is drained
    CHECK(setup_.differences({"public.items"}) == "");
  }

 private:
  std::string lock_holder() {
    return PgSession(setup_.sink().conninfo())
        .value("SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted");
  }
  bool says(const std::string& words) const {
    return next_->log().find(words) != std::string::npos;
  }

  SystemClock clock_;
  MirrorSetup setup_;
  std::string session_;
  TimePoint lost_at_{};
  std::unique_ptr<Daemon> next_;
};

}  // namespace

// Both at once, since both wait for time-outs of half a minute and more.
//
// Idle: the server has sent its answer and waits for the next statement, so that keep-alives find
// out. Answering: its answer to COMMIT is never acknowledged, so that TCP sends it again instead of
// keep-alives, and no transaction is open either; without tcp_user_timeout on the server's side
// that goes on for a quarter of an hour.
TEST_CASE(
    "a sink session left half open is waited for by name, ends in time, and nothing is lost") {
  MirrorOptions options;
  options.gates = true;
  HalfOpen idle(options);
  // Half a second for each COMMIT, so that the network is gone before its answer is sent.
  options.sink_settings = {{"fsync", "on"}, {"commit_delay", "100000"}, {"commit_siblings", "0"}};
  HalfOpen answering(options);

  // The position is locked by then, and the thousand rows below are about to be copied.
  idle.setup().sink_gate().strike_at(Way::kToServer, "SAVEPOINT", Moment::kBefore,
                                     Strike::kBlackHole);
  answering.setup().sink_gate().strike_at(Way::kToServer, kCommit, Moment::kAfter,
                                          Strike::kBlackHole);
  for (HalfOpen* one : {&idle, &answering}) {
    one->on_source("INSERT INTO public.items SELECT i, 'x' FROM generate_series(1, 1000) i");
    one->lose_and_replace();
    one->on_source("INSERT INTO public.items VALUES (-1, 'meanwhile')");
  }
  for (HalfOpen* one : {&idle, &answering}) {
    one->wait_for_take_over();
    one->check_nothing_lost();
  }
}
