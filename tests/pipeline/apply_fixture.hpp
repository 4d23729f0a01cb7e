// One ApplyStep with everything it needs, on a clock that only the test moves.

#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include <catch2/catch.hpp>

#include "fake_sink.hpp"
#include "pipeline/apply_step.hpp"
#include "pipeline_fixture.hpp"

namespace headgate::pipeline_test {

// Checks at every step what always holds: no driver call against its contract, nothing called
// durable that a power cut would take, and no wait that ends before it began or that leaves work
// lying in the queue.
class Lane {
 public:
  explicit Lane(ApplyOptions options = {}) : options_(options) { restart(); }

  ~Lane() {
    for (const std::string& rule : sink.misuse()) {
      FAIL_CHECK(rule);
    }
  }
  Lane(const Lane&) = delete;
  Lane& operator=(const Lane&) = delete;

  // What a process does that begins again: a new step and an empty queue before the same database.
  void restart() {
    if (step_) {
      step_->close();
    }
    queue = std::make_unique<DeliveryQueue>(std::size_t{10000}, std::size_t{1} << 30U);
    progress = std::make_unique<SinkProgress>();
    step_ = std::make_unique<ApplyStep>("report", sink, transformer, *queue, *progress, clock,
                                        options_, quiet());
  }

  void push(TransactionPtr transaction) {
    const std::size_t cost = transaction->memory_bytes();
    REQUIRE(queue->try_push(transaction, cost));
  }
  void push(const std::vector<TransactionPtr>& transactions) {
    for (const TransactionPtr& transaction : transactions) {
      push(transaction);
    }
  }

  StepOutcome step() {
    const StepOutcome outcome = step_->step();
    const SinkStatus now = status();
    if (outcome.kind == StepOutcome::Kind::kWaiting) {
      CHECK(outcome.wake_at > clock.now());
      CHECK((queue->empty() || backs_off()));
    }
    if (now.durable.history == sink.durable().history) {
      CHECK(now.durable.lsn <= sink.durable().lsn);
    }
    CHECK(now.durable.lsn <= now.applied.lsn);
    return outcome;
  }

  // Steps until there is nothing to do; back-offs pass on the clock, other waits end it.
  StepOutcome run_until_idle() {
    for (int round = 0; round < 10000; ++round) {
      const StepOutcome outcome = step();
      if (outcome.kind == StepOutcome::Kind::kWorked) {
        continue;
      }
      if (outcome.kind == StepOutcome::Kind::kWaiting && backs_off()) {
        clock.advance_to(outcome.wake_at);
        continue;
      }
      return outcome;
    }
    FAIL("the step never comes to rest");
    return {};
  }

  // The kind of error that ends the run; nothing when it comes to rest.
  std::optional<ErrorKind> run_until_error() {
    try {
      run_until_idle();
      return {};
    } catch (const Error& error) {
      return error.kind();
    }
  }

  SinkStatus status() const { return progress->get(); }
  bool backs_off() const { return status().state == "retrying" || status().state == "paused"; }
  ApplyStep& apply() { return *step_; }

  ManualClock clock;
  FakeSink sink;
  PassOn transformer;
  std::unique_ptr<DeliveryQueue> queue;
  std::unique_ptr<SinkProgress> progress;

 private:
  ApplyOptions options_;
  std::unique_ptr<ApplyStep> step_;
};

}  // namespace headgate::pipeline_test
