// Bytes to lower-case hexadecimal digits and back.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headgate {

std::string to_hex(std::string_view bytes);

// Nothing when a character is no hexadecimal digit or their number is odd.
std::optional<std::string> from_hex(std::string_view digits);

}  // namespace headgate
