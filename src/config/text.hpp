// Text from outside: is it UTF-8, and how is it shown in a message.

#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace headgate::config {

// The offset of the first byte that is not part of well-formed UTF-8 (RFC 3629: no overlong forms,
// no surrogates); nothing when all of it is.
std::optional<std::size_t> find_invalid_utf8(std::string_view text);

// `text` in quotes, on one line and of bearable length, whatever is in it: control characters
// become \xNN, and what is too long is cut with "...".
std::string shown(std::string_view text);

// The same without quotes, for the names of keys.
std::string shown_bare(std::string_view text);

}  // namespace headgate::config
