// Loading, beyond what config.hpp promises to everybody: for tests.

#pragma once

#include <string>
#include <vector>

namespace headgate::config {

// Every key that a file may have, as `sinks[].path`, sorted, with the names of sections among them.
std::vector<std::string> known_keys();

}  // namespace headgate::config
