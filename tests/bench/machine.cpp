#include "machine.hpp"

#include <sys/utsname.h>
#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <thread>

#include <fmt/format.h>

#include "interrupt.hpp"
#include "support/temp_dir.hpp"

namespace headgate::bench {

namespace fs = std::filesystem;

namespace {

double seconds_of_ticks(double ticks) {
  return ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

// A line such as "VmHWM:     1234 kB" of /proc/PID/status.
std::uint64_t kilobytes_of(const std::string& status, const std::string& key) {
  const auto at = status.find(key + ":");
  if (at == std::string::npos) {
    return 0;
  }
  std::uint64_t kilobytes = 0;
  std::istringstream(status.substr(at + key.size() + 1)) >> kilobytes;
  return kilobytes;
}

// A file of /proc/PID; empty when the process has ended, be it between the opening and the reading.
std::string process_file(const fs::path& path) {
  try {
    return test::read_file(path);
  } catch (const std::ios_base::failure&) {
    return {};
  }
}

// What the machine's processors did, idle time left out.
double busy_seconds() {
  std::ifstream file("/proc/stat");
  std::string cpu;
  double user = 0;
  double nice = 0;
  double system = 0;
  double idle = 0;
  double waiting = 0;
  double irq = 0;
  double soft_irq = 0;
  double stolen = 0;
  file >> cpu >> user >> nice >> system >> idle >> waiting >> irq >> soft_irq >> stolen;
  return seconds_of_ticks(user + nice + system + stolen);
}

// Of this process and its descendants. A child that has ended lives on in its parent's sum, so the
// whole never shrinks.
double own_seconds() {
  std::map<pid_t, ProcessStat> processes;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size()) {
      continue;
    }
    const std::string line = process_file(entry.path() / "stat");
    if (!line.empty()) {  // else it has just ended
      processes.emplace(pid, parse_process_stat(line));
    }
  }
  const pid_t self = ::getpid();
  double sum = 0;
  for (const auto& [pid, process] : processes) {
    pid_t ancestor = pid;
    while (ancestor != self && processes.contains(ancestor)) {
      ancestor = processes.at(ancestor).parent;
    }
    if (ancestor == self) {
      sum += process.own_seconds + process.reaped_seconds;
    }
  }
  return sum;
}

double foreign_seconds() {
  return busy_seconds() - own_seconds();
}

std::string line_after(const std::string& path, const std::string& key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    const auto colon = line.find(':');
    if (line.starts_with(key) && colon != std::string::npos) {
      return line.substr(line.find_first_not_of(" \t", colon + 1));
    }
  }
  return "?";
}

}  // namespace

ProcessUsage usage_of(pid_t pid) {
  const std::string folder = "/proc/" + std::to_string(pid);
  const std::string line = process_file(folder + "/stat");
  const std::string status = process_file(folder + "/status");
  if (line.empty()) {
    return {};
  }
  return {parse_process_stat(line).own_seconds, kilobytes_of(status, "VmRSS") * 1024,
          kilobytes_of(status, "VmHWM") * 1024};
}

ProcessStat parse_process_stat(std::string_view line) {
  // The name in parentheses may hold anything, parentheses too.
  const auto name_end = line.rfind(')');
  if (name_end == std::string_view::npos) {
    throw std::runtime_error("not a line of /proc/PID/stat: " + std::string(line));
  }
  std::istringstream rest{std::string(line.substr(name_end + 1))};
  std::string skipped;
  ProcessStat stat;
  rest >> skipped >> stat.parent;
  constexpr int kBetweenParentAndTimes = 9;
  for (int i = 0; i < kBetweenParentAndTimes; ++i) {
    rest >> skipped;
  }
  double user = 0;
  double system = 0;
  double reaped_user = 0;
  double reaped_system = 0;
  if (!(rest >> user >> system >> reaped_user >> reaped_system)) {
    throw std::runtime_error("not a line of /proc/PID/stat: " + std::string(line));
  }
  stat.own_seconds = seconds_of_ticks(user + system);
  stat.reaped_seconds = seconds_of_ticks(reaped_user + reaped_system);
  return stat;
}

ForeignLoad::ForeignLoad() : since_(SystemClock().now()), before_(foreign_seconds()) {}

double ForeignLoad::cores() const {
  const double seconds = std::chrono::duration<double>(SystemClock().now() - since_).count();
  // The two sums are not read at the same instant, hence the limit.
  return seconds > 0 ? std::max(0.0, (foreign_seconds() - before_) / seconds) : 0;
}

void wait_until_calm(double cores_max, Duration patience) {
  constexpr Duration kLookInterval = std::chrono::milliseconds(500);
  const TimePoint deadline = SystemClock().now() + patience;
  while (SystemClock().now() < deadline) {
    check_interrupted();
    const ForeignLoad foreign;
    std::this_thread::sleep_for(kLookInterval);
    if (foreign.cores() <= cores_max) {
      return;
    }
  }
}

std::string describe_machine() {
  utsname system{};
  ::uname(&system);
  return fmt::format("{} cores, {}, {} of memory, {} {}", std::thread::hardware_concurrency(),
                     line_after("/proc/cpuinfo", "model name"),
                     line_after("/proc/meminfo", "MemTotal"), system.sysname, system.release);
}

}  // namespace headgate::bench
