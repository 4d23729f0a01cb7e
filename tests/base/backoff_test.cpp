#include "base/backoff.hpp"

#include <cstdint>
#include <set>

#include <catch2/catch.hpp>

namespace {

using headgate::Backoff;
using headgate::BackoffOptions;
using headgate::Duration;
using std::chrono::milliseconds;
using std::chrono::seconds;

BackoffOptions options_with(std::uint64_t seed) {
  return {milliseconds(100), seconds(15), seed};
}
const BackoffOptions kOptions = options_with(0);

TEST_CASE("a back-off doubles up to its ceiling, less up to a half by jitter") {
  const auto seed = GENERATE(range(0U, 50U));
  Backoff backoff(options_with(seed));
  Duration full = kOptions.first;
  for (unsigned attempt = 0; attempt < 100; ++attempt) {
    CHECK(backoff.attempts() == attempt);
    const Duration delay = backoff.next();
    CHECK(delay >= full / 2);
    CHECK(delay <= full);
    full = std::min<Duration>(full * 2, kOptions.ceiling);
  }
}

TEST_CASE("success resets a back-off") {
  Backoff backoff(options_with(1));
  for (int i = 0; i < 10; ++i) {
    backoff.next();
  }
  backoff.reset();
  CHECK(backoff.attempts() == 0);
  CHECK(backoff.next() <= kOptions.first);
}

TEST_CASE("a back-off repeats itself by its seed, and seeds spread") {
  std::set<Duration> first_delays;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    Backoff one(options_with(seed));
    Backoff other(options_with(seed));
    first_delays.insert(one.next());
    other.next();
    CHECK(one.next() == other.next());
  }
  CHECK(first_delays.size() > 10);
}

}  // namespace
