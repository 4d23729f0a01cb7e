#include "daemon/service_manager.hpp"

#include <systemd/sd-daemon.h>

namespace headgate {

void ServiceManager::ready() {
  sd_notify(0, "READY=1");
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
