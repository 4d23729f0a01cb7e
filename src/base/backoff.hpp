// Exponential back-off with jitter and a ceiling; success resets it.

#pragma once

#include <chrono>
#include <cstdint>
#include <random>

#include "base/clock.hpp"

namespace headgate {

struct BackoffOptions {
  Duration first = std::chrono::milliseconds(100);
  Duration ceiling = std::chrono::seconds(15);
};

// Not thread-safe. The seed makes a simulation repeatable.
class Backoff {
 public:
  explicit Backoff(BackoffOptions options = {}, std::uint64_t seed = std::random_device{}());

  // The delay before the next attempt: doubles from `first` to `ceiling`, less up to a half by
  // jitter, so that many clients of a restarted server do not return at once.
  Duration next();
  void reset() { attempts_ = 0; }

  // Failed attempts since the last reset.
  unsigned attempts() const { return attempts_; }

 private:
  BackoffOptions options_;
  std::mt19937_64 random_;
  unsigned attempts_ = 0;
};

}  // namespace headgate
