#include "source/postgres/timeline.hpp"

#include <algorithm>
#include <charconv>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate::source::postgres {
namespace {

constexpr std::string_view kPrefix = "postgres:";

// The text up to `end`, which is removed together with `end`; all of it when there is no `end`.
std::string_view take_until(std::string_view& text, char end) {
  const std::size_t at = std::min(text.find(end), text.size());
  const std::string_view taken = text.substr(0, at);
  text.remove_prefix(std::min(at + 1, text.size()));
  return taken;
}

std::optional<std::uint32_t> parse_timeline(std::string_view text) {
  std::uint32_t timeline = 0;
  const char* end = text.data() + text.size();
  const auto [read_to, problem] = std::from_chars(text.data(), end, timeline);
  return problem == std::errc{} && read_to == end ? std::optional(timeline) : std::nullopt;
}

TimelineSwitch parse_line(std::string_view line, std::size_t number) {
  std::string_view rest = line;
  const auto timeline = parse_timeline(take_until(rest, '\t'));
  try {
    const LSN lsn = LSN::parse(take_until(rest, '\t'));
    if (timeline && lsn.bytes().size() == LSN::kPostgresSize) {
      return {*timeline, lsn.to_postgres()};
    }
  } catch (const Error&) {
    // Said below, with the line's number.
  }
  throw Error{ErrorKind::kOperator,
              fmt::format("source: line {} of the timeline history is not understood", number),
              "please report it, with the server's version"};
}

}  // namespace

History ServerHistory::to_history() const {
  return {fmt::format("{}{}:{}:{}", kPrefix, system_id, timeline, database)};
}

std::optional<ServerHistory> parse_history(const History& history) {
  std::string_view rest = history.text;
  if (!rest.starts_with(kPrefix)) {
    return std::nullopt;
  }
  rest.remove_prefix(kPrefix.size());
  ServerHistory parts;
  parts.system_id = take_until(rest, ':');
  const auto timeline = parse_timeline(take_until(rest, ':'));
  parts.database = rest;
  if (!timeline || parts.system_id.empty() || parts.database.empty()) {
    return std::nullopt;
  }
  parts.timeline = *timeline;
  return parts;
}

std::vector<TimelineSwitch> parse_timeline_history(std::string_view file) {
  std::vector<TimelineSwitch> switches;
  for (std::size_t number = 1; !file.empty(); ++number) {
    std::string_view line = take_until(file, '\n');
    line.remove_prefix(std::min(line.find_first_not_of(" \t\r"), line.size()));
    if (!line.empty() && line.front() != '#') {
      switches.push_back(parse_line(line, number));
    }
  }
  return switches;
}

bool continues(const ServerHistory& now, const std::vector<TimelineSwitch>& switches,
               const Position& position) {
  const auto ours = parse_history(position.history);
  if (!ours || ours->system_id != now.system_id || ours->database != now.database) {
    return false;
  }
  if (ours->timeline == now.timeline) {
    return true;
  }
  const auto left = std::find_if(switches.begin(), switches.end(), [&](const TimelineSwitch& each) {
    return each.timeline == ours->timeline;
  });
  return left != switches.end() && position.lsn <= LSN::from_postgres(left->lsn);
}

}  // namespace headgate::source::postgres
