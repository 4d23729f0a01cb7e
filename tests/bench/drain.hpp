// Drains: everything that waits behind a slot, applied as fast as it goes; contenders one after the
// other, again and again.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "contender.hpp"

namespace headgate::bench {

struct DrainOptions {
  unsigned repeats = 3;
  // A run during which other processes took more than this is marked, and repeated at most so
  // often.
  double foreign_cores_max = 0.2;
  unsigned disturbed_retries = 2;
  // Before each run, how long to wait for others to become quiet.
  std::chrono::seconds calm_patience{30};
};

struct DrainSample {
  double seconds = 0;        // from start to the commit of the last transaction
  double start_seconds = 0;  // of these, until the slot was being read
  CpuShares cpu{};
  std::uint64_t rss_peak_bytes = 0;
  double foreign_cores = 0;
  bool disturbed = false;
  // Why the figure does not count: the sink does not hold what the source does. Empty: it counts.
  std::string refused{};
};

// All samples of one contender; medians over those that were not refused and, where there are any,
// not disturbed.
struct DrainResult {
  std::string contender;
  std::vector<DrainSample> samples{};

  bool counts() const;     // any sample that was not refused
  bool disturbed() const;  // all of those that count were
  bool refused() const;    // any sample was
  double seconds() const;
  double start_seconds() const;
  double cpu(const std::string& part) const;
  double rss_peak_bytes() const;
  double foreign_cores() const;

 private:
  template <typename Get>
  double median_of(Get get) const;
};

struct DrainReport {
  Workload workload;
  std::vector<DrainResult> results;

  // Null when it did not take part.
  const DrainResult* of(const std::string& contender) const;
};

using Contenders = std::vector<std::unique_ptr<Contender>>;

// Runs each contender `repeats` times, interleaved.
DrainReport drain(PreparedWorkload& prepared, const Contenders& contenders,
                  const DrainOptions& options);

}  // namespace headgate::bench
