// A whole run from one seed: the application commits, daemons capture and apply, things fail, and
// in the end source and sinks must agree.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "pipeline/session.hpp"
#include "sim_source.hpp"
#include "source_database.hpp"
#include "world.hpp"

namespace headgate::sim {

// All that a seed chooses before the run begins. Tests may change it.
struct Plan {
  std::uint64_t seed = 0;
  std::size_t commits_before = 0;  // there already when the first daemon starts
  std::size_t commits = 30;
  std::vector<bool> sinks{true};  // each: are its commits durable by themselves?
  bool late_sink = false;         // the last sink is added to the configuration during the run
  WorkloadOptions workload{};
  SourceOptions source{};
  SessionOptions session{};
  FaultRates rates{};
  std::size_t events = 0;         // crashes, power cuts, restarts and the like
  bool takeovers = false;         // among the events: a second daemon, while the first lives on
  bool promotions = false;        // among the events: a standby of the source takes over
  bool lossy_promotions = false;  // and may lack the last commits
  bool restores = false;          // among the events: a sink is set back to an earlier state
  bool copy_requests = false;     // among the events: people ask for copies, pause and cancel them
  bool lost_positions = false;    // among the events: a sink's position row is removed
  // Of a thousand alterations, how many a sink cannot carry over; each pauses its table alone until
  // somebody mends that and asks for a copy.
  unsigned hindered_per_mille = 0;
  std::optional<std::size_t> kill_at_durable_operation{};
};

Plan plan_for(std::uint64_t seed);

struct Outcome {
  std::optional<std::string> violation;
  std::vector<std::string> trace;      // only of a traced run
  std::size_t durable_operations = 0;  // of the pipeline
  std::size_t trace_lines = 0;         // also of a run that is not traced
  std::size_t daemons = 0;             // started
};

Outcome simulate(const Plan& plan, bool traced = false);

}  // namespace headgate::sim
