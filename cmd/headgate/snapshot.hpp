// `headgate snapshot …`: asks the running daemon for copies of tables.

#pragma once

#include <iostream>
#include <string>
#include <vector>

#include "config/config.hpp"

namespace headgate {

struct SnapshotArguments {
  std::string action;  // start, pause, resume, cancel, status
  std::vector<std::string> tables;
};

// Returns kExitOk; kExitUsage for tables with an action that takes none; kExitDiffers when the
// daemon cannot do it now; otherwise as status_command().
int snapshot_command(const HttpConfig& http, const SnapshotArguments& arguments, bool json,
                     std::ostream& out = std::cout, std::ostream& err = std::cerr);

}  // namespace headgate
