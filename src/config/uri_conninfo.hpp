// Connection strings of the form `postgresql://…`, by the rules of libpq's
// conninfo_uri_parse_options.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/conninfo.hpp"

namespace headgate::config {

// The part of a URI after its scheme; nothing for any other string.
std::optional<std::string_view> uri_after_scheme(std::string_view text);

// REQUIRES: `text` has a scheme.
Conninfo parse_uri_conninfo(std::string_view text);

// Nothing for a malformed escape, and for %00, which libpq refuses too.
std::optional<std::string> percent_decoded(std::string_view text);

// Takes the text before the first of `ends` off `rest`, which keeps that character.
std::string_view take_until(std::string_view& rest, std::string_view ends);

}  // namespace headgate::config
