// What this binary is.

#pragma once

#include <string>

namespace headgate {

// "0.1.0"
std::string version_text();

// `headgate version`: the version, and those of the libraries that data passes through.
int version_command(bool json);

}  // namespace headgate
