// What tells a backlog from a busy source. Each case says how many messages were taken, and when it
// was asked then.

#include "source/postgres/flood_gauge.hpp"

#include <chrono>
#include <vector>

#include <catch2/catch.hpp>

using namespace headgate;
using namespace headgate::source::postgres;
using namespace std::chrono_literals;

namespace {

class Messages {
 public:
  // Takes `count` messages, `after` the last time.
  bool take(std::uint64_t count, Duration after) {
    for (std::uint64_t i = 0; i < count; ++i) {
      gauge_.count();
    }
    now_ += after;
    return gauge_.floods(now_);
  }

 private:
  FloodGauge gauge_;
  TimePoint now_{TimePoint{} + 1h};
};

}  // namespace

TEST_CASE("single transactions are no flood, however long they go on") {
  Messages messages;
  for (int i = 0; i < 1000; ++i) {
    REQUIRE_FALSE(messages.take(3, 100us));  // 10,000 transactions a second
  }
}

TEST_CASE("many messages within a moment are a flood, taken at once or in parts") {
  Messages messages;
  CHECK_FALSE(messages.take(3, 1s));
  CHECK_FALSE(messages.take(40, 300us));
  CHECK(messages.take(40, 300us));
  CHECK(messages.take(500, 900us));
  CHECK(messages.take(1, 50us));  // too early to say that it is over
}

TEST_CASE("many messages after a pause are not taken for a flood before more of them come") {
  Messages messages;
  CHECK_FALSE(messages.take(5000, 1s));
  CHECK(messages.take(100, 200us));
}

TEST_CASE("a flood is over as soon as messages come slower") {
  Messages messages;
  messages.take(1, 1s);
  REQUIRE(messages.take(100, 500us));
  CHECK_FALSE(messages.take(20, 1100us));
  CHECK_FALSE(messages.take(3, 200us));
}
