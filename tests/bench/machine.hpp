// What processes use, and what other processes of the machine take meanwhile. From /proc.

#pragma once

#include <sys/types.h>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace headgate::bench {

struct ProcessUsage {
  double cpu_seconds = 0;  // user and system, all threads
  std::uint64_t rss_bytes = 0;
  std::uint64_t rss_peak_bytes = 0;  // of the process's life
};

// All zero when the process is gone.
ProcessUsage usage_of(pid_t pid);

// One process as /proc/PID/stat has it.
struct ProcessStat {
  pid_t parent = 0;
  double own_seconds = 0;
  double reaped_seconds = 0;  // of children that have ended and were waited for
};

// Throws std::runtime_error when `line` is not such a line.
ProcessStat parse_process_stat(std::string_view line);

// CPU that processes other than this one and its descendants have used since the object was made,
// and what the hypervisor kept back: a figure that was taken meanwhile is worth less.
class ForeignLoad {
 public:
  ForeignLoad();

  // In cores, on average since then.
  double cores() const;

 private:
  TimePoint since_;
  double before_;
};

// Waits until other processes take no more than `cores_max`, at most for `patience`.
void wait_until_calm(double cores_max, Duration patience);

// One line: cores, processor, memory, kernel.
std::string describe_machine();

}  // namespace headgate::bench
