#include <array>
#include <limits>

#include "support/sqlserver_double/binder.hpp"
#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

using Values = std::vector<Value>;

enum class Unit {
  kYear,
  kQuarter,
  kMonth,
  kDayOfYear,
  kDay,
  kWeek,
  kWeekday,
  kHour,
  kMinute,
  kSecond,
  kMillisecond,
  kMicrosecond,
  kNanosecond,
  kTimeZone
};

Unit unit_named(const std::string& name) {
  static const std::map<std::string, Unit> units = {
      {"year", Unit::kYear},       {"yy", Unit::kYear},
      {"yyyy", Unit::kYear},       {"quarter", Unit::kQuarter},
      {"month", Unit::kMonth},     {"mm", Unit::kMonth},
      {"m", Unit::kMonth},         {"dayofyear", Unit::kDayOfYear},
      {"day", Unit::kDay},         {"dd", Unit::kDay},
      {"d", Unit::kDay},           {"week", Unit::kWeek},
      {"wk", Unit::kWeek},         {"weekday", Unit::kWeekday},
      {"dw", Unit::kWeekday},      {"hour", Unit::kHour},
      {"hh", Unit::kHour},         {"minute", Unit::kMinute},
      {"mi", Unit::kMinute},       {"n", Unit::kMinute},
      {"second", Unit::kSecond},   {"ss", Unit::kSecond},
      {"s", Unit::kSecond},        {"millisecond", Unit::kMillisecond},
      {"ms", Unit::kMillisecond},  {"microsecond", Unit::kMicrosecond},
      {"mcs", Unit::kMicrosecond}, {"nanosecond", Unit::kNanosecond},
      {"ns", Unit::kNanosecond},   {"tzoffset", Unit::kTimeZone},
      {"tz", Unit::kTimeZone}};
  const auto found = units.find(name);
  if (found == units.end()) {
    throw SqlError(155, "'" + name + "' is not a recognized datepart option.", 15);
  }
  return found->second;
}

std::int64_t ticks_of(Unit unit) {
  switch (unit) {
    case Unit::kWeek:
      return 7 * kTicksPerDay;
    case Unit::kHour:
      return 3600 * kTicksPerSecond;
    case Unit::kMinute:
      return 60 * kTicksPerSecond;
    case Unit::kSecond:
      return kTicksPerSecond;
    case Unit::kMillisecond:
      return kTicksPerSecond / 1000;
    case Unit::kMicrosecond:
      return kTicksPerSecond / 1'000'000;
    default:
      return kTicksPerDay;
  }
}

int months_of(Unit unit) {
  return unit == Unit::kYear ? 12 : unit == Unit::kQuarter ? 3 : unit == Unit::kMonth ? 1 : 0;
}

Moment local(Moment moment) {
  const std::int16_t offset = moment.offset;
  moment.offset = 0;
  return shifted(moment, offset * 60 * kTicksPerSecond);
}

Moment added(Moment moment, Unit unit, std::int64_t count) {
  if (const int months = months_of(unit)) {
    const CivilDate date = civil_of(moment.day);
    const std::int64_t month = date.year * 12 + date.month - 1 + count * months;
    CivilDate result{static_cast<int>(month / 12), static_cast<int>(month % 12) + 1, date.day};
    if (result.year < 1 || result.year > 9999) {
      throw SqlError(517, "Adding a value to a 'datetime' column caused an overflow.");
    }
    result.day = std::min(result.day, days_in_month(result.year, result.month));
    moment.day = day_of(result);
    return moment;
  }
  return unit == Unit::kNanosecond ? shifted(moment, count / 100)
                                   : shifted(moment, count * ticks_of(unit));
}

