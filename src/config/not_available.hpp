// Keys whose feature this version does not have yet.
//
// They are known, checked like any other, and accepted as long as they hold their default. Whatever
// asks for more is refused: a setting that silently does nothing breaks a user's trust. When a
// feature comes, its section reads the key for itself and these calls go.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/section.hpp"

namespace headgate::config {

void only_default_number(const Section& section, std::string_view key, std::uint64_t only,
                         Range<std::uint64_t> range);
void only_default_size(const Section& section, std::string_view key, std::uint64_t only,
                       Range<std::uint64_t> range);
void only_default_duration(const Section& section, std::string_view key, Duration only,
                           Range<Duration> range);
void only_default_choice(const Section& section, std::string_view key, std::string_view only,
                         const std::vector<std::string_view>& allowed);
// `what` names the feature: "skills".
void only_default_flag(const Section& section, std::string_view key, bool only,
                       std::string_view what);
// For keys whose default is to be left out. The value is not looked at.
void only_null(const Section& section, std::string_view key, std::string_view what);

// "not available in this version: WHAT".
std::string not_available(std::string_view what);

}  // namespace headgate::config
