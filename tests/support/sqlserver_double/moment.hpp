// Points in time as a SQL Server keeps them: a day, a time of day in steps of 100 ns, an offset.

#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "support/sqlserver_double/sql_type.hpp"

namespace headgate::test::sqlserver {

constexpr std::int64_t kTicksPerSecond = 10'000'000;
constexpr std::int64_t kTicksPerDay = 86'400 * kTicksPerSecond;
constexpr std::int32_t kDayOf1900 = 693'595;  // counted from 0001-01-01

// Of a datetimeoffset, day and ticks are UTC and the offset says how to show them, as on the wire;
// of all other types they are what the clock on the wall shows.
struct Moment {
  std::int32_t day = kDayOf1900;  // since 0001-01-01
  std::int64_t ticks = 0;         // 100 ns since midnight
  std::int16_t offset = 0;        // minutes

  // An offset is no part of the order: two datetimeoffsets of one instant are equal.
  std::strong_ordering operator<=>(const Moment& other) const;
  bool operator==(const Moment& other) const { return (*this <=> other) == 0; }
};

struct CivilDate {
  int year = 1900;
  int month = 1;
  int day = 1;
};

std::int32_t day_of(const CivilDate& date);
CivilDate civil_of(std::int32_t day);
int days_in_month(int year, int month);

Moment shifted(Moment moment, std::int64_t ticks);
// Ticks since 0001-01-01.
std::int64_t absolute_ticks(const Moment& moment);
Moment moment_of_absolute(std::int64_t ticks);

// Rounds to what `type` can hold: 1/300 s of datetime, a minute of smalldatetime, 10^-scale s.
// Removes the date of a time, and the time of a date. Throws SqlError 242 out of its range.
Moment rounded(Moment moment, const SqlType& type);

// As CONVERT without a style prints it for time, date, datetime2 and datetimeoffset; `style` 121
// and 126 are known for all, and 0 ("Jan  1 1900 12:00AM") for datetime.
std::string moment_text(const Moment& moment, const SqlType& type, int style);

// Any of '2024-02-29', '20240229', '2024-02-29T12:34:56.1234567', with a blank for T, a time alone,
// and an offset or Z behind it. None when it is nothing of these.
std::optional<Moment> parse_moment(std::string_view text);

}  // namespace headgate::test::sqlserver
