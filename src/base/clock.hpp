// Time as the pipeline sees it. The steps take a Clock and never ask the system, so that the
// simulator can run them on its own time.

#pragma once

#include <chrono>

namespace headgate {

using Duration = std::chrono::nanoseconds;
// Monotonic: for deadlines and back-off. Comparable within one process only.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;
// Wall time in UTC: for people, for commit times and for the tables of a sink.
using WallTime = std::chrono::time_point<std::chrono::system_clock, std::chrono::microseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual WallTime wall_now() const = 0;
};

// The system's clocks. Stateless and safe from any thread.
class SystemClock final : public Clock {
 public:
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  WallTime wall_now() const override {
    return std::chrono::time_point_cast<std::chrono::microseconds>(
        std::chrono::system_clock::now());
  }
};

}  // namespace headgate
