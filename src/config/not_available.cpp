#include "config/not_available.hpp"

#include <fmt/format.h>

#include "config/units.hpp"

namespace headgate::config {
namespace {

void refuse(const Section& section, std::string_view key, std::string_view asked,
            std::string_view only) {
  section.fail(key, not_available(fmt::format("{} (only {})", asked, only)));
}

}  // namespace

std::string not_available(std::string_view what) {
  return fmt::format("not available in this version: {}", what);
}

void only_default_number(const Section& section, std::string_view key, std::uint64_t only,
                         Range<std::uint64_t> range) {
  const std::uint64_t asked = section.number(key, only, range);
  if (asked != only) {
    refuse(section, key, std::to_string(asked), std::to_string(only));
  }
}

void only_default_size(const Section& section, std::string_view key, std::uint64_t only,
                       Range<std::uint64_t> range) {
  const std::uint64_t asked = section.size(key, only, range);
  if (asked != only) {
    refuse(section, key, format_size(asked), format_size(only));
  }
}

void only_default_duration(const Section& section, std::string_view key, Duration only,
                           Range<Duration> range) {
  const Duration asked = section.duration(key, only, range);
  if (asked != only) {
    refuse(section, key, format_duration(asked), format_duration(only));
  }
}

void only_default_choice(const Section& section, std::string_view key, std::string_view only,
                         const std::vector<std::string_view>& allowed) {
  const std::string asked = section.choice(key, only, allowed);
  if (asked != only) {
    refuse(section, key, asked, only);
  }
}

void only_default_flag(const Section& section, std::string_view key, bool only,
                       std::string_view what) {
  if (section.flag(key, only) != only) {
    section.fail(key, not_available(what));
  }
}

void only_null(const Section& section, std::string_view key, std::string_view what) {
  if (section.has(key)) {
    section.fail(key, not_available(what), "leave the key out, or write null");
  }
}

}  // namespace headgate::config
