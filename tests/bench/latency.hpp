// Live latency: from the commit that the source has acknowledged to the row that a reader of the
// sink sees.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "contender.hpp"
#include "drain.hpp"

namespace headgate::bench {

struct LatencyResult {
  std::string contender;
  std::vector<double> milliseconds{};  // one per transaction, in their order
  double source_rate = 0;              // TPC-B transactions a second beside it; 0: none
  double foreign_cores = 0;
  std::string refused{};  // as in DrainSample

  double at(double share) const;
  // The 99th percentile of the last third over that of the first.
  double growth() const;
};

// One transaction at a time: `count` updates of random rows of t4, 2 ms after the last was seen; in
// `options.repeats` interleaved rounds. `prepared` is of idle_table().
std::vector<LatencyResult> single_latency(PreparedWorkload& prepared, const Contenders& contenders,
                                          unsigned count, const DrainOptions& options);

// pgbench at `rate` for `seconds`, and probes of a row of its own meanwhile. `prepared` is of
// idle_tpcb().
LatencyResult latency_under_load(PreparedWorkload& prepared, const Contender& contender,
                                 double rate, unsigned seconds);

}  // namespace headgate::bench
