// Both of the daemon's networks fail again and again, in every way that the gates know, while two
// applications write and the daemon itself is killed now and then. Nothing may be lost, applied
// twice, torn or reordered, at the end or at any moment on the way.

#include <algorithm>
#include <array>
#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "support/application_load.hpp"
#include "support/mirror_setup.hpp"
#include "support/random_seed.hpp"

using namespace headgate::test;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

constexpr std::uint64_t kRounds = 9;  // each trouble once on each side
constexpr std::uint64_t kRoundsInFull = 100;
constexpr int kRoundsInCopy = 3;  // at first, cut while the first copy is made

using Random = std::mt19937_64;

enum class Trouble {
  kNone,
  kCut,         // all connections
  kCutMessage,  // one, behind any byte
  kCutPoint,    // one, around the statement at which the most hangs
  kHold,        // one way or both, while TCP lives
  kBlackHole,   // until the daemon notices
  kSlices,
  kSlow,
  kRefuse,  // cut, and refused until the daemon notices
};

constexpr std::array kTroubles{Trouble::kNone,     Trouble::kCut,  Trouble::kCutMessage,
                               Trouble::kCutPoint, Trouble::kHold, Trouble::kBlackHole,
                               Trouble::kSlices,   Trouble::kSlow, Trouble::kRefuse};

std::string to_string(Trouble trouble) {
  switch (trouble) {
    case Trouble::kNone:
      return "none";
    case Trouble::kCut:
      return "cut";
    case Trouble::kCutMessage:
      return "cut in a message";
    case Trouble::kCutPoint:
      return "cut at the point";
    case Trouble::kHold:
      return "hold";
    case Trouble::kBlackHole:
      return "black hole";
    case Trouble::kSlices:
      return "slices";
    case Trouble::kSlow:
      return "slow";
    case Trouble::kRefuse:
      return "refuse";
  }
  return "?";
}

bool waits_for_notice(Trouble trouble) {
  return trouble == Trouble::kBlackHole || trouble == Trouble::kRefuse;
}

