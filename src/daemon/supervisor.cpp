#include "daemon/supervisor.hpp"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <numeric>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "pipeline/session.hpp"

namespace headgate {
namespace {

// Longer than any wait of the loops below; a loop that is silent for this long hangs.
constexpr Duration kAliveWithin = std::chrono::minutes(2);

// How often the supervisor looks around while all is well.
constexpr Duration kLookInterval = std::chrono::milliseconds(200);

}  // namespace

// What stays of one sink from session to session.
struct Supervisor::Lane {
  SinkUnit unit;
  SinkProgress progress;
  mutable std::mutex mutex;
  // Guarded by mutex: that of the running session, for `status`; null between sessions.
  DeliveryQueue* queue = nullptr;
};

// One session of the pipeline with a thread for each of its steps.
class Supervisor::ThreadedSession {
 public:
  ThreadedSession(Supervisor& supervisor, std::stop_token stop);
  ~ThreadedSession();

  // Connects the sinks and opens the source where they stand. False when a stop was asked for
  // meanwhile.
  bool open();

  // Runs the threads until `stop`, `until` or a failure, which is thrown.
  void run();

 private:
  bool connect(std::size_t sink);
  void capture_loop();
  void apply_loop(std::size_t sink);
  void ask_health(TimePoint& due);
  void fail(std::exception_ptr failure);
  bool reached_until() const;
  void drain();
  void abort(Duration patience);
  void end_threads();
  void wake_all();
  bool all_applied() const;

  Supervisor& supervisor_;
  std::stop_token stop_;
  Session session_;

  std::atomic<bool> capture_ends_{false};
  std::atomic<bool> draining_{false};
  std::atomic<bool> aborting_{false};

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::exception_ptr failure_;
  bool capture_finished_ = false;
  std::size_t sinks_finished_ = 0;

  std::vector<std::jthread> threads_;  // last: they end before what they use
};

Supervisor::ThreadedSession::ThreadedSession(Supervisor& supervisor, std::stop_token stop)
    : supervisor_(supervisor),
      stop_(std::move(stop)),
      session_(supervisor.source_, supervisor.session_sinks(), supervisor.states_,
               supervisor.capture_progress_, supervisor.clock_, supervisor.options_.session,
               supervisor.log_) {
  for (std::size_t sink = 0; sink < session_.sinks(); ++sink) {
    Lane& lane = *supervisor.lanes_[sink];
    const std::lock_guard lock(lane.mutex);
    lane.queue = &session_.queue(sink);
  }
}

Supervisor::ThreadedSession::~ThreadedSession() {
  end_threads();
  for (const auto& lane : supervisor_.lanes_) {
    const std::lock_guard lock(lane->mutex);
    lane->queue = nullptr;
  }
}

bool Supervisor::ThreadedSession::connect(std::size_t sink) {
  ApplyStep& step = session_.apply(sink);
  while (!step.connected()) {
    if (stop_.stop_requested()) {
      return false;
    }
    const StepOutcome outcome = step.step();
    if (outcome.kind == StepOutcome::Kind::kWaiting) {
      supervisor_.started();  // it will be waited for: that is not a failed start
      const TimePoint look = supervisor_.clock_.now() + kLookInterval;
      supervisor_.last_round_ = supervisor_.clock_.now().time_since_epoch().count();
      session_.queue(sink).wait_not_empty(std::min(outcome.wake_at, look));
    }
  }
  return true;
}

bool Supervisor::ThreadedSession::open() {
  // In the order of their names, not of the configuration: two processes whose configurations
  // differ in it would each hold what the other waits for.
  std::vector<std::size_t> order(session_.sinks());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return supervisor_.sinks_[a].name < supervisor_.sinks_[b].name;
  });
  for (const std::size_t sink : order) {
    if (!connect(sink)) {
      return false;
    }
  }
  session_.open();
  return true;
}

void Supervisor::ThreadedSession::run() {
  threads_.emplace_back([this] { capture_loop(); });
  for (std::size_t sink = 0; sink < session_.sinks(); ++sink) {
    threads_.emplace_back([this, sink] { apply_loop(sink); });
  }
  supervisor_.started();

  while (true) {
    supervisor_.last_round_ = supervisor_.clock_.now().time_since_epoch().count();
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kLookInterval, [&] { return failure_ != nullptr; });
      if (failure_) {
        break;
      }
    }
    if (stop_.stop_requested() || reached_until()) {
      drain();
      break;
    }
  }
  std::unique_lock lock(mutex_);
  const std::exception_ptr failure = failure_;
  lock.unlock();
  if (failure) {
    abort(supervisor_.options_.shutdown_timeout);
  }
  end_threads();
  if (failure) {
    std::rethrow_exception(failure);
  }
}

