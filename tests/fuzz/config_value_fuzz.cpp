// The small readers of configuration values, all on the same text.

#include <chrono>
#include <cstdlib>

#include "base/hex.hpp"
#include "config/env_expansion.hpp"
#include "config/identifiers.hpp"
#include "config/suggestion.hpp"
#include "config/text.hpp"
#include "config/units.hpp"
#include "fuzz_target.hpp"

namespace headgate::fuzz {
namespace {

std::string with_escapes(std::string_view text) {
  std::string escaped;
  for (std::size_t at = 0; at < text.size(); ++at) {
    escaped += text.substr(at, 2) == "${" ? "$$" : std::string(1, text[at]);
  }
  return escaped;
}

void check_expansion(std::string_view text) {
  ::setenv("HEADGATE_FUZZ_SECRET", "hunter2", 1);
  for (const std::string& problem : config::expand_environment(text).problems) {
    require(text.find(kSecret) != text.npos || problem.find(kSecret) == std::string::npos,
            "problems name variables, never values");
  }
  const config::Expansion literal = config::expand_environment(with_escapes(text));
  require(literal.problems.empty() && literal.text == text, "an escaped text expands to itself");
}

Duration unit_of(std::string_view duration) {
  using namespace std::chrono_literals;
  const char last = duration.back();
  return last == 'd'                ? 24h
         : last == 'h'              ? 1h
         : last == 'm'              ? 1min
         : duration.ends_with("ms") ? 1ms
                                    : Duration(1s);
}

void check_units(std::string_view text) {
  if (const auto duration = config::parse_duration(text)) {
    require(*duration == unit_of(text) * std::strtoll(std::string(text).c_str(), nullptr, 10),
            "a duration is a number of its unit");
    require(config::parse_duration(config::format_duration(*duration)) == duration,
            "a duration reads back");
  }
  if (const auto size = config::parse_size(text)) {
    require(config::parse_size(config::format_size(*size)) == size, "a size reads back");
  }
  if (const auto number = config::parse_number(text)) {
    require(config::parse_size(text) == number, "a number is a size in bytes");
  }
}

// What may stand in a name that is written into the server's statements and commands.
void check_identifiers(std::string_view text) {
  const auto has = [&](std::string_view characters) {
    return text.find_first_of(characters) != text.npos;
  };
  for (const auto& problem :
       {config::pipeline_name_problem(text), config::slot_name_problem(text),
        config::publication_name_problem(text), config::sink_name_problem(text)}) {
    require(!problem.empty() || (!text.empty() && text.size() < 64 && !has(" '\"\\;%$\n")),
            "a good name needs no quotes");
  }
  require(!config::schema_name_problem(text).empty() || text.find('\0') == text.npos,
          "a schema's name has no NUL");
}

void check_shown(std::string_view text) {
  const std::string shown = config::shown(text);
  require(shown.size() < 100, "a shown text is short");
  require(!config::find_invalid_utf8(shown), "a shown text is UTF-8");
  for (const char c : shown) {
    require(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F, "a shown text is one line");
  }
  if (const auto bad = config::find_invalid_utf8(text)) {
    require(!config::find_invalid_utf8(text.substr(0, *bad)),
            "what is before the bad byte is good");
  }
}

void check_hex(std::string_view text) {
  if (const auto bytes = from_hex(text)) {
    require(from_hex(to_hex(*bytes)) == bytes, "bytes read back from their digits");
  }
  require(from_hex(to_hex(text)) == text, "any bytes survive as digits");
}

}  // namespace

HEADGATE_FUZZ_TARGET(config_value) {
  const ExactCopy text(input);
  check_expansion(text.view());
  check_units(text.view());
  check_identifiers(text.view());
  check_shown(text.view());
  check_hex(text.view());
  const std::vector<std::string> known = {"pipeline", "source", "sinks", "snapshot"};
  if (const auto meant = config::nearest(text.view(), known)) {
    require(config::nearest(*meant, known) == meant, "a known word is nearest to itself");
  }
}

}  // namespace headgate::fuzz
