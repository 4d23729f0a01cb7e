// What people ask of copies while the pipeline runs.

#pragma once

#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/schema.hpp"
#include "pipeline/state_manager.hpp"

namespace headgate {

// A fresh copy of these tables; empty: of all.
struct CopyRequest {
  std::vector<TableName> tables;
  bool missing_only = false;  // by each sink that has no such table
};

// Takes wishes from any thread, and gives them to the capture step, which looks for them between
// two fetches. Thread-safe.
class CopyControl {
 public:
  // `states` must outlive it.
  explicit CopyControl(const StateManager& states) : states_(states) {}

  // Each returns why it is not done; empty when it is. What was asked for is not kept over a
  // restart before the copy has begun; from then on the sinks know of it.
  std::string start(CopyRequest request);
  // No further chunk is read until resume(); changes go on. Forgotten at a restart.
  std::string pause();
  std::string resume();
  // Ends a fresh copy and drops what was gathered. Not the first copy: a table has to have one.
  std::string cancel();

  bool paused() const;

  // For the capture step. A request is given until a copy of it has begun, also to another session
  // when the one that took it has lost its source; a cancel once.
  std::optional<CopyRequest> request();
  void begun();
  bool take_cancel();

 private:
  bool copying() const { return states_.current() == RunState::kSnapshot; }

  const StateManager& states_;
  mutable std::mutex mutex_;
  // Guarded by mutex_.
  std::optional<CopyRequest> request_;
  bool taken_ = false;  // by some session
  bool paused_ = false;
  bool cancel_ = false;
};

}  // namespace headgate
