// The server's wall clock, which the change tables' times are of, as UTC.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "db/odbc/connection.hpp"
#include "pipeline/finding.hpp"
#include "source/sqlserver/capture_state.hpp"
#include "source/sqlserver/zone_file.hpp"

namespace headgate::source::sqlserver {

// Times of CDC are datetime: what the server's clock showed, without an offset. They order nothing
// here (LSNs do), so an hour that autumn repeats costs no more than this: its second half carries
// times of the first.
class ServerTime {
 public:
  // By the server's offset of today: an hour off for what was committed before a change of summer
  // time.
  ServerTime() = default;

  // By `configured`, a zone's name as the server's list (Windows') or the system's (IANA) has it;
  // where it is empty by the zone that the server names, which it does from 2022 on. Throws
  // Error{kOperator} for a name that neither knows.
  static ServerTime find(odbc::Connection& connection, const ServerFacts& server,
                         const std::string& configured);

  // SQL for a datetime's milliseconds since 1970-01-01; to_utc() makes them a time.
  std::string milliseconds_of(const std::string& datetime) const;
  WallTime to_utc(std::int64_t milliseconds) const;

  bool knows_zone() const { return !zone_.empty(); }
  const std::string& zone() const { return zone_; }

 private:
  std::string zone_;              // empty: the present offset
  std::optional<ZoneFile> file_;  // else the server converts
};

// How commit times are understood, and whether the server's clock agrees now.
Finding check_time(odbc::Connection& connection, const ServerTime& time, bool configured);

}  // namespace headgate::source::sqlserver
