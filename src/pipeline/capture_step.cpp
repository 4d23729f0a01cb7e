#include "pipeline/capture_step.hpp"

#include <chrono>
#include <utility>

#include "base/check.hpp"
#include "base/deliberate_break.hpp"

namespace headgate {

CaptureStep::CaptureStep(Runtime& runtime, std::vector<SinkFeed> feeds, CaptureProgress& progress,
                         const Clock& clock, CaptureOptions options, Logger log)
    : runtime_(runtime),
      feeds_(std::move(feeds)),
      progress_(progress),
      clock_(clock),
      options_(options),
      log_(std::move(log)),
      backoff_(options.backoff) {
  HEADGATE_CHECK(!feeds_.empty(), "a pipeline has at least one sink");
}

StepOutcome CaptureStep::step() {
  if (retry_at_ && clock_.now() < *retry_at_) {
    push_pending();  // what came before the source was lost need not wait for it
    return StepOutcome::waiting(*retry_at_);
  }
  retry_at_.reset();
  try {
    if (!open_) {
      open();
    }
    acknowledge();
    if (!push_pending()) {
      runtime_.keep_alive();
      return StepOutcome::waiting(clock_.now() + options_.blocked_wait_max);
    }
    if (!fetch()) {
      return StepOutcome::waiting(clock_.now());  // the waiting was done while fetching
    }
    push_pending();
    return StepOutcome::worked();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kPositionLost && !open_ &&
        (was_open_ || backoff_.attempts() > 0)) {
      // Lost to this session's idea of how far the sinks are, which is older than this attempt.
      // Another process may have read on in its place: the sinks know whether anything is missing.
      throw Error{ErrorKind::kReread, error.what(), error.hint()};
    }
    if (reaction_to(error.kind()) != Reaction::kRetry) {
      throw;
    }
    if (within_transaction_) {
      throw Error{ErrorKind::kReread,
                  std::string("lost within a large transaction: ") + error.what()};
    }
    return lost_source(error);
  }
}

void CaptureStep::open() {
  runtime_.open();
  open_ = true;
  was_open_ = true;
  progress_.update([&](CaptureStatus& status) {
    status.state = runtime_.current();
    status.error.clear();
  });
}

StepOutcome CaptureStep::lost_source(const Error& error) {
  runtime_.stop();
  open_ = false;
  blocked_queue_ = nullptr;  // nobody waits for room now, but for the source
  const Duration delay = backoff_.next();
  retry_at_ = clock_.now() + delay;
  log_->warn("source unavailable attempt={} retry_in={}ms error=\"{}\"", backoff_.attempts(),
             std::chrono::duration_cast<std::chrono::milliseconds>(delay).count(),
             error.describe());
  progress_.update([&](CaptureStatus& status) {
    status.state = "retrying";
    status.error = error.describe();
  });
  return StepOutcome::waiting(*retry_at_);
}

void CaptureStep::acknowledge() {
  if (broken(Break::kHoldLog)) {
    return;
  }
  // The oldest durable position of all sinks; nothing while one of them still has none.
  Position oldest;
  for (const SinkFeed& feed : feeds_) {
    const Position durable =
        broken(Break::kAckBeforeDurable) ? feed.progress->get().applied : feed.progress->durable();
    if (durable.empty()) {
      return;
    }
    if (oldest.empty() || durable.lsn < oldest.lsn) {
      oldest = durable;
    }
  }
  if (acknowledged_.empty() || acknowledged_.lsn < oldest.lsn) {
    runtime_.acknowledge(oldest);
    acknowledged_ = oldest;
    progress_.update([&](CaptureStatus& status) { status.acknowledged = oldest; });
  }
}

// True when nothing is left to push.
bool CaptureStep::push_pending() {
  blocked_queue_ = nullptr;
  while (!pending_.empty()) {
    for (; pending_feed_ < feeds_.size(); ++pending_feed_) {
      TransactionPtr transaction = pending_.front();
      const std::size_t cost = transaction->memory_bytes();
      if (!feeds_[pending_feed_].queue->try_push(transaction, cost)) {
        blocked_queue_ = feeds_[pending_feed_].queue;
        return false;
      }
    }
    pending_feed_ = 0;
    pending_.pop_front();
  }
  return true;
}

// True when something came.
bool CaptureStep::fetch() {
  CaptureResult result = runtime_.fetch(options_.fetch, clock_.now() + options_.wait_max);
  if (backoff_.attempts() > 0) {
    log_->info("source recovered after={} attempts", backoff_.attempts());
    backoff_.reset();
  }
  for (TransactionPtr& transaction : result.transactions) {
    count(*transaction);
    pending_.push_back(std::move(transaction));
  }
  progress_.update([&](CaptureStatus& status) { status.state = runtime_.current(); });
  return !pending_.empty();
}

void CaptureStep::count(const Transaction& transaction) {
  within_transaction_ = !ends(transaction.portion);
  if (within_transaction_) {
    return;
  }
  progress_.update([&](CaptureStatus& status) {
    status.received = transaction.end_position;
    if (transaction.next_ordinal() == 0 || transaction.purpose == Purpose::kCopyChunk) {
      return;
    }
    status.last_commit_time = transaction.commit_time();
    ++status.transactions;
    status.changes += transaction.next_ordinal();
  });
}

void CaptureStep::finish() noexcept {
  try {
    if (open_) {
      acknowledge();
    }
  } catch (const std::exception& error) {
    // The source is gone already: it sends again what it was not told about, and sinks skip it.
    log_->debug("last acknowledgement not sent error=\"{}\"", error.what());
  }
  runtime_.stop();
  open_ = false;
  progress_.update([](CaptureStatus& status) { status.state = "stopped"; });
}

}  // namespace headgate
