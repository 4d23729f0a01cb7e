#include "sim_daemon.hpp"

#include <algorithm>
#include <exception>
#include <utility>

namespace headgate::sim {

SimDaemon::SimDaemon(World& world, SourceDatabase& source, std::vector<SinkDatabase*> sinks,
                     const SessionOptions& options, const SourceOptions& source_options,
                     std::string name)
    : world_(world),
      name_(std::move(name)),
      options_(options),
      databases_(std::move(sinks)),
      source_(world, source, source_options, databases_),
      ready_at_(databases_.size() + 1, TimePoint::max()) {
  ready_at_[0] = world.clock.now();
  for (SinkDatabase* database : databases_) {
    lanes_.push_back(std::make_unique<Lane>(world, *database));
  }
  if (source_options.chunks) {
    options_.copies = &copies_;
  }
  options_.capture.backoff.seed = world.random.next();
  options_.apply.backoff.seed = world.random.next();
  world.trace(name_, "starts with {} sinks", lanes_.size());
}

SimDaemon::~SimDaemon() {
  kill();
}

void SimDaemon::step(std::size_t thread) {
  try {
    if (thread > 0) {
      apply(thread - 1);
      return;
    }
    switch (phase_) {
      case Phase::kBetweenSessions:
        begin_session();
        break;
      case Phase::kConnecting:
        connect();
        break;
      case Phase::kRunning:
        capture();
        break;
      case Phase::kDraining:
        ready_at_[0] = TimePoint::max();
        break;
    }
  } catch (const Killed&) {
    kill();
  } catch (const Error& error) {
    ended(error);
  } catch (const std::exception& error) {
    world_.violated(name_ + ": " + error.what());
    kill();
  }
  check_promises();
}

void SimDaemon::begin_session() {
  std::vector<SessionSink> sinks;
  for (const auto& lane : lanes_) {
    sinks.push_back({lane->database.name(), &lane->driver, &lane->mirror, &lane->progress});
  }
  session_ = std::make_unique<Session>(source_, sinks, states_, capture_progress_, world_.clock,
                                       options_, world_.log());
  phase_ = Phase::kConnecting;
  ready_at_[0] = world_.clock.now();
  std::fill(ready_at_.begin() + 1, ready_at_.end(), TimePoint::max());
}

void SimDaemon::connect() {
  for (std::size_t sink = 0; sink < session_->sinks(); ++sink) {
    if (session_->apply(sink).connected()) {
      continue;
    }
    const StepOutcome outcome = session_->apply(sink).step();
    ready_at_[0] =
        outcome.kind == StepOutcome::Kind::kWaiting ? outcome.wake_at : world_.clock.now();
    return;
  }
  session_->open();
  phase_ = Phase::kRunning;
  std::fill(ready_at_.begin(), ready_at_.end(), world_.clock.now());
}

void SimDaemon::capture() {
  const StepOutcome outcome = session_->capture().step();
  const TimePoint now = world_.clock.now();
  ready_at_[0] = now;
  if (outcome.kind == StepOutcome::Kind::kWaiting) {
    // A fetch that found nothing has waited for its deadline by the time it returns.
    ready_at_[0] = outcome.wake_at > now ? outcome.wake_at : source_.waits_until();
  }
  for (std::size_t sink = 0; sink < session_->sinks(); ++sink) {
    DeliveryQueue& queue = session_->queue(sink);
    if (queue.cost() > options_.queue_bytes_max && queue.size() > 1) {
      world_.violated(fmt::format("a queue holds {} bytes, and may hold {}", queue.cost(),
                                  options_.queue_bytes_max));
    }
    if (queue.size() > options_.queue_transactions_max) {
      world_.violated("a queue holds more transactions than it may");
    }
    if (!queue.empty() && !session_->apply(sink).backing_off()) {
      ready_at_[sink + 1] = now;
    }
  }
}

void SimDaemon::apply(std::size_t sink) {
  Lane& lane = *lanes_[sink];
  const StepOutcome outcome = session_->apply(sink).step();
  switch (outcome.kind) {
    case StepOutcome::Kind::kWorked:
      ready_at_[sink + 1] = world_.clock.now();
      if (phase_ == Phase::kRunning && session_->capture().blocked_queue() != nullptr) {
        wake();
      }
      break;
    case StepOutcome::Kind::kWaiting:
      ready_at_[sink + 1] = outcome.wake_at;
      break;
    case StepOutcome::Kind::kFinished:
      ready_at_[sink + 1] = TimePoint::max();
      lane.finished = true;
      if (std::all_of(lanes_.begin(), lanes_.end(),
                      [](const auto& each) { return each->finished; })) {
        world_.trace(name_, "has applied what it had read, and ends");
        end();
      }
  }
}

// As Supervisor::run() does.
void SimDaemon::ended(const Error& error) {
  const Reaction reaction = reaction_to(error.kind());
  world_.trace(name_, "session ends: {}: {}", to_string(error.kind()), error.what());
  const bool draining = phase_ == Phase::kDraining;
  session_.reset();
  if (reaction == Reaction::kRetry || reaction == Reaction::kRestart) {
    if (draining) {
      end();
      return;
    }
    phase_ = Phase::kBetweenSessions;
    std::fill(ready_at_.begin(), ready_at_.end(), TimePoint::max());
    ready_at_[0] = world_.clock.now() + std::chrono::milliseconds(world_.random.between(50, 2000));
    return;
  }
  lost_position_ = error.kind() == ErrorKind::kPositionLost;
  if (std::find(allowed_.begin(), allowed_.end(), error.kind()) == allowed_.end()) {
    world_.violated(fmt::format("{} stops for a person: {}", name_, error.what()));
  }
  end();
}

// What is reported must be true: `status` and acknowledgements rest on it.
void SimDaemon::check_promises() {
  if (over_ || !promises_) {
    return;
  }
  for (const auto& lane : lanes_) {
    const SinkStatus status = lane->progress.get();
    if (lane->database.durable_position().lsn < status.durable.lsn) {
      world_.violated(fmt::format("{} is said to hold {} durably, and holds {}",
                                  lane->database.name(), status.durable.to_string(),
                                  lane->database.durable_position().to_string()));
    }
  }
}

void SimDaemon::wake() {
  if (phase_ == Phase::kRunning) {
    ready_at_[0] = world_.clock.now();
  }
}

void SimDaemon::kill() {
  if (over_) {
    return;
  }
  world_.trace(name_, "is killed");
  source_.die();
  for (const auto& lane : lanes_) {
    lane->driver.die();
  }
  end();
}

void SimDaemon::stop() {
  if (phase_ == Phase::kDraining) {
    return;
  }
  if (phase_ != Phase::kRunning) {
    end();
    return;
  }
  world_.trace(name_, "is asked to stop");
  phase_ = Phase::kDraining;
  ready_at_[0] = TimePoint::max();
  for (std::size_t sink = 0; sink < session_->sinks(); ++sink) {
    session_->apply(sink).drain();
    ready_at_[sink + 1] = world_.clock.now();
  }
}

void SimDaemon::end() {
  session_.reset();
  over_ = true;
}

}  // namespace headgate::sim
