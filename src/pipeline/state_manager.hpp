// What the pipeline is doing, for those who ask and for those who want it to do something else.

#pragma once

#include <map>
#include <mutex>
#include <string>
#include <string_view>

namespace headgate {

enum class RunState { kIdle, kPolling, kSnapshot, kReplay };

std::string_view to_string(RunState state);

// In memory only: after a restart everything is derived from the sinks again. Thread-safe.
class StateManager {
 public:
  // True when `state` may be entered now: a snapshot or replay from idle or polling but never while
  // one of the two runs; polling and idle at any time.
  bool can_start(RunState state) const;

  // Enters `state` and clears the metadata, also when it is the current one already.
  // False, and nothing changed, when can_start() says no.
  bool set(RunState state);

  RunState current() const;
  bool is_idle() const { return current() == RunState::kIdle; }

  // Progress of the current state, in place of what was said before; gone at the next transition.
  void set_metadata(std::map<std::string, std::string> metadata);
  std::map<std::string, std::string> metadata() const;

 private:
  bool can_start_locked(RunState state) const;

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  RunState state_ = RunState::kIdle;
  std::map<std::string, std::string> metadata_;
};

}  // namespace headgate
