#include "support/sqlserver_double/moment.hpp"

#include <array>
#include <cstdio>

#include "support/sqlserver_double/sql_error.hpp"

namespace headgate::test::sqlserver {

namespace {

constexpr std::int32_t kDayMax = 3'652'058;  // 9999-12-31

std::int64_t rounded_to(std::int64_t ticks, std::int64_t step) {
  return (ticks + step / 2) / step * step;
}

std::int64_t step_of_scale(int scale) {
  std::int64_t step = 1;
  for (int i = scale; i < 7; ++i) {
    step *= 10;
  }
  return step;
}

SqlError out_of_range(const SqlType& type) {
  return SqlError(242, "The conversion of a varchar data type to a " + name_of(type) +
                           " data type resulted in an out-of-range value.");
}

template <typename... Numbers>
std::string printed(const char* format, Numbers... numbers) {
  std::array<char, 96> text{};
  std::snprintf(text.data(), text.size(), format, numbers...);
  return text.data();
}

std::string fraction_text(std::int64_t ticks, int scale) {
  if (scale == 0) {
    return {};
  }
  return "." + printed("%07d", static_cast<int>(ticks % kTicksPerSecond))
                   .substr(0, static_cast<std::size_t>(scale));
}

std::string time_text(std::int64_t ticks, int scale) {
  const int seconds = static_cast<int>(ticks / kTicksPerSecond);
  return printed("%02d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60) +
         fraction_text(ticks, scale);
}

std::string date_text(std::int32_t day) {
  const CivilDate date = civil_of(day);
  return printed("%04d-%02d-%02d", date.year, date.month, date.day);
}

// Style 0: what CONVERT(varchar, datetime) gives without any.
std::string american_text(const Moment& moment) {
  static const std::array<const char*, 12> months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const CivilDate date = civil_of(moment.day);
  const int minutes = static_cast<int>(moment.ticks / (60 * kTicksPerSecond));
  const int hour = minutes / 60;
  return printed("%s %2d %d %2d:%02d%s", months[static_cast<std::size_t>(date.month - 1)], date.day,
                 date.year, hour % 12 == 0 ? 12 : hour % 12, minutes % 60, hour < 12 ? "AM" : "PM");
}

// Reads numbers and separators off the front of a text.
class Cursor {
 public:
  explicit Cursor(std::string_view text) : text_(text) {}

  bool at_end() const { return at_ == text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  bool take(char c) {
    if (peek() != c) {
      return false;
    }
    ++at_;
    return true;
  }
  void skip_blanks() {
    while (take(' ')) {
    }
  }
  // Between 1 and `most` digits.
  std::optional<int> number(std::size_t most, std::size_t* count = nullptr) {
    int value = 0;
    std::size_t digits = 0;
    while (digits < most && peek() >= '0' && peek() <= '9') {
      value = value * 10 + (text_[at_++] - '0');
      ++digits;
    }
    if (count != nullptr) {
      *count = digits;
    }
    return digits == 0 ? std::nullopt : std::optional<int>(value);
  }
  std::size_t place() const { return at_; }
  void back_to(std::size_t place) { at_ = place; }

 private:
  std::string_view text_;
  std::size_t at_ = 0;
};

std::optional<std::int32_t> parse_date(Cursor& cursor) {
  std::size_t digits = 0;
  const auto first = cursor.number(8, &digits);
  CivilDate date;
  if (!first) {
    return std::nullopt;
  }
  if (digits == 8) {
    date = {*first / 10000, *first / 100 % 100, *first % 100};
  } else if (digits == 4 && cursor.take('-')) {
    const auto month = cursor.number(2);
    const auto day = month && cursor.take('-') ? cursor.number(2) : std::nullopt;
    if (!day) {
      return std::nullopt;
    }
    date = {*first, *month, *day};
  } else {
    return std::nullopt;
  }
  const bool valid = date.year >= 1 && date.month >= 1 && date.month <= 12 && date.day >= 1 &&
                     date.day <= days_in_month(date.year, date.month);
  return valid ? std::optional<std::int32_t>(day_of(date)) : std::nullopt;
}

std::optional<std::int64_t> parse_time(Cursor& cursor) {
  const auto hour = cursor.number(2);
  const auto minute = hour && cursor.take(':') ? cursor.number(2) : std::nullopt;
  if (!minute) {
    return std::nullopt;
  }
  const auto second = cursor.take(':') ? cursor.number(2) : std::optional<int>(0);
  std::int64_t fraction = 0;
  if (cursor.take('.')) {
    std::size_t digits = 0;
    const auto value = cursor.number(7, &digits);
    fraction = value.value_or(0) * step_of_scale(static_cast<int>(digits));
  }
  if (!second || *hour > 23 || *minute > 59 || *second > 59) {
    return std::nullopt;
  }
  return ((*hour * 60 + *minute) * 60 + *second) * kTicksPerSecond + fraction;
}

}  // namespace

std::strong_ordering Moment::operator<=>(const Moment& other) const {
  return day != other.day ? day <=> other.day : ticks <=> other.ticks;
}

std::int32_t day_of(const CivilDate& date) {
  // Years begin in March, so that the leap day is the last one.
  const int year = date.month <= 2 ? date.year - 1 : date.year;
  const int month = date.month <= 2 ? date.month + 9 : date.month - 3;
  return year * 365 + year / 4 - year / 100 + year / 400 + (month * 306 + 5) / 10 + date.day - 307;
}

CivilDate civil_of(std::int32_t day) {
  const std::int32_t shifted_day = day + 306;
  const int era = shifted_day / 146'097;
  const int of_era = shifted_day % 146'097;
  const int year_of_era = (of_era - of_era / 1460 + of_era / 36'524 - of_era / 146'096) / 365;
  const int of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const int month = (5 * of_year + 2) / 153;
  CivilDate date;
  date.day = of_year - (153 * month + 2) / 5 + 1;
  date.month = month < 10 ? month + 3 : month - 9;
  date.year = year_of_era + era * 400 + (date.month <= 2 ? 1 : 0);
  return date;
}

int days_in_month(int year, int month) {
  static const std::array<int, 12> days = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : days[static_cast<std::size_t>(month - 1)];
}

std::int64_t absolute_ticks(const Moment& moment) {
  return moment.day * kTicksPerDay + moment.ticks;
}

Moment moment_of_absolute(std::int64_t ticks) {
  Moment moment;
  moment.day = static_cast<std::int32_t>(ticks / kTicksPerDay);
  moment.ticks = ticks % kTicksPerDay;
  if (moment.ticks < 0) {
    moment.ticks += kTicksPerDay;
    --moment.day;
  }
  return moment;
}

Moment shifted(Moment moment, std::int64_t ticks) {
  Moment result = moment_of_absolute(absolute_ticks(moment) + ticks);
  result.offset = moment.offset;
  return result;
}

Moment rounded(Moment moment, const SqlType& type) {
  switch (type.kind) {
    case TypeKind::kDate:
      moment.ticks = 0;
      break;
    case TypeKind::kSmallDateTime:
      moment.ticks = rounded_to(moment.ticks, 60 * kTicksPerSecond);
      break;
    case TypeKind::kDateTime: {
      const std::int64_t units = (moment.ticks * 300 + kTicksPerSecond / 2) / kTicksPerSecond;
      moment.ticks = units * kTicksPerSecond / 300;
      break;
    }
    default:
      moment.ticks = rounded_to(moment.ticks, step_of_scale(type.scale));
      break;
  }
  if (type.kind == TypeKind::kTime) {
    moment.day = kDayOf1900;
    // A time does not wrap to the next day; it stays at the last value of its scale.
    if (moment.ticks >= kTicksPerDay) {
      moment.ticks = kTicksPerDay - step_of_scale(type.scale);
    }
  }
  if (moment.ticks >= kTicksPerDay) {
    moment.ticks -= kTicksPerDay;
    ++moment.day;
  }
  const bool small = type.kind == TypeKind::kSmallDateTime;
  const std::int32_t least = small ? kDayOf1900 : type.kind == TypeKind::kDateTime ? 639'905 : 0;
  if (moment.day < least || moment.day > (small ? kDayOf1900 + 65'535 : kDayMax)) {
    throw out_of_range(type);
  }
  return moment;
}

std::string moment_text(const Moment& moment, const SqlType& type, int style) {
  const std::string blank = style == 126 || style == 127 ? "T" : " ";
  switch (type.kind) {
    case TypeKind::kDate:
      return date_text(moment.day);
    case TypeKind::kTime:
      return time_text(moment.ticks, type.scale);
    case TypeKind::kDateTime:
    case TypeKind::kSmallDateTime:
      if (style == 0) {
        return american_text(moment);
      }
      // The thirds of a millisecond are rounded for display: .0033333 is .003, .0066667 is .007.
      return date_text(moment.day) + blank +
             time_text(moment.ticks + 5'000, type.kind == TypeKind::kDateTime ? 3 : 0);
    case TypeKind::kDateTime2:
      return date_text(moment.day) + blank + time_text(moment.ticks, type.scale);
    default: {
      const Moment local = shifted(moment, moment.offset * 60 * kTicksPerSecond);
      const int offset = moment.offset < 0 ? -moment.offset : moment.offset;
      return date_text(local.day) + blank + time_text(local.ticks, type.scale) +
             (style == 126 ? "" : " ") +
             printed("%c%02d:%02d", moment.offset < 0 ? '-' : '+', offset / 60, offset % 60);
    }
  }
}

std::optional<Moment> parse_moment(std::string_view text) {
  Cursor cursor(text);
  Moment moment;
  cursor.skip_blanks();
  if (cursor.at_end()) {
    return moment;  // an empty string is 1900-01-01, as it is on a server
  }
  const std::size_t start = cursor.place();
  if (const auto day = parse_date(cursor)) {
    moment.day = *day;
    cursor.take('T');
    cursor.skip_blanks();
  } else {
    cursor.back_to(start);
  }
  if (cursor.peek() >= '0' && cursor.peek() <= '9') {
    const auto ticks = parse_time(cursor);
    if (!ticks) {
      return std::nullopt;
    }
    moment.ticks = *ticks;
  }
  cursor.skip_blanks();
  const bool minus = cursor.peek() == '-';
  if (cursor.take('+') || cursor.take('-')) {
    const auto hours = cursor.number(2);
    const auto minutes = hours && cursor.take(':') ? cursor.number(2) : std::nullopt;
    if (!minutes || *hours > 14 || *minutes > 59) {
      return std::nullopt;
    }
    moment.offset = static_cast<std::int16_t>((*hours * 60 + *minutes) * (minus ? -1 : 1));
    moment = shifted(moment, -moment.offset * 60 * kTicksPerSecond);
  } else {
    cursor.take('Z');
  }
  cursor.skip_blanks();
  return cursor.at_end() ? std::optional<Moment>(moment) : std::nullopt;
}

}  // namespace headgate::test::sqlserver
