// `headgate check`: what would keep the daemon from running, each point with its remedy.

#pragma once

#include "config/config.hpp"

namespace headgate {

struct CheckOptions {
  bool json = false;
  // Run the statements of what is missing, then look again.
  bool apply = false;
};

// Connects to source and sinks, and changes nothing unless it is to apply. Returns kExitOk when
// `run` would start, else the exit code it would stop with.
int check_command(const Config& config, const CheckOptions& options);

}  // namespace headgate
