// `headgate reload`: the running daemon reads its configuration file again.

#pragma once

#include <iostream>

#include "config/config.hpp"

namespace headgate {

// Returns kExitOk once the daemon has found the file right, kExitConfig when it has not, otherwise
// as status_command(). Trouble goes to `err` in one message with its remedy.
int reload_command(const HttpConfig& http, std::ostream& out = std::cout,
                   std::ostream& err = std::cerr);

}  // namespace headgate
