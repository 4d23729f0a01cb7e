// The correlation id of one batch, through logs, monitor DB and sinks.

#pragma once

#include <memory>
#include <string>

#include "base/clock.hpp"
#include "core/transaction.hpp"

namespace headgate {

// Why the gate let a transaction go.
enum class DeliveryReason : std::uint8_t {
  kCommitTime,    // every captured table has been read past its commit
  kPollInterval,  // `gate: timed` only: twice the poll interval has passed since the commit
  kTimeout,       // `gate: timed` only: the longest wait has passed since it was first seen
  kBatchLimit,    // it was ready, and the limit on ready transactions was reached
};

constexpr std::string_view to_string(DeliveryReason reason) {
  switch (reason) {
    case DeliveryReason::kCommitTime:
      return "commit_time";
    case DeliveryReason::kPollInterval:
      return "poll_interval";
    case DeliveryReason::kTimeout:
      return "timeout";
    case DeliveryReason::kBatchLimit:
      return "batch_limit";
  }
  return "unknown";
}

struct BatchContext {
  std::string skill_name;  // empty for mirror mode
  std::string batch_id;    // `{unix-ms}-{uuid8}`
  WallTime start_time{};

  static BatchContext make(std::string skill_name, WallTime now);
};

// Shared by every sink's queue and never changed on the way: hence the shared_ptr to const.
using TransactionPtr = std::shared_ptr<const Transaction>;

struct TransactionWithBatch {
  TransactionPtr transaction;
  BatchContext batch;
};

}  // namespace headgate
