// What a running pipeline says of itself: the content of /api/v1/status and of `headgate status`.

#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/progress.hpp"

namespace headgate {

struct SinkReport {
  std::string name;
  std::string type;  // sqlite, postgres
  SinkStatus status;
  std::size_t queued_transactions = 0;
  std::size_t queued_bytes = 0;
};

struct StatusReport {
  std::string pipeline;
  std::string version;
  WallTime started_at{};
  WallTime now{};
  // The state manager's: idle, polling, snapshot, replay; with its metadata (progress).
  std::string state;
  std::map<std::string, std::string> state_metadata;
  // True when the first copy is finished and every sink follows the source.
  bool ready = false;
  // Why not, in words, when `ready` is false.
  std::string reason;
  CaptureStatus capture;
  SourceHealth source;
  std::vector<SinkReport> sinks;
};

// Asked from the HTTP thread; must be safe there and quick.
using StatusProvider = std::function<StatusReport()>;

}  // namespace headgate