// `point`: a statement, for kCutPoint.
void begin(Trouble trouble, TcpGate& gate, const std::string& point, Random& random) {
  const auto one_of = [&](auto first, auto second) { return random() % 2 == 0 ? first : second; };
  const CutKind kind = one_of(CutKind::kReset, CutKind::kClose);
  const Strike strike = one_of(Strike::kReset, Strike::kClose);
  const Way way = one_of(Way::kToServer, Way::kToClient);
  switch (trouble) {
    case Trouble::kNone:
      return;
    case Trouble::kCut:
      gate.cut(kind);
      return;
    case Trouble::kCutMessage:
      gate.strike_after(way, 1 + random() % (way == Way::kToServer ? 3'000 : 30'000), strike);
      return;
    case Trouble::kCutPoint:
      gate.strike_at(way, point, one_of(Moment::kBefore, Moment::kAfter), strike,
                     static_cast<unsigned>(random() % 4));
      return;
    case Trouble::kHold:
      if (random() % 3 == 0) {
        gate.hold();
      } else {
        gate.hold(way);
      }
      return;
    case Trouble::kBlackHole:
      gate.black_hole();
      return;
    case Trouble::kSlices:
      gate.slice(1 + random() % 200, random());
      return;
    case Trouble::kSlow:
      gate.slow(Way::kToServer, std::chrono::milliseconds(random() % 10), 300'000);
      gate.slow(Way::kToClient, std::chrono::milliseconds(random() % 10), 300'000);
      return;
    case Trouble::kRefuse:
      gate.refuse();
      gate.cut(kind);
      return;
  }
}

// How often the daemon has said so far that it lost a server or did not reach it.
std::uint64_t failures_noticed(const Daemon& daemon) {
  const std::string log = daemon.log();
  const std::string words = " retry_in=";
  std::uint64_t noticed = 0;
  for (auto at = log.find(words); at != std::string::npos; at = log.find(words, at + 1)) {
    ++noticed;
  }
  return noticed;
}

// One trouble for each round; in any number of them, all come about equally often.
std::vector<Trouble> shuffled_troubles(std::uint64_t rounds, Random& random) {
  std::vector<Trouble> deck;
  while (deck.size() < rounds) {
    auto part = kTroubles;
    std::shuffle(part.begin(), part.end(), random);
    deck.insert(deck.end(), part.begin(), part.end());
  }
  return deck;
}

MirrorOptions impatient() {
  // Noticed within three seconds, where the defaults take half a minute.
  const std::string keywords =
      "keepalives_idle=1 keepalives_interval=1 keepalives_count=2 tcp_user_timeout=2000";
  MirrorOptions options;
  options.source_settings = {{"wal_sender_timeout", "3s"}};
  options.gates = true;
  options.source_keywords = keywords;
  options.sink_keywords = keywords;
  return options;
}

class Rounds {
 public:
  Rounds(std::uint64_t seed, std::uint64_t rounds)
      : random_(seed),
        rounds_(rounds),
        setup_(ApplicationLoad::patterns(), impatient()),
        load_(setup_.source().conninfo(), setup_.folder().path("pgbench.log"), seed) {}

  void run() {
    load_.start();
    disturb_the_copy();
    MirrorReaders readers(setup_.sink().conninfo(), setup_.sqlite_path());
    const std::vector<Trouble> at_source = shuffled_troubles(rounds_, random_);
    const std::vector<Trouble> at_sink = shuffled_troubles(rounds_, random_);
    for (std::uint64_t round = 0; round < rounds_; ++round) {
      INFO("round " << round << ", at the source " << to_string(at_source.at(round))
                    << ", at the sink " << to_string(at_sink.at(round)));
      disturb(at_source.at(round), at_sink.at(round));
      REQUIRE(readers.violations() == "");
    }
    setup_.source_gate().heal();
    setup_.sink_gate().heal();
    load_.stop();
    finish();
    CHECK(load_differences(setup_) == "");
    std::string last_error;
    const std::uint64_t answers = readers.finish(last_error);
    INFO(last_error);
    CHECK(answers > 20);  // none was blind
    CHECK(readers.violations() == "");
  }

 private:
  std::uint64_t between(std::uint64_t low, std::uint64_t high) {
    return std::uniform_int_distribution<std::uint64_t>(low, high)(random_);
  }

  // The first copy is one transaction of each sink: cut anywhere, it begins anew.
  void disturb_the_copy() {
    setup_.daemon().start();
    for (int round = 0; round < kRoundsInCopy; ++round) {
      TcpGate& gate = random_() % 2 == 0 ? setup_.source_gate() : setup_.sink_gate();
      const Way way = &gate == &setup_.sink_gate() ? Way::kToServer : Way::kToClient;
      gate.strike_after(way, between(1, 4'000'000), Strike::kReset);
      load_.run_for(between(100, 400));
      gate.disarm();
    }
    setup_.daemon().wait_ready(120s);
  }

  void disturb(Trouble at_source, Trouble at_sink) {
    const std::uint64_t noticed = failures_noticed(setup_.daemon());
    const std::uint64_t struck = setup_.sink_gate().counters().struck;
    begin(at_source, setup_.source_gate(), "START_REPLICATION", random_);
    begin(at_sink, setup_.sink_gate(), "COMMIT", random_);
    load_.run_for(between(20, 400));
    REQUIRE(setup_.daemon().running());  // it may only end because we kill it
    if (random_() % 3 == 0) {
      setup_.daemon().kill9();
      setup_.daemon().start();
    }
    // A sink that gets nothing to write need not notice anything.
    if (at_source == Trouble::kHold) {
      setup_.source_gate().release();
    }
    if (waits_for_notice(at_source) || waits_for_notice(at_sink)) {
      setup_.daemon().wait_until("the daemon to notice", 60s,
                                 [&] { return failures_noticed(setup_.daemon()) > noticed; });
    }
    setup_.source_gate().heal();
    if (at_sink == Trouble::kCutMessage || at_sink == Trouble::kCutPoint) {
      setup_.daemon().wait_until("the strike", 60s,
                                 [&] { return setup_.sink_gate().counters().struck > struck; });
    }
    setup_.sink_gate().heal();
    REQUIRE(setup_.daemon().running());
    // Now and then the next trouble meets a daemon that has not recovered.
    if (random_() % 4 != 0) {
      setup_.catch_up(90s);
    }
  }

  // Everything is applied, by the daemon as it runs or by one that ends when it is done.
  void finish() {
    if (random_() % 2 == 0) {
      setup_.catch_up(120s);
      CHECK(setup_.daemon().terminate().ok());
      return;
    }
    setup_.daemon().kill9();
    setup_.daemon().start({"--until", "now"});
    const auto ended = setup_.daemon().wait_exit(120s);
    INFO(setup_.daemon().log_end());
    CHECK(ended.ok());
  }

  Random random_;
  std::uint64_t rounds_;
  MirrorSetup setup_;
  ApplicationLoad load_;
};

}  // namespace

TEST_CASE("networks that fail in every way lose, repeat, tear and reorder nothing") {
  const std::uint64_t seed = random_seed("gate_rounds");
  INFO("HEADGATE_SEED=" << seed);
  const bool full = number_from_environment("HEADGATE_TEST_FULL", 0) != 0;
  Rounds rounds(seed,
                number_from_environment("HEADGATE_GATE_ROUNDS", full ? kRoundsInFull : kRounds));
  rounds.run();
}
