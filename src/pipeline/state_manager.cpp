#include "pipeline/state_manager.hpp"

#include <utility>

namespace headgate {

std::string_view to_string(RunState state) {
  switch (state) {
    case RunState::kIdle:
      return "idle";
    case RunState::kPolling:
      return "polling";
    case RunState::kSnapshot:
      return "snapshot";
    case RunState::kReplay:
      return "replay";
  }
  return "unknown";
}

bool StateManager::can_start(RunState state) const {
  const std::lock_guard lock(mutex_);
  return can_start_locked(state);
}

bool StateManager::can_start_locked(RunState state) const {
  const bool wants_exclusive = state == RunState::kSnapshot || state == RunState::kReplay;
  const bool runs_exclusive = state_ == RunState::kSnapshot || state_ == RunState::kReplay;
  return !(wants_exclusive && runs_exclusive);
}

bool StateManager::set(RunState state) {
  const std::lock_guard lock(mutex_);
  if (!can_start_locked(state)) {
    return false;
  }
  state_ = state;
  metadata_.clear();
  return true;
}

RunState StateManager::current() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void StateManager::set_metadata(std::map<std::string, std::string> metadata) {
  const std::lock_guard lock(mutex_);
  metadata_ = std::move(metadata);
}

std::map<std::string, std::string> StateManager::metadata() const {
  const std::lock_guard lock(mutex_);
  return metadata_;
}

}  // namespace headgate