// Boundaries crossed, which is what DATEDIFF counts.
std::int64_t difference(const Moment& from, const Moment& to, Unit unit) {
  if (const int months = months_of(unit)) {
    const CivilDate a = civil_of(from.day);
    const CivilDate b = civil_of(to.day);
    const auto place = [months](const CivilDate& date) {
      return (date.year * 12 + date.month - 1) / months;
    };
    return place(b) - place(a);
  }
  if (unit == Unit::kNanosecond) {
    return (absolute_ticks(to) - absolute_ticks(from)) * 100;
  }
  const std::int64_t step = ticks_of(unit);
  return absolute_ticks(to) / step - absolute_ticks(from) / step;
}

std::int64_t part_of(const Moment& moment, Unit unit) {
  const Moment at = local(moment);
  const CivilDate date = civil_of(at.day);
  switch (unit) {
    case Unit::kYear:
      return date.year;
    case Unit::kQuarter:
      return (date.month + 2) / 3;
    case Unit::kMonth:
      return date.month;
    case Unit::kDayOfYear:
      return at.day - day_of({date.year, 1, 1}) + 1;
    case Unit::kDay:
      return date.day;
    case Unit::kWeek:
      return (at.day - day_of({date.year, 1, 1})) / 7 + 1;
    case Unit::kWeekday:
      return (at.day + 1) % 7 + 1;
    case Unit::kHour:
      return at.ticks / ticks_of(Unit::kHour);
    case Unit::kMinute:
      return at.ticks / ticks_of(Unit::kMinute) % 60;
    case Unit::kSecond:
      return at.ticks / kTicksPerSecond % 60;
    case Unit::kMillisecond:
      return at.ticks % kTicksPerSecond / 10'000;
    case Unit::kMicrosecond:
      return at.ticks % kTicksPerSecond / 10;
    case Unit::kNanosecond:
      return at.ticks % kTicksPerSecond * 100;
    case Unit::kTimeZone:
      return moment.offset;
  }
  return 0;
}

Unit unit_argument(const Bound& bound) {
  return unit_named(utf8_of(bound.eval({})));
}

Bound as_moment(Bound bound) {
  return bound.type.is_moment()
             ? bound
             : converted(std::move(bound), bound.type.is_text() ? type_of(TypeKind::kDateTime2)
                                                                : type_of(TypeKind::kDateTime));
}

FunctionBinder now_function(TypeKind kind, bool utc) {
  return [kind, utc](Context& context, std::vector<Bound>) {
    const SqlType type = type_of(kind);
    Moment now = utc || kind == TypeKind::kDateTimeOffset ? context.engine().utc_now()
                                                          : context.engine().local_now();
    if (kind == TypeKind::kDateTimeOffset) {
      now.offset = static_cast<std::int16_t>(context.engine().traits.time_zone.offset_at_utc(now));
    }
    return constant(type, rounded(now, type));
  };
}

FunctionBinder difference_function(TypeKind result) {
  return [result](Context&, std::vector<Bound> args) {
    const Unit unit = unit_argument(args[0]);
    return strict_function(
        type_of(result), {as_moment(args[1]), as_moment(args[2])},
        [unit, result](const Values& values) -> Value {
          const std::int64_t count =
              difference(std::get<Moment>(values[0]), std::get<Moment>(values[1]), unit);
          if (result == TypeKind::kInt &&
              std::abs(count) > std::numeric_limits<std::int32_t>::max()) {
            throw SqlError(535, "The datediff function resulted in an overflow.");
          }
          return count;
        });
  };
}

// Minutes, from a number or from text as '+05:30'.
std::int64_t offset_minutes(const Value& value) {
  if (value.index() == 1) {
    return integer_of(value);
  }
  const auto moment = parse_moment("00:00 " + utf8_of(value));
  if (!moment) {
    throw SqlError(9812, "The timezone provided to builtin function todatetimeoffset is invalid.");
  }
  return moment->offset;
}

