// A time zone by its IANA name, from the system's compiled files (TZif, RFC 8536): for servers, all
// of which know Windows' names only.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::source::sqlserver {

// All times are seconds since 1970-01-01, of UTC or of a wall clock that shows as much.
class ZoneFile {
 public:
  // None when `name` is no zone's, or there is no such file. Names that lead out of `folder` are
  // none.
  static std::optional<ZoneFile> load(std::string_view name,
                                      const std::string& folder = "/usr/share/zoneinfo");
  // From a file's content. None for what is no TZif file of version 2 or later.
  static std::optional<ZoneFile> parse(std::string_view content);

  // Seconds east of Greenwich.
  std::int64_t offset_at(std::int64_t utc) const;

  // Of a repeated hour the first one, and a skipped one with the offset before it, as SQL Server's
  // AT TIME ZONE does.
  std::int64_t utc_of(std::int64_t local) const;

 private:
  // When in a year the clock changes: day and second of it, by the clock before the change.
  struct Change {
    enum class Kind { kMonthWeekDay, kJulian, kDay } kind = Kind::kDay;
    int month = 1;
    int week = 1;
    int day = 0;
    std::int64_t time = 7200;

    std::int64_t at(int year) const;
  };
  // What holds behind the last transition.
  struct Rule {
    std::int64_t standard = 0;
    std::optional<std::int64_t> summer{};
    Change begin{};
    Change end{};

    std::int64_t offset_at(std::int64_t utc) const;
  };
  struct Transition {
    std::int64_t at;
    std::int64_t offset;
  };
  class RuleReader;

  std::int64_t first_offset_ = 0;
  std::vector<Transition> transitions_;  // ascending
  std::optional<Rule> rule_;
};

}  // namespace headgate::source::sqlserver
