#include "base/backoff.hpp"

#include <algorithm>

namespace headgate {

Backoff::Backoff(BackoffOptions options)
    : options_(options), random_(options.seed ? *options.seed : std::random_device{}()) {}

Duration Backoff::next() {
  // 2^20 times any sensible first delay is past any ceiling; the cap keeps the shift defined.
  const unsigned doublings = std::min(attempts_, 20U);
  ++attempts_;
  const Duration full = std::min(options_.first * (std::int64_t{1} << doublings), options_.ceiling);
  std::uniform_int_distribution<Duration::rep> spread(full.count() / 2, full.count());
  return Duration{spread(random_)};
}

}  // namespace headgate
