// What everything in one simulated run shares: time, chance, the trace, and the verdict.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "pipeline/pipeline_fixture.hpp"
#include "random.hpp"

namespace headgate::sim {

// The simulated daemon is killed while it is inside a call. No Error, so no step catches it.
struct Killed {};

// How often things go wrong, in calls out of a thousand.
struct FaultRates {
  unsigned connection_lost = 0;
  unsigned refuses = 0;  // the sink answers, but takes nothing (disk full)
  unsigned killed = 0;   // the daemon dies inside the call
  unsigned slow = 0;
  unsigned late_points = 0;  // copy points that the source takes its time for
  unsigned locked = 0;       // chunks whose table is locked by others
};

class World {
 public:
  // Keeps every line of the trace when `traced`; otherwise only counts them.
  World(std::uint64_t seed, bool traced);

  pipeline_test::ManualClock clock;
  Random random;
  FaultRates rates;

  // Faults are over: the run must come to its end now.
  void calm() { rates = {}; }

  // One line of the trace: what acted, and what it did.
  template <typename... Arguments>
  void trace(std::string_view actor, fmt::format_string<Arguments...> what,
             Arguments&&... arguments) {
    ++trace_lines_;
    if (traced_) {
      keep(actor, fmt::format(what, std::forward<Arguments>(arguments)...));
    }
  }
  const std::vector<std::string>& trace_text() const { return trace_; }
  std::size_t trace_lines() const { return trace_lines_; }

  // What the pipeline logs is part of the trace.
  const Logger& log() const { return log_; }

  // An invariant does not hold. The first one counts, and ends the run.
  void violated(const std::string& rule);
  const std::optional<std::string>& violation() const { return violation_; }

  // Counts what changes a sink or the source for good; kills the daemon at the chosen one. Call
  // once before such an operation and once behind it, so that either side is struck.
  void at_durable_operation();
  void kill_at_durable_operation(std::size_t number) { kill_at_ = number; }
  std::size_t durable_operations() const { return durable_operations_; }

 private:
  void keep(std::string_view actor, const std::string& what);

  bool traced_;
  Logger log_;
  std::vector<std::string> trace_;
  std::size_t trace_lines_ = 0;
  std::optional<std::string> violation_;
  std::optional<std::size_t> kill_at_;
  std::size_t durable_operations_ = 0;
};

}  // namespace headgate::sim
