// `headgate check`: what would keep the daemon from running, each point with its remedy.

#pragma once

#include "config/config.hpp"

namespace headgate {

// Connects to source and sinks and changes nothing. Returns kExitOk when `run` would start, else
// the exit code it would stop with.
int check_command(const Config& config, bool json);

}  // namespace headgate
