// Timelines: how the log of one system goes on after a standby was promoted.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/position.hpp"

namespace headgate::source::postgres {

// Whose log our positions belong to; History's text is `postgres:SYSTEM:TIMELINE:DATABASE`.
struct ServerHistory {
  std::string system_id;
  std::uint32_t timeline = 0;
  std::string database;  // its OID: LSNs are the cluster's, transactions the database's

  History to_history() const;
};

// Nothing when the text is no PostgreSQL history.
std::optional<ServerHistory> parse_history(const History& history);

// Where a timeline was left for its successor: everything before `lsn` is the log of both.
struct TimelineSwitch {
  std::uint32_t timeline = 0;
  std::uint64_t lsn = 0;
};

// Reads a timeline history file as TIMELINE_HISTORY sends it: `parent TAB switch point TAB reason`
// in each line (PostgreSQL documentation, "Timelines"; the grammar is in timeline.c). Throws
// Error{kOperator} that names the line.
std::vector<TimelineSwitch> parse_timeline_history(std::string_view file);

// Whether a server of history `now`, whose timeline came out of `switches`, holds everything up to
// `position`, and can go on behind it. True when position and server share one timeline.
bool continues(const ServerHistory& now, const std::vector<TimelineSwitch>& switches,
               const Position& position);

}  // namespace headgate::source::postgres
