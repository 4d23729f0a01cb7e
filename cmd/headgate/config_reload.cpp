#include "config_reload.hpp"

#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "pipeline_factory.hpp"

namespace headgate {
namespace {

void refuse_change(const Config& config, const char* key, bool changed, const char* why) {
  if (changed) {
    throw Error{ErrorKind::kConfig,
                fmt::format("{}: `{}` is not what the daemon was started with", config.file, key),
                fmt::format("{}; restart the daemon if that is meant", why)};
  }
}

}  // namespace

ConfigReload::ConfigReload(const Config& running, const Clock& clock, std::function<void()> stop)
    : running_(running), clock_(clock), stop_(std::move(stop)) {}

void ConfigReload::request() {
  Config next = load_config(running_.file);
  refuse_change(next, "pipeline", next.pipeline != running_.pipeline,
                "under another name every sink begins with a new copy");
  refuse_change(next, "storage.dir", next.storage_dir != running_.storage_dir,
                "what the daemon keeps there would be left behind");
  static_cast<void>(make_pipeline(next, clock_));  // connects to nothing, but finds what is wrong
  {
    const std::lock_guard lock(mutex_);
    next_ = std::move(next);
  }
  stop_();
}

std::optional<Config> ConfigReload::take() {
  const std::lock_guard lock(mutex_);
  return std::exchange(next_, std::nullopt);
}

}  // namespace headgate
