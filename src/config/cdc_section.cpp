#include <algorithm>

#include <fmt/format.h>

#include "config/not_available.hpp"
#include "config/sections.hpp"
#include "config/units.hpp"

namespace headgate::config {

using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kGiB = kKiB * kKiB * kKiB;
constexpr Duration kYear = std::chrono::hours(24 * 365);

void read_gap(const Section& cdc, Config& config) {
  const Section gap = cdc.section("gap");
  if (config.sqlserver) {
    source::sqlserver::Options& source = *config.sqlserver;
    source.gap_check_interval =
        gap.duration("check_interval", source.gap_check_interval, {1s, 24h});
    source.warning_lag = gap.duration("warning_lag", source.warning_lag, {1s, kYear});
    source.critical_lag = gap.duration("critical_lag", source.critical_lag, {1s, kYear});
    if (source.critical_lag < source.warning_lag) {
      gap.fail("critical_lag",
               fmt::format("less than warning_lag, {}", format_duration(source.warning_lag)));
    }
  } else {
    only_default_duration(gap, "check_interval", 1min, {1s, 24h});
    only_default_duration(gap, "warning_lag", 1h, {1s, kYear});
    only_default_duration(gap, "critical_lag", 6h, {1s, kYear});
  }
  only_default_choice(gap, "recovery", "manual", {"manual", "snapshot"});
}

}  // namespace

void read_cdc(const Section& root, Config& config) {
  const Section cdc = root.section("cdc");
  config.cdc.interval = cdc.duration("interval", config.cdc.interval, {1ms, 1h});
  config.cdc.max_transactions =
      cdc.number("max_transactions", config.cdc.max_transactions, {1, 10'000'000});
  // The default batch gives way to a small memory; one that was written does not shrink silently.
  config.cdc.max_batch_bytes =
      cdc.size("max_batch_bytes", std::min(config.cdc.max_batch_bytes, config.memory_limit / 4),
               {64 * kKiB, 64 * kGiB});
  if (config.cdc.max_batch_bytes > config.memory_limit) {
    cdc.fail("max_batch_bytes",
             fmt::format("more than limits.memory, {}", format_size(config.memory_limit)));
  }

  only_default_choice(cdc, "gate", "strict", {"strict", "timed"});
  only_default_flag(cdc, "allow_torn_transactions", false, "a gate that may tear transactions");
  only_default_duration(cdc, "max_wait", 30s, {1s, 24h});
  read_gap(cdc, config);
}

}  // namespace headgate::config
