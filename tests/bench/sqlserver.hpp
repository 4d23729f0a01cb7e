// What it costs to follow a SQL Server: change rows for each CPU-second of the daemon, and how much
// of that is the driver's.
//
// The server is a double in a process of its own, whose CPU does not count, or the one that
// HEADGATE_TEST_SQLSERVER names.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace headgate::bench {

struct SqlServerOptions {
  std::uint64_t rows = 200'000;  // of the change table, in each workload
  unsigned repeats = 3;
};

// One contender's runs over one workload.
struct SqlServerFigure {
  std::string workload;
  std::string contender;          // "headgate > sqlite", "headgate > postgres", "driver loop"
  std::uint64_t change_rows = 0;  // as the change table has them: two for an update
  std::vector<double> cpu_seconds{};
  std::vector<double> seconds{};
  double rss_peak_bytes = 0;
  std::string refused{};  // the sink does not hold what the source does; empty: it does

  // By the median.
  double rows_per_cpu_second() const;
};

struct SqlServerReport {
  std::vector<SqlServerFigure> figures;
  std::string server;

  const SqlServerFigure* of(const std::string& workload, const std::string& contender) const;
};

SqlServerReport measure_sqlserver(const SqlServerOptions& options);

}  // namespace headgate::bench
