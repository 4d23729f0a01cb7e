// What systemd is told (sd_notify(3)); without systemd, nothing happens.

#pragma once

#include <string>

namespace headgate {

// Thread-safe, as sd_notify is.
class ServiceManager {
 public:
  static void ready();
  // ready() is due once the new configuration is in force.
  static void reloading();
  static void stopping();
  static void status(const std::string& text);
  // Call at least every half of WatchdogSec=, and only while the process does its work.
  static void watchdog();
};

}  // namespace headgate
