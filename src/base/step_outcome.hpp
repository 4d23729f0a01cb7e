// How a step says when it wants to run again.

#pragma once

#include "base/clock.hpp"

namespace headgate {

// What a step did, and when it is worth calling it again.
struct StepOutcome {
  enum class Kind {
    kWorked,    // something moved: call again at once
    kWaiting,   // nothing to do until `wake_at`, or until one of its queues changes
    kFinished,  // it will never have anything to do again
  };

  Kind kind = Kind::kWorked;
  TimePoint wake_at{};  // with kWaiting

  static StepOutcome worked() { return {Kind::kWorked, {}}; }
  static StepOutcome waiting(TimePoint until) { return {Kind::kWaiting, until}; }
  static StepOutcome finished() { return {Kind::kFinished, {}}; }
};

}  // namespace headgate
