// "Did you mean": the known word that a mistyped one probably was.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::config {

// The nearest of `known` by edit distance, a swap of neighbours counting as one edit, and with case
// and `-` for `_` forgiven; nothing when none is near enough to be meant. On a tie the first wins.
std::optional<std::string> nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace headgate::config
