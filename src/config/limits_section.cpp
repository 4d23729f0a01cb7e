#include "config/not_available.hpp"
#include "config/sections.hpp"

namespace headgate::config {

void read_limits(const Section& root, Config& config) {
  constexpr std::uint64_t kMiB = 1024 * 1024;
  constexpr std::uint64_t kGiB = 1024 * kMiB;

  const Section limits = root.section("limits");
  config.memory_limit = limits.size("memory", config.memory_limit, {16 * kMiB, 1024 * kGiB});
  config.source.spill_bytes_max =
      limits.size("spill_disk", 20 * kGiB, {64 * kMiB, 1024 * kGiB * 1024});
  only_default_size(limits, "row_max", kGiB, {kMiB, kGiB});
}

}  // namespace headgate::config
