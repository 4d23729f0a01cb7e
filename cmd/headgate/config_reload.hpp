// The configuration file, read again while the daemon runs.

#pragma once

#include <functional>
#include <mutex>
#include <optional>

#include "base/clock.hpp"
#include "config/config.hpp"

namespace headgate {

// A new configuration is checked whole before anything of the old one ends. Thread-safe.
class ConfigReload {
 public:
  // Of the pipeline that runs with `running`; both must outlive it. `stop` asks that one to end, at
  // a transaction boundary.
  ConfigReload(const Config& running, const Clock& clock, std::function<void()> stop);

  // Reads the file. Throws Error{kConfig} where it is wrong, or changes what only a restart can;
  // then everything stays as it is.
  void request();

  // The last one that was found to be right, once.
  std::optional<Config> take();

 private:
  const Config& running_;
  const Clock& clock_;
  std::function<void()> stop_;
  std::mutex mutex_;
  std::optional<Config> next_;  // guarded by mutex_
};

}  // namespace headgate
