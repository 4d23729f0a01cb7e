#include "daemon/service_manager.hpp"

#include <cstdint>
#include <ctime>

#include <systemd/sd-daemon.h>

namespace headgate {

void ServiceManager::ready() {
  sd_notify(0, "READY=1");
}
void ServiceManager::reloading() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const auto microseconds = static_cast<std::int64_t>(now.tv_sec) * 1'000'000 +
                            static_cast<std::int64_t>(now.tv_nsec) / 1000;
  sd_notify(0, ("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(microseconds)).c_str());
}
void ServiceManager::stopping() {
  sd_notify(0, "STOPPING=1");
}
void ServiceManager::status(const std::string& text) {
  sd_notify(0, ("STATUS=" + text).c_str());
}
void ServiceManager::watchdog() {
  sd_notify(0, "WATCHDOG=1");
}

}  // namespace headgate
