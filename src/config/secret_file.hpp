// The files that `password_file:` and `token_file:` name.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/section.hpp"

namespace headgate::config {

// Reads the file that `key` names, less one line end at its end. Nothing when the key is not there,
// and when something is wrong: then that is a finding, which never holds what was read.
//
// A file that other users may read, write or execute is refused: the secret is then none.
std::optional<std::string> read_secret_file(const Section& section, std::string_view key);

}  // namespace headgate::config