bool Supervisor::ThreadedSession::reached_until() const {
  const auto& until = supervisor_.options_.until;
  const auto& lanes = supervisor_.lanes_;
  return until && std::all_of(lanes.begin(), lanes.end(), [&](const auto& lane) {
           const SinkStatus status = lane->progress.get();
           return !status.applied.empty() && status.applied.lsn >= *until &&
                  status.state != "copying";
         });
}

void Supervisor::ThreadedSession::capture_loop() {
  TimePoint health_due = supervisor_.clock_.now();
  try {
    while (!capture_ends_) {
      supervisor_.last_capture_ = supervisor_.clock_.now().time_since_epoch().count();
      const StepOutcome outcome = session_.capture().step();
      ask_health(health_due);
      if (outcome.kind != StepOutcome::Kind::kWaiting) {
        continue;
      }
      const TimePoint look = supervisor_.clock_.now() + kLookInterval;
      const TimePoint until = std::min(outcome.wake_at, look);
      if (DeliveryQueue* queue = session_.capture().blocked_queue()) {
        queue->wait_not_full(until);
      } else {
        std::unique_lock lock(mutex_);
        changed_.wait_until(lock, until, [&] { return capture_ends_.load(); });
      }
    }
  } catch (...) {
    fail(std::current_exception());
  }
  supervisor_.last_capture_ = 0;
  const std::lock_guard lock(mutex_);
  capture_finished_ = true;
  changed_.notify_all();
}

void Supervisor::ThreadedSession::ask_health(TimePoint& due) {
  const bool reads = session_.capturer() == "cdc";
  if (!reads || supervisor_.clock_.now() < due) {
    return;
  }
  due = supervisor_.clock_.now() + supervisor_.options_.health_interval;
  try {
    SourceHealth health = supervisor_.source_.health();
    const std::lock_guard lock(supervisor_.mutex_);
    supervisor_.health_ = std::move(health);
  } catch (const Error& error) {
    // The stream itself notices a lost source; here only an answer for `status` is missing.
    supervisor_.log_->debug("source health not known error=\"{}\"", error.what());
  }
}

void Supervisor::ThreadedSession::apply_loop(std::size_t sink) {
  ApplyStep& step = session_.apply(sink);
  DeliveryQueue& queue = session_.queue(sink);
  try {
    while (!aborting_) {
      if (draining_) {
        step.drain();
      }
      const StepOutcome outcome = step.step();
      if (outcome.kind == StepOutcome::Kind::kFinished) {
        break;
      }
      if (outcome.kind == StepOutcome::Kind::kWaiting) {
        const TimePoint look = supervisor_.clock_.now() + std::chrono::seconds(1);
        if (step.backing_off()) {
          queue.wait_wake(std::min(outcome.wake_at, look));
        } else {
          queue.wait_not_empty(std::min(outcome.wake_at, look));
        }
      }
    }
  } catch (...) {
    fail(std::current_exception());
  }
  const std::lock_guard lock(mutex_);
  ++sinks_finished_;
  changed_.notify_all();
}

// Said at once: the other threads may take their time to end.
void Supervisor::ThreadedSession::fail(std::exception_ptr failure) {
  const std::lock_guard lock(mutex_);
  if (!failure_) {
    failure_ = std::move(failure);
    try {
      std::rethrow_exception(failure_);
    } catch (const std::exception& error) {
      supervisor_.log_->warn("session ends error=\"{}\"", error.what());
    }
  }
  changed_.notify_all();
}

// Nothing more is read; what was read is applied and made durable, within the time-out.
void Supervisor::ThreadedSession::drain() {
  supervisor_.log_->info("stopping: applying what was read");
  const TimePoint deadline = supervisor_.clock_.now() + supervisor_.options_.shutdown_timeout;
  capture_ends_ = true;
  std::unique_lock lock(mutex_);
  changed_.notify_all();
  const bool capture_done = changed_.wait_until(lock, deadline, [&] { return capture_finished_; });
  draining_ = true;
  wake_all();
  const bool applied =
      changed_.wait_until(lock, deadline, [&] { return failure_ != nullptr || all_applied(); });
  if (capture_done && applied) {
    return;
  }
  supervisor_.log_->warn(
      "shutdown_timeout passed: what was not applied is read again at the next start");
  lock.unlock();
  abort(std::chrono::seconds(2));
}

// Threads that wait between attempts end now; one that is inside a call gets `patience`, and then
// the process ends without it.
void Supervisor::ThreadedSession::abort(Duration patience) {
  capture_ends_ = true;
  aborting_ = true;
  wake_all();
  std::unique_lock lock(mutex_);
  changed_.notify_all();
  const bool ended =
      changed_.wait_for(lock, patience, [&] { return capture_finished_ && all_applied(); });
  if (!ended && supervisor_.events_.on_stuck) {
    supervisor_.events_.on_stuck();
  }
}

void Supervisor::ThreadedSession::end_threads() {
  capture_ends_ = true;
  aborting_ = true;
  {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }
  wake_all();
  threads_.clear();  // joins
}