FunctionTable make_functions() {
  FunctionTable table;
  table["getdate"] = now_function(TypeKind::kDateTime, false);
  table["current_timestamp"] = table["getdate"];
  table["getutcdate"] = now_function(TypeKind::kDateTime, true);
  table["sysdatetime"] = now_function(TypeKind::kDateTime2, false);
  table["sysutcdatetime"] = now_function(TypeKind::kDateTime2, true);
  table["sysdatetimeoffset"] = now_function(TypeKind::kDateTimeOffset, false);
  table["dateadd"] = [](Context&, std::vector<Bound> args) {
    const Unit unit = unit_argument(args[0]);
    Bound moment = as_moment(args[2]);
    const SqlType type = moment.type;
    return strict_function(
        type, {converted(args[1], type_of(TypeKind::kBigInt)), std::move(moment)},
        [unit, type](const Values& values) -> Value {
          return rounded(added(std::get<Moment>(values[1]), unit, integer_of(values[0])), type);
        });
  };
  table["datediff"] = difference_function(TypeKind::kInt);
  table["datediff_big"] = difference_function(TypeKind::kBigInt);
  table["datepart"] = [](Context&, std::vector<Bound> args) {
    const Unit unit = unit_argument(args[0]);
    return strict_function(type_of(TypeKind::kInt), {as_moment(args[1])},
                           [unit](const Values& values) -> Value {
                             return part_of(std::get<Moment>(values[0]), unit);
                           });
  };
  for (const auto& [name, unit] :
       {std::pair{"year", Unit::kYear}, {"month", Unit::kMonth}, {"day", Unit::kDay}}) {
    table[name] = [unit = unit](Context&, std::vector<Bound> args) {
      return strict_function(type_of(TypeKind::kInt), {as_moment(args[0])},
                             [unit](const Values& values) -> Value {
                               return part_of(std::get<Moment>(values[0]), unit);
                             });
    };
  }
  table["todatetimeoffset"] = [](Context&, std::vector<Bound> args) {
    SqlType type = type_of(TypeKind::kDateTimeOffset);
    type.scale = args[0].type.kind == TypeKind::kDateTime ? 3 : args[0].type.scale;
    return strict_function(
        type, {as_moment(args[0]), args[1]}, [type](const Values& values) -> Value {
          Moment moment = local(std::get<Moment>(values[0]));
          const auto minutes = static_cast<std::int16_t>(offset_minutes(values[1]));
          moment = shifted(moment, -minutes * 60 * kTicksPerSecond);
          moment.offset = minutes;
          return rounded(moment, type);
        });
  };
  table["switchoffset"] = [](Context&, std::vector<Bound> args) {
    args[0] = converted(args[0], args[0].type.kind == TypeKind::kDateTimeOffset
                                     ? args[0].type
                                     : type_of(TypeKind::kDateTimeOffset));
    return strict_function(args[0].type, args, [](const Values& values) -> Value {
      Moment moment = std::get<Moment>(values[0]);
      moment.offset = static_cast<std::int16_t>(offset_minutes(values[1]));
      return moment;
    });
  };
  table["datefromparts"] = [](Context&, std::vector<Bound> args) {
    return strict_function(type_of(TypeKind::kDate), args, [](const Values& values) -> Value {
      Moment moment;
      moment.day =
          day_of({static_cast<int>(integer_of(values[0])), static_cast<int>(integer_of(values[1])),
                  static_cast<int>(integer_of(values[2]))});
      return moment;
    });
  };
  // Of 2022 and Azure; older servers do not know the name.
  table["current_timezone_id"] = [](Context& context, std::vector<Bound>) {
    if (context.engine().traits.major_version < 16) {
      throw SqlError(195, "'CURRENT_TIMEZONE_ID' is not a recognized built-in function name.", 15,
                     10);
    }
    return constant(text_type(128, true), text_value(context.engine().traits.time_zone.name));
  };
  return table;
}

}  // namespace

const FunctionTable& time_functions() {
  static const FunctionTable table = make_functions();
  return table;
}

}  // namespace headgate::test::sqlserver
