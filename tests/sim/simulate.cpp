// Runs seeds through the simulator, and replays one: simulate --help.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "simulation.hpp"

namespace {

using headgate::sim::Outcome;
using headgate::sim::Plan;

constexpr std::size_t kTraceLinesShown = 120;

void print(const Outcome& outcome, bool whole) {
  const auto& lines = outcome.trace;
  const std::size_t hidden =
      whole || lines.size() <= kTraceLinesShown ? 0 : lines.size() - kTraceLinesShown;
  if (hidden > 0) {
    fmt::print("… {} lines before\n", hidden);
  }
  for (std::size_t i = hidden; i < lines.size(); ++i) {
    fmt::print("{}\n", lines[i]);
  }
}

// The same run again, since only a traced one keeps its lines.
void report(const Plan& plan, const std::string& replay, const Outcome& outcome, bool whole) {
  print(simulate(plan, true), whole);
  fmt::print("FAILED seed {}: {}\nreplay: {}\n", plan.seed, *outcome.violation, replay);
}

bool run_seed(std::uint64_t seed, const std::string& program, bool traced) {
  const Plan plan = headgate::sim::plan_for(seed);
  const Outcome outcome = simulate(plan, traced);
  if (outcome.violation) {
    report(plan, fmt::format("{} --seed {}", program, seed), outcome, traced);
    return false;
  }
  if (traced) {
    print(outcome, true);
  }
  return true;
}

// The daemon is killed at its first durable operation, then at the second, and so on until a run
// comes through. Otherwise nothing fails.
bool sweep_seed(std::uint64_t seed, std::size_t only, const std::string& program, bool traced) {
  Plan plan = headgate::sim::plan_for(seed);
  plan.rates = {};
  plan.events = 0;
  plan.commits = std::min<std::size_t>(plan.commits, 12);
  plan.commits_before = std::min<std::size_t>(plan.commits_before, 4);
  const bool one = only != std::size_t(-1);
  for (std::size_t stop = one ? only : 0;; ++stop) {
    plan.kill_at_durable_operation = stop;
    const Outcome outcome = simulate(plan, traced);
    if (outcome.violation) {
      report(plan, fmt::format("{} --sweep --seed {} --stop {}", program, seed, stop), outcome,
             traced);
      return false;
    }
    if (one && traced) {
      print(outcome, true);
    }
    if (one || stop >= outcome.durable_operations) {
      return true;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Runs the pipeline in a simulated world, chosen by a seed, and checks invariants."};
  std::uint64_t first = 0;
  std::uint64_t count = 1000;
  std::int64_t seed = -1;
  std::size_t stop = std::size_t(-1);
  bool sweep = false;
  app.add_option("--from", first, "the first seed")->capture_default_str();
  app.add_option("--seeds", count, "how many seeds")->capture_default_str();
  app.add_option("--seed", seed, "one seed, with its whole trace");
  app.add_flag("--sweep", sweep, "kill the daemon at each durable operation in turn");
  app.add_option("--stop", stop, "with --sweep and --seed: at this durable operation only");
  CLI11_PARSE(app, argc, argv);

  const std::string program = argv[0];
  const bool traced = seed >= 0;
  if (traced) {
    first = static_cast<std::uint64_t>(seed);
    count = 1;
  }
  for (std::uint64_t each = first; each < first + count; ++each) {
    const bool passed =
        sweep ? sweep_seed(each, stop, program, traced) : run_seed(each, program, traced);
    if (!passed) {
      return 1;
    }
  }
  fmt::print("{} seeds from {}: every invariant held{}\n", count, first,
             sweep ? ", wherever the daemon was killed" : "");
  return 0;
}
