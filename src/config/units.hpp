// Durations and sizes as a configuration file writes them.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"

namespace headgate::config {

// What to say when a text is none.
inline constexpr std::string_view kDurationForm =
    "a duration: a whole number with ms, s, m, h or d, such as 500ms or 30s";
inline constexpr std::string_view kSizeForm =
    "a size: a whole number of bytes, or one with KiB, MiB, GiB, TiB (1024) or kB, MB, GB, TB "
    "(1000)";

// Digits only, without sign. Nothing for anything else, or when it does not fit.
std::optional<std::uint64_t> parse_number(std::string_view text);

// "500ms", "30s", "1m", "6h", "7d": a unit is required, even for zero.
std::optional<Duration> parse_duration(std::string_view text);

// "64MiB", "256MB", "1048576". The case of the letters does not matter: nobody means millibits.
std::optional<std::uint64_t> parse_size(std::string_view text);

// The same back, in the largest unit that needs no fraction.
std::string format_duration(Duration duration);
std::string format_size(std::uint64_t bytes);

}  // namespace headgate::config
