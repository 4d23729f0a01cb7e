// The time zones that the double's server can stand in, by the names that Windows gives them.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "support/sqlserver_double/moment.hpp"

namespace headgate::test::sqlserver {

enum class SummerTime { kNone, kEurope, kAmerica };

struct TimeZone {
  std::string name = "UTC";
  int minutes = 0;  // east of Greenwich, in winter
  SummerTime summer = SummerTime::kNone;

  int offset_at_utc(const Moment& utc) const;
  // Of the repeated hour in autumn, the first one, as AT TIME ZONE chooses.
  int offset_at_local(const Moment& local) const;
};

// All that the double knows, which are a dozen.
const std::vector<TimeZone>& time_zones();
// None for a zone that the double does not know.
std::optional<TimeZone> time_zone_named(const std::string& name);

}  // namespace headgate::test::sqlserver
