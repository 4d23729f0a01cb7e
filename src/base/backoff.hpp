// Exponential back-off with jitter and a ceiling; success resets it.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <random>

#include "base/clock.hpp"

namespace headgate {

struct BackoffOptions {
  Duration first = std::chrono::milliseconds(100);
  Duration ceiling = std::chrono::seconds(15);
  // Of the jitter; chosen at random unless a simulation wants to be repeatable.
  std::optional<std::uint64_t> seed{};
};

// Not thread-safe.
class Backoff {
 public:
  explicit Backoff(BackoffOptions options = {});

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
