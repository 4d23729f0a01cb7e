// `headgate run`: the daemon.

#pragma once

#include <string>

#include "config/config.hpp"

namespace headgate {

// Runs until SIGTERM, or until every sink stands at `until` (an LSN, or "now" for the source's end
// at start; empty: for ever). Returns an exit code; what stopped it is logged.
int run_command(const Config& config, const std::string& until);

}  // namespace headgate
