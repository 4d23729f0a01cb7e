#include "config/not_available.hpp"
#include "config/sections.hpp"

namespace headgate::config {

using namespace std::chrono_literals;

void read_errors(const Section& root) {
  constexpr std::uint64_t kMiB = 1024 * 1024;
  constexpr std::uint64_t kCountMax = 1'000'000'000;

  const Section errors = root.section("errors");
  if (errors.choice("on_row_error", "stop", {"dead_letter", "stop"}) == "dead_letter") {
    errors.warn("on_row_error",
                "dead letters are not available yet: a row error stops the pipeline");
  }
  const Section budget = errors.section("budget");
  only_default_number(budget, "transactions", 100, {1, kCountMax});
  only_default_duration(budget, "per", 1min, {1s, 24h});
  const Section held = errors.section("held_max");
  only_default_number(held, "transactions", 100000, {1, kCountMax});
  only_default_size(held, "bytes", 1024 * kMiB, {kMiB, kMiB * kMiB});
}

}  // namespace headgate::config
