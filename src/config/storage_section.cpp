#include "config/not_available.hpp"
#include "config/sections.hpp"

namespace headgate::config {

using namespace std::chrono_literals;

void read_storage(const Section& root, Config& config) {
  constexpr std::uint64_t kMiB = 1024 * 1024;
  constexpr Duration kRetainMax = std::chrono::hours(24 * 3650);

  const Section storage = root.section("storage");
  if (const auto dir = storage.text("dir")) {
    config.storage_dir = dir->value;
  }
  // While the store is off, its other keys ask for nothing.
  const Section store = storage.section("change_store");
  only_default_flag(store, "enabled", false, "the change store");
  store.duration("retain", std::chrono::hours(24 * 7), {1min, kRetainMax});
  store.size("max_size", 10 * 1024 * kMiB, {16 * kMiB, kMiB * kMiB * 1024});
  only_default_duration(storage.section("monitor"), "retain", std::chrono::hours(24 * 14),
                        {1min, kRetainMax});
}

}  // namespace headgate::config
