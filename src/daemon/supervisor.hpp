// Runs one pipeline: its threads, their failures, its start and its end.

#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/session.hpp"
#include "pipeline/sink_driver.hpp"
#include "pipeline/state_manager.hpp"
#include "pipeline/status_report.hpp"
#include "pipeline/transformer.hpp"

namespace headgate {

// One sink of the pipeline. The objects outlive the supervisor.
struct SinkUnit {
  std::string name;
  std::string type;
  SinkDriver* driver;
  Transformer* transformer;
};

struct SupervisorOptions {
  std::string pipeline;
  std::string version;
  // After a stop is asked for: to apply what was read and to commit.
  Duration shutdown_timeout = std::chrono::seconds(30);
  SessionOptions session{};
  // How often the source is asked about its machinery, for `status`.
  Duration health_interval = std::chrono::seconds(10);
  BackoffOptions backoff{};
  // Stop by itself once every sink stands here or beyond (`run --until`).
  std::optional<LSN> until;
};

// One thread per step. What a step cannot retry by itself ends the session: either everything is
// opened again from the sinks' positions, or run() throws what a person must mend.
class Supervisor {
 public:
  // What happens beside replication. Called from the supervisor's thread.
  struct Events {
    // Once: everything is connected and transactions flow, or something is not there yet and will
    // be waited for.
    std::function<void()> on_started;
    // A stop was asked for and a step does not come back within the shutdown time-out: the process
    // must end without waiting for it. Does not return.
    std::function<void()> on_stuck;
  };

  // `source`, `clock` and the sinks' objects must outlive the supervisor.
  Supervisor(SupervisorOptions options, Source& source, std::vector<SinkUnit> sinks,
             const Clock& clock, Events events, Logger log);
  ~Supervisor();

  // Returns after `stop` was requested and everything that had been read is applied, or after
  // `until` was reached. Throws what no retry mends.
  void run(std::stop_token stop);

  // From any thread, at any time.
  StatusReport report() const;

  // From any thread: what people wish of copies.
  CopyControl& copies() { return copies_; }

  // True while the supervisor's own thread and the capture thread come round; for a watchdog.
  bool alive() const;

 private:
  struct Lane;
  class ThreadedSession;

  void run_session(std::stop_token stop);
  std::vector<SessionSink> session_sinks() const;
  void started();
  void give_up_source();

  // Constant after construction.
  SupervisorOptions options_;
  Source& source_;
  std::vector<SinkUnit> sinks_;
  const Clock& clock_;
  Events events_;
  Logger log_;
  WallTime started_at_;

  StateManager states_;
  CopyControl copies_{states_};
  CaptureProgress capture_progress_;
  std::vector<std::unique_ptr<Lane>> lanes_;  // one per sink; the vector is constant
  bool started_ = false;
  // When each thread last came round; 0 while it does not run.
  std::atomic<TimePoint::rep> last_round_{0};
  std::atomic<TimePoint::rep> last_capture_{0};

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  SourceHealth health_;
  std::string trouble_;  // why no session runs; empty while one does
};

}  // namespace headgate
