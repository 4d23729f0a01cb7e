// ${NAME} in the values of a configuration file.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace headgate::config {

struct Expansion {
  std::string text;
  // What is wrong, one sentence each; `text` is then of no use. Names of variables, never values.
  std::vector<std::string> problems;
};

// Replaces each ${NAME} by that variable of the environment, once: what a variable holds is not
// expanded again. `$${` stands for a literal `${`; any other `$` is itself.
//
// It works on values after YAML has been read, so a variable can never add a key or end a string.
Expansion expand_environment(std::string_view text);

}  // namespace headgate::config
