// One life of a pipeline, from its sinks' positions to the first failure or the end.

#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "pipeline/apply_step.hpp"
#include "pipeline/capture_step.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/progress.hpp"
#include "pipeline/runtime.hpp"
#include "pipeline/sink_driver.hpp"
#include "pipeline/state_manager.hpp"
#include "pipeline/transformer.hpp"

namespace headgate {

// One sink of the pipeline, and what is known of it from session to session. All outlive a session.
struct SessionSink {
  std::string name;  // in the configuration
  SinkDriver* driver;
  Transformer* transformer;
  SinkProgress* progress;
};

struct SessionOptions {
  // Per sink, between capture and apply.
  std::size_t queue_transactions_max = 10000;
  std::size_t queue_bytes_max = std::size_t{16} * 1024 * 1024;
  CaptureOptions capture{};
  ApplyOptions apply{};
  CopyControl* copies = nullptr;  // outlives the session; null: nobody asks for copies
};

// The steps of one pipeline with the queues between them. A session remembers nothing of the one
// before it: it asks the sinks where they stand. Whatever ends it with Error{kReread} or a lost
// source (Reaction kRestart, kRetry) calls for a new one; anything else for a person.
//
// Owns no thread and no clock. In production each step has a thread; the simulator calls them in
// any order. Life: step() each sink until it is connected, open(), then step() all of them.
class Session {
 public:
  // All references and pointers must outlive the session.
  Session(Source& source, const std::vector<SessionSink>& sinks, StateManager& states,
          CaptureProgress& capture_progress, const Clock& clock, const SessionOptions& options,
          const Logger& log);

  // Tells the source what is durable, and closes it and the sinks. No thread is in a step any more.
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Prepares the source to be read from the oldest position of all sinks. May take long.
  // Throws as Source::prepare(), and as ApplyStep::confirm() when a sink is no longer ours.
  // REQUIRES: every sink is connected.
  void open();

  CaptureStep& capture() { return *capture_; }
  ApplyStep& apply(std::size_t sink) { return lanes_[sink]->step; }
  DeliveryQueue& queue(std::size_t sink) { return lanes_[sink]->queue; }
  std::size_t sinks() const { return lanes_.size(); }

  // The capturer that reads now, as Runtime::current(). For the thread of the capture step.
  std::string_view capturer() const { return runtime_.current(); }

 private:
  struct Lane {
    Lane(const SessionSink& sink, const Clock& clock, const SessionOptions& options,
         const Logger& log);

    SessionSink sink;
    DeliveryQueue queue;
    ApplyStep step;
  };

  StartPoint start_point() const;
  std::optional<CopyRequest> missing_tables() const;

  Source& source_;
  std::vector<std::unique_ptr<Lane>> lanes_;  // one per sink; steps point at their queues
  Runtime runtime_;
  std::unique_ptr<CaptureStep> capture_;
};

}  // namespace headgate