void Supervisor::ThreadedSession::wake_all() {
  for (std::size_t sink = 0; sink < session_.sinks(); ++sink) {
    session_.queue(sink).wake();
  }
}

// REQUIRES: mutex_ is held.
bool Supervisor::ThreadedSession::all_applied() const {
  return sinks_finished_ == session_.sinks();
}

Supervisor::Supervisor(SupervisorOptions options, Source& source, std::vector<SinkUnit> sinks,
                       const Clock& clock, Events events, Logger log)
    : options_(std::move(options)),
      source_(source),
      sinks_(std::move(sinks)),
      clock_(clock),
      events_(std::move(events)),
      log_(std::move(log)),
      started_at_(clock.wall_now()) {
  options_.session.copies = &copies_;
  for (const SinkUnit& unit : sinks_) {
    lanes_.push_back(std::make_unique<Lane>());
    lanes_.back()->unit = unit;
  }
}

Supervisor::~Supervisor() = default;

void Supervisor::run(std::stop_token stop) {
  const std::stop_callback interrupts(stop, [this] { source_.interrupt(); });
  Backoff backoff(options_.backoff);
  while (!stop.stop_requested()) {
    const TimePoint began = clock_.now();
    try {
      run_session(stop);
      return;
    } catch (const Error& error) {
      const Reaction reaction = reaction_to(error.kind());
      if (reaction != Reaction::kRetry && reaction != Reaction::kRestart) {
        give_up_source();
        throw;
      }
      if (stop.stop_requested()) {
        log_->info("stopped before everything was ready error=\"{}\"", error.describe());
        return;
      }
      if (clock_.now() - began > std::chrono::minutes(1)) {
        backoff.reset();  // it had been running: this is a new trouble
      }
      const Duration delay = backoff.next();
      log_->warn("pipeline begins again attempt={} retry_in={}ms error=\"{}\"", backoff.attempts(),
                 std::chrono::duration_cast<std::chrono::milliseconds>(delay).count(),
                 error.describe());
      {
        const std::lock_guard lock(mutex_);
        trouble_ = error.describe();
      }
      capture_progress_.update([&](CaptureStatus& status) {
        status.state = "retrying";
        status.error = error.describe();
      });
      started();
      std::mutex sleeping;
      std::unique_lock lock(sleeping);
      std::condition_variable_any().wait_for(lock, stop, delay, [] { return false; });
    }
  }
}

// Before any sink holds a position there is nothing to go on from: what a first start has created
// at the source would only cost it.
void Supervisor::give_up_source() {
  const bool nothing_held = std::all_of(lanes_.begin(), lanes_.end(), [](const auto& lane) {
    const SinkStatus status = lane->progress.get();
    return status.applied.empty();
  });
  if (nothing_held) {
    source_.give_up();
  }
}

void Supervisor::run_session(std::stop_token stop) {
  ThreadedSession session(*this, stop);
  if (!session.open()) {
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    trouble_.clear();
  }
  session.run();
}

std::vector<SessionSink> Supervisor::session_sinks() const {
  std::vector<SessionSink> sinks;
  for (const auto& lane : lanes_) {
    sinks.push_back({lane->unit.name, lane->unit.driver, lane->unit.transformer, &lane->progress});
  }
  return sinks;
}

void Supervisor::started() {
  if (!started_) {
    started_ = true;
    if (events_.on_started) {
      events_.on_started();
    }
  }
}

bool Supervisor::alive() const {
  // 0: that thread does not run at the moment.
  const auto comes_round = [&](TimePoint::rep last) {
    return last == 0 || clock_.now().time_since_epoch() - Duration{last} < kAliveWithin;
  };
  return comes_round(last_round_) && comes_round(last_capture_);
}

StatusReport Supervisor::report() const {
  StatusReport report;
  report.pipeline = options_.pipeline;
  report.version = options_.version;
  report.started_at = started_at_;
  report.now = clock_.wall_now();
  report.state = to_string(states_.current());
  report.state_metadata = states_.metadata();
  report.capture = capture_progress_.get();
  {
    const std::lock_guard lock(mutex_);
    report.source = health_;
    report.reason = trouble_;
  }
  for (const auto& lane : lanes_) {
    SinkReport sink;
    sink.name = lane->unit.name;
    sink.type = lane->unit.type;
    sink.status = lane->progress.get();
    {
      const std::lock_guard lock(lane->mutex);
      if (lane->queue != nullptr) {
        sink.queued_transactions = lane->queue->size();
        sink.queued_bytes = lane->queue->cost();
      }
    }
    if (sink.status.state != "streaming" && report.reason.empty()) {
      report.reason = fmt::format("sink {} is {}", sink.name, sink.status.state);
    }
    report.sinks.push_back(std::move(sink));
  }
  if (report.capture.state != "cdc" && report.reason.empty()) {
    report.reason = "capture is " + report.capture.state;
  }
  report.ready = report.reason.empty();
  return report;
}

}  // namespace headgate
