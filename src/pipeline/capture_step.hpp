// One half of the pipeline: from the source into the sinks' queues.

#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <vector>

#include "base/backoff.hpp"
#include "base/bounded_queue.hpp"
#include "base/clock.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "base/step_outcome.hpp"
#include "core/batch_context.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/progress.hpp"
#include "pipeline/runtime.hpp"

namespace headgate {

using DeliveryQueue = BoundedQueue<TransactionPtr>;

struct CaptureOptions {
  FetchLimits fetch;
  // The longest that one step waits for the source; bounds how late an acknowledgement is sent.
  Duration wait_max = std::chrono::milliseconds(100);
  // The longest that a full queue keeps the step from telling the server that it lives.
  Duration blocked_wait_max = std::chrono::seconds(1);
  BackoffOptions backoff{};
};

// Where one sink's transactions go, and how far it is. Both outlive the step.
struct SinkFeed {
  DeliveryQueue* queue;
  SinkProgress* progress;
};

// Fetches, answers keep-alives whatever the sinks do, feeds every sink's queue, and acknowledges
// the oldest durable position. Back-pressure: while any queue has no room, nothing is fetched, so
// memory is bounded by the queues and one fetch.
//
// Owns no thread and no clock; one thread calls it.
class CaptureStep {
 public:
  // All references must outlive the step.
  CaptureStep(Runtime& runtime, std::vector<SinkFeed> feeds, CaptureProgress& progress,
              const Clock& clock, CaptureOptions options, Logger log);

  // Does one round. A lost source is opened again after a back-off.
  //
  // Throws what cannot be retried here: among these Error{kReread} when the source was lost in the
  // middle of a transaction whose first portions are already with the sinks, or no longer has what
  // follows the last one read, so that the whole pipeline must begin again from the sinks'
  // positions.
  StepOutcome step();

  // Sends the last acknowledgement and closes the source.
  void finish() noexcept;

  // While any is set, step() waits here; for the thread that drives it.
  DeliveryQueue* blocked_queue() const { return blocked_queue_; }

 private:
  void open();
  void acknowledge();
  bool push_pending();
  bool fetch();
  void count(const Transaction& transaction);
  StepOutcome lost_source(const Error& error);

  Runtime& runtime_;
  std::vector<SinkFeed> feeds_;
  CaptureProgress& progress_;
  const Clock& clock_;
  CaptureOptions options_;
  Logger log_;
  Backoff backoff_;

  // What was fetched and is not yet in every queue, in order, and in how many queues the first is.
  std::deque<TransactionPtr> pending_;
  std::size_t pending_feed_ = 0;
  DeliveryQueue* blocked_queue_ = nullptr;

  bool open_ = false;
  bool was_open_ = false;            // at least once in this session
  bool within_transaction_ = false;  // the last portion fetched was not the end of its transaction
  std::optional<TimePoint> retry_at_;
  Position acknowledged_;
};

}  // namespace headgate
