#include "support/sqlserver_double/time_zone.hpp"

#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

constexpr std::int64_t kHour = 3600 * kTicksPerSecond;

// Day 0, 0001-01-01, was a Monday.
std::int32_t sunday_on_or_after(std::int32_t day) {
  return day + (13 - day % 7) % 7;
}

Moment at_hour(std::int32_t day, std::int64_t hour) {
  Moment moment;
  moment.day = day;
  return shifted(moment, hour * kHour);
}

bool in_summer(const Moment& utc, const TimeZone& zone) {
  const int year = civil_of(utc.day).year;
  if (zone.summer == SummerTime::kEurope) {
    // From 01:00 UTC of the last Sunday of March to the last one of October.
    return !(utc < at_hour(sunday_on_or_after(day_of({year, 3, 25})), 1)) &&
           utc < at_hour(sunday_on_or_after(day_of({year, 10, 25})), 1);
  }
  if (zone.summer == SummerTime::kAmerica) {
    // From 02:00 of the second Sunday of March to 02:00 of the first one of November.
    const int winter_hours = -zone.minutes / 60;
    return !(utc < at_hour(sunday_on_or_after(day_of({year, 3, 8})), 2 + winter_hours)) &&
           utc < at_hour(sunday_on_or_after(day_of({year, 11, 1})), 1 + winter_hours);
  }
  return false;
}

}  // namespace

int TimeZone::offset_at_utc(const Moment& utc) const {
  return minutes + (in_summer(utc, *this) ? 60 : 0);
}

int TimeZone::offset_at_local(const Moment& local) const {
  const int summer_offset = minutes + 60;
  const Moment if_summer = shifted(local, -summer_offset * 60 * kTicksPerSecond);
  return in_summer(if_summer, *this) ? summer_offset : minutes;
}

const std::vector<TimeZone>& time_zones() {
  static const std::vector<TimeZone> zones = {
      {"UTC", 0, SummerTime::kNone},
      {"GMT Standard Time", 0, SummerTime::kEurope},
      {"W. Europe Standard Time", 60, SummerTime::kEurope},
      {"Central Europe Standard Time", 60, SummerTime::kEurope},
      {"Central European Standard Time", 60, SummerTime::kEurope},
      {"Romance Standard Time", 60, SummerTime::kEurope},
      {"FLE Standard Time", 120, SummerTime::kEurope},
      {"India Standard Time", 330, SummerTime::kNone},
      {"Nepal Standard Time", 345, SummerTime::kNone},
      {"Tokyo Standard Time", 540, SummerTime::kNone},
      {"Eastern Standard Time", -300, SummerTime::kAmerica},
      {"Pacific Standard Time", -480, SummerTime::kAmerica}};
  return zones;
}

std::optional<TimeZone> time_zone_named(const std::string& name) {
  for (const TimeZone& zone : time_zones()) {
    if (same_name(zone.name, name)) {
      return zone;
    }
  }
  return std::nullopt;
}

}  // namespace headgate::test::sqlserver
