// Scripts of changes that are run in several ways, each of which must leave the sinks like the
// source: whether a row's history arrives in one batch or in many decides which code writes it.

#pragma once

#include <string>
#include <vector>

#include "demo/pg_session.hpp"
#include "support/mirror_setup.hpp"

namespace headgate::test {

// `@` in front of a name stands for the schema of a way: `@.orders`.
struct Scenario {
  // Tables, and the rows that the first copy finds.
  std::string create;
  // What each becomes a transaction, or a part of one, by the way it is run.
  std::vector<std::string> steps;
};

// Each scenario has tables of its own, so that what differs names it.
class MirrorScenarios {
 public:
  explicit MirrorScenarios(const std::vector<Scenario>& scenarios,
                           const MirrorOptions& options = {});

  MirrorSetup& setup() { return setup_; }

  // Creates everything, copies it, then runs all scenarios:
  // - step: the sinks have shown each step before the next one is committed;
  // - own: each step is a transaction, and they come as they come;
  // - one: all steps of a scenario are one transaction;
  // - down: as `own`, but while the daemon is down, so that it finds all of them at once.
  //
  // Returns all differences, each way under its schema; empty when there are none.
  std::string run();

 private:
  void run_steps(const std::string& schema);
  void run_step_by_step(const std::string& schema);
  void run_in_one_transaction(const std::string& schema);
  std::vector<std::string> tables();

  const std::vector<Scenario>& scenarios_;
  MirrorSetup setup_;
  demo::PgSession source_;
};

}  // namespace headgate::test
