#include "mirror_scenarios.hpp"

#include <algorithm>

namespace headgate::test {

namespace {

const std::vector<std::string> kSchemas{"step", "own", "one", "down"};

std::string in_schema(std::string sql, const std::string& schema) {
  for (std::size_t at = sql.find('@'); at != std::string::npos; at = sql.find('@', at)) {
    sql.replace(at, 1, schema);
  }
  return sql;
}

std::vector<std::string> patterns() {
  std::vector<std::string> patterns;
  for (const std::string& schema : kSchemas) {
    patterns.push_back(schema + ".*");
  }
  return patterns;
}

}  // namespace

MirrorScenarios::MirrorScenarios(const std::vector<Scenario>& scenarios,
                                 const MirrorOptions& options)
    : scenarios_(scenarios), setup_(patterns(), options), source_(setup_.source().conninfo()) {}

std::string MirrorScenarios::run() {
  for (const std::string& schema : kSchemas) {
    source_.execute("CREATE SCHEMA " + schema);
    for (const Scenario& scenario : scenarios_) {
      source_.execute(in_schema(scenario.create, schema));
    }
  }
  setup_.daemon().start();
  setup_.daemon().wait_ready();
  run_step_by_step("step");
  run_steps("own");
  run_in_one_transaction("one");
  setup_.catch_up();
  setup_.daemon().terminate();
  run_steps("down");
  setup_.daemon().start();
  setup_.catch_up();
  return setup_.differences(tables());
}

void MirrorScenarios::run_steps(const std::string& schema) {
  for (const Scenario& scenario : scenarios_) {
    for (const std::string& step : scenario.steps) {
      source_.execute(in_schema(step, schema));
    }
  }
}

void MirrorScenarios::run_step_by_step(const std::string& schema) {
  std::size_t steps = 0;
  for (const Scenario& scenario : scenarios_) {
    steps = std::max(steps, scenario.steps.size());
  }
  for (std::size_t step = 0; step < steps; ++step) {
    for (const Scenario& scenario : scenarios_) {
      if (step < scenario.steps.size()) {
        source_.execute(in_schema(scenario.steps[step], schema));
      }
    }
    setup_.catch_up();
  }
}

void MirrorScenarios::run_in_one_transaction(const std::string& schema) {
  for (const Scenario& scenario : scenarios_) {
    source_.execute("BEGIN");
    for (const std::string& step : scenario.steps) {
      source_.execute(in_schema(step, schema));
    }
    source_.execute("COMMIT");
  }
}

std::vector<std::string> MirrorScenarios::tables() {
  std::vector<std::string> tables;
  for (const demo::TextRow& row : source_.query(
           "SELECT n.nspname || '.' || c.relname FROM pg_class c "
           "JOIN pg_namespace n ON n.oid = c.relnamespace "
           "WHERE n.nspname IN ('step', 'own', 'one', 'down') AND c.relkind IN ('r', 'p') "
           "AND NOT c.relispartition ORDER BY 1")) {
    tables.push_back(row.front().value_or(""));
  }
  return tables;
}

}  // namespace headgate::test
