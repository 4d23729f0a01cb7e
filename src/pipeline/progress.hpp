// How far each sink is: written by its ApplyStep, read by the CaptureStep and by `status`.

#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "core/position.hpp"
#include "core/schema.hpp"
#include "pipeline/table_record.hpp"

namespace headgate {

// One table of a sink, as it remembers it.
struct TableStatus {
  TableName table;              // the sink's
  std::string state;            // streaming; copying: no reader sees it yet; copied again; paused
  std::uint64_t copied = 0;     // rows, while it is copied in chunks
  std::string consistent_from;  // position of its copy's end; empty: not known
  std::optional<TablePause> paused = {};
};

struct SinkStatus {
  std::string state = "starting";  // starting, copying, streaming, retrying, paused, stopped
  Position applied;                // committed in the sink
  Position durable;  // committed there and safe from a power cut; never past `applied`
  std::uint64_t transactions = 0;  // applied since start, without skipped and empty ones
  std::uint64_t changes = 0;       // row changes of these
  std::uint64_t batches = 0;       // sink transactions
  std::uint64_t skipped = 0;       // transactions that the sink already had
  WallTime last_commit_time{};     // at the source, of the last transaction applied
  WallTime applied_at{};           // when that became visible in the sink
  std::string error;               // why it is retrying or stopped; empty otherwise
  // As of the last connect, pause or step of a copy.
  std::shared_ptr<const std::vector<TableStatus>> tables{};
};

// Thread-safe.
class SinkProgress {
 public:
  SinkStatus get() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  Position durable() const {
    const std::lock_guard lock(mutex_);
    return status_.durable;
  }

  template <typename Change>
  void update(Change change) {
    const std::lock_guard lock(mutex_);
    change(status_);
  }

 private:
  mutable std::mutex mutex_;
  SinkStatus status_;  // guarded by mutex_
};

// What the capture step has seen; for `status`.
struct CaptureStatus {
  std::string state = "starting";  // starting, snapshot, cdc, retrying, stopped
  Position received;               // end of the last transaction handed to the sinks
  Position acknowledged;           // told to the source as durable
  std::uint64_t transactions = 0;
  std::uint64_t changes = 0;
  WallTime last_commit_time{};
  std::string error;
};

// Thread-safe.
class CaptureProgress {
 public:
  CaptureStatus get() const {
    const std::lock_guard lock(mutex_);
    return status_;
  }

  template <typename Change>
  void update(Change change) {
    const std::lock_guard lock(mutex_);
    change(status_);
  }

 private:
  mutable std::mutex mutex_;
  CaptureStatus status_;  // guarded by mutex_
};

}  // namespace headgate
