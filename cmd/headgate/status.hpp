// `headgate status`: asks the running daemon how far it is.

#pragma once

#include <iostream>
#include <string>

#include <boost/json/object.hpp>

#include "config/config.hpp"

namespace headgate {

// Prints the daemon's report: as it came with `json`, otherwise as a table for people. Trouble goes
// to `err` in one message with its remedy.
//
// Returns kExitOk, kExitUnavailable when no daemon answers, kExitOperator when it refuses us or
// what answers is no daemon, kExitConfig when `http.listen` is no address.
int status_command(const HttpConfig& http, bool json, std::ostream& out = std::cout,
                   std::ostream& err = std::cerr);

// `headgate tables`: each sink's tables; as status_command() otherwise.
int tables_command(const HttpConfig& http, bool json, std::ostream& out = std::cout,
                   std::ostream& err = std::cerr);

// The table. Prints `-` for what an older or newer daemon does not report.
std::string status_table(const boost::json::object& report);

}  // namespace headgate
