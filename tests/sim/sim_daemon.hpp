// One headgate process in the simulation: the real session, mirrors and steps over simulated ends.

#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "pipeline/session.hpp"
#include "sim_source.hpp"
#include "sink_database.hpp"
#include "transform/mirror.hpp"

namespace headgate::sim {

// Does what the supervisor does, without its threads: each step() is one round of one of them.
class SimDaemon {
 public:
  SimDaemon(World& world, SourceDatabase& source, std::vector<SinkDatabase*> sinks,
            const SessionOptions& options, const SourceOptions& source_options, std::string name);
  ~SimDaemon();
  SimDaemon(const SimDaemon&) = delete;
  SimDaemon& operator=(const SimDaemon&) = delete;

  // 0 supervises and captures; the others apply, one per sink.
  std::size_t threads() const { return ready_at_.size(); }
  TimePoint ready_at(std::size_t thread) const { return ready_at_[thread]; }
  void step(std::size_t thread);

  // The process has ended.
  bool over() const { return over_; }
  // It ended because the source no longer has what a sink needs.
  bool lost_position() const { return lost_position_; }

  // kill -9.
  void kill();
  // SIGTERM: applies what was read, and ends.
  void stop();
  // Something new is there to be read.
  void wake();
  // What people ask of copies.
  CopyControl& copies() { return copies_; }

  // From now on another process may take over, or a sink may be set back: then it may stop for
  // that reason, which is otherwise a fault.
  void may_stop_for(ErrorKind kind) { allowed_.push_back(kind); }
  // A sink was set back: what this process knows of it is no longer a promise.
  void forget_promises() { promises_ = false; }

 private:
  struct Lane {
    Lane(World& world, SinkDatabase& of)
        : database(of), driver(world, of), mirror(options_for(of), SinkNaming::kSchemas) {}

    static MirrorOptions options_for(const SinkDatabase& sink) {
      MirrorOptions options;
      options.isolation = sink.isolation();
      return options;
    }

    SinkDatabase& database;
    SimSink driver;
    Mirror mirror;
    SinkProgress progress;
    bool finished = false;
  };

  enum class Phase { kBetweenSessions, kConnecting, kRunning, kDraining };

  void begin_session();
  void connect();
  void capture();
  void apply(std::size_t sink);
  void ended(const Error& error);
  void check_promises();
  void end();

  World& world_;
  std::string name_;
  SessionOptions options_;
  std::vector<SinkDatabase*> databases_;
  SimSource source_;
  std::vector<std::unique_ptr<Lane>> lanes_;
  StateManager states_;
  CopyControl copies_{states_};
  CaptureProgress capture_progress_;
  std::unique_ptr<Session> session_;  // after what it uses

  Phase phase_ = Phase::kBetweenSessions;
  bool over_ = false;
  bool lost_position_ = false;
  bool promises_ = true;
  std::vector<ErrorKind> allowed_{ErrorKind::kSystemic};
  std::vector<TimePoint> ready_at_;
};

}  // namespace headgate::sim
