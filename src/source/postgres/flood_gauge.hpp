// Tells a source that works a backlog off from one that is only busy, by the rate of its messages.

#pragma once

#include <cstdint>

#include "base/clock.hpp"

namespace headgate::source::postgres {

// Not thread-safe; knows no clock.
class FloodGauge {
 public:
  // A flood is so many messages within so long: several times what a busy source commits, and a
  // tenth of what a walsender decodes.
  static constexpr std::uint64_t kMessages = 64;
  static constexpr Duration kTime = std::chrono::milliseconds(1);

  void count() { ++messages_; }

  // Whether messages came as a flood up to now; for whoever has just taken all that there were. A
  // flood is over once they come slower.
  bool floods(TimePoint now) {
    const bool in_time = now - since_ <= kTime;
    if (messages_ < kMessages && in_time) {
      return floods_;  // too early to tell
    }
    floods_ = in_time;
    messages_ = 0;
    since_ = now;
    return floods_;
  }

 private:
  TimePoint since_{};  // of what messages_ counts
  std::uint64_t messages_ = 0;
  bool floods_ = false;
};

}  // namespace headgate::source::postgres
