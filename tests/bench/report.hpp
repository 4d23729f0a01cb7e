// What a bench run has found, for people and for programs.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "drain.hpp"
#include "footprint.hpp"
#include "latency.hpp"
#include "sqlserver.hpp"

namespace headgate::bench {

struct RateReport {
  double sustained = 0;  // TPC-B transactions a second that the source does alone
  std::vector<LatencyResult> results;
};

struct Report {
  std::string started_at;  // RFC 3339
  std::string command;
  std::string machine;
  std::string server;
  std::vector<DrainReport> drains;
  std::vector<LatencyResult> latencies;
  std::optional<RateReport> rates;
  std::optional<FootprintReport> footprint;
  std::optional<SqlServerReport> sqlserver;

  // Whether any figure had to be refused.
  bool refused() const;
};

// One line of limits.md's table, as far as this report has it. Nothing here is ever asserted.
struct Target {
  std::string what;
  double measured = 0;
  double must_reach = 0;
  double aim = 0;
  bool smaller_is_better = false;

  // "aim", "must" or "missed".
  std::string outcome() const;
};
std::vector<Target> targets(const Report& report);

std::string to_markdown(const Report& report);
std::string to_json(const Report& report);

}  // namespace headgate::bench
