#include "source/sqlserver/zone_file.hpp"

#include <algorithm>
#include <cctype>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace headgate::source::sqlserver {
namespace {

constexpr std::int64_t kDay = 86400;

std::int64_t day_number(int year, unsigned month, unsigned day) {
  return std::chrono::sys_days{std::chrono::year{year} / static_cast<int>(month) /
                               static_cast<int>(day)}
      .time_since_epoch()
      .count();
}

int year_of(std::int64_t time) {
  const std::chrono::sys_seconds moment{std::chrono::seconds(time)};
  const std::chrono::year_month_day date{std::chrono::floor<std::chrono::days>(moment)};
  return static_cast<int>(date.year());
}

// Big-endian integers from the front of a text; reads past its end are zeros, and seen by ok().
class Bytes {
 public:
  explicit Bytes(std::string_view content) : rest_(content) {}

  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }

  std::string_view take(std::size_t count) {
    if (count > rest_.size()) {
      ok_ = false;
      rest_ = {};
      return {};
    }
    const std::string_view taken = rest_.substr(0, count);
    rest_.remove_prefix(count);
    return taken;
  }
  std::int64_t integer(std::size_t size) {
    const std::string_view bytes = take(size);
    std::uint64_t value =
        !bytes.empty() && static_cast<unsigned char>(bytes[0]) >= 0x80 ? ~std::uint64_t{0} : 0;
    for (const char c : bytes) {
      value = value << 8U | static_cast<unsigned char>(c);
    }
    return static_cast<std::int64_t>(value);
  }
  std::size_t count() { return static_cast<std::size_t>(integer(4) & 0xFFFFFFFF); }

 private:
  std::string_view rest_;
  bool ok_ = true;
};

struct Header {
  std::size_t utc_marks = 0;
  std::size_t standard_marks = 0;
  std::size_t leaps = 0;
  std::size_t times = 0;
  std::size_t types = 0;
  std::size_t characters = 0;

  std::size_t body(std::size_t time_size) const {
    return times * time_size + times + types * 6 + characters + leaps * (time_size + 4) +
           standard_marks + utc_marks;
  }
};

std::optional<Header> read_header(Bytes& bytes) {
  constexpr std::size_t kSane = 1'000'000;
  if (bytes.take(4) != "TZif" || bytes.integer(1) < '2') {
    return std::nullopt;
  }
  bytes.take(15);
  Header header;
  for (std::size_t* count : {&header.utc_marks, &header.standard_marks, &header.leaps,
                             &header.times, &header.types, &header.characters}) {
    *count = bytes.count();
    if (*count > kSane) {
      return std::nullopt;
    }
  }
  return bytes.ok() && header.types > 0 ? std::optional(header) : std::nullopt;
}

}  // namespace

// A TZ string of POSIX with the extensions of RFC 8536: CET-1CEST,M3.5.0,M10.5.0/3
class ZoneFile::RuleReader {
 public:
  explicit RuleReader(std::string_view text) : text_(text) {}

  std::optional<Rule> read() {
    Rule rule;
    name();
    rule.standard = -time();
    if (!text_.empty()) {
      name();
      rule.summer = !text_.empty() && text_[0] != ',' ? -time() : rule.standard + 3600;
      rule.begin = change();
      rule.end = change();
    }
    return ok_ && text_.empty() ? std::optional(rule) : std::nullopt;
  }

 private:
  void name() {
    std::size_t length = 0;
    if (!text_.empty() && text_[0] == '<') {
      length = text_.find('>');
      length = length == std::string_view::npos ? 0 : length + 1;
    } else {
      while (length < text_.size() &&
             std::isalpha(static_cast<unsigned char>(text_[length])) != 0) {
        ++length;
      }
    }
    ok_ = ok_ && length >= 3;
    text_.remove_prefix(length);
  }
  bool take(char c) {
    if (text_.empty() || text_[0] != c) {
      return false;
    }
    text_.remove_prefix(1);
    return true;
  }
  int number() {
    int value = 0;
    std::size_t length = 0;
    while (length < text_.size() && length < 4 &&
           std::isdigit(static_cast<unsigned char>(text_[length])) != 0) {
      value = value * 10 + (text_[length] - '0');
      ++length;
    }
    ok_ = ok_ && length > 0;
    text_.remove_prefix(length);
    return value;
  }
  std::int64_t time() {
    const bool negative = take('-');
    if (!negative) {
      take('+');
    }
    std::int64_t value = std::int64_t{number()} * 3600;
    if (take(':')) {
      value += std::int64_t{number()} * 60;
      if (take(':')) {
        value += number();
      }
    }
    return negative ? -value : value;
  }
  Change change() {
    Change result;
    ok_ = ok_ && take(',');
    if (take('M')) {
      result.kind = Change::Kind::kMonthWeekDay;
      result.month = number();
      ok_ = ok_ && take('.');
      result.week = number();
      ok_ = ok_ && take('.');
      result.day = number();
      ok_ = ok_ && result.month >= 1 && result.month <= 12 && result.week >= 1 &&
            result.week <= 5 && result.day <= 6;
    } else {
      result.kind = take('J') ? Change::Kind::kJulian : Change::Kind::kDay;
      result.day = number();
      ok_ = ok_ && result.day <= 365;
    }
    if (take('/')) {
      result.time = time();
    }
    return result;
  }

  std::string_view text_;
  bool ok_ = true;
};

std::int64_t ZoneFile::Change::at(int year) const {
  const std::int64_t january = day_number(year, 1, 1);
  std::int64_t date = january + day;
  if (kind == Kind::kJulian) {
    // Counted from 1, and as if there were no 29 February.
    const bool leap = std::chrono::year{year}.is_leap();
    date = january + day - 1 + (leap && day >= 60 ? 1 : 0);
  } else if (kind == Kind::kMonthWeekDay) {
    const std::int64_t first = day_number(year, static_cast<unsigned>(month), 1);
    constexpr std::int64_t kThursday = 4;  // 1970-01-01, with Sunday as 0
    const std::int64_t weekday = ((first + kThursday) % 7 + 7) % 7;
    date = first + (day - weekday + 7) % 7 + 7 * (week - 1);
    const std::int64_t next = month == 12 ? day_number(year + 1, 1, 1)
                                          : day_number(year, static_cast<unsigned>(month) + 1, 1);
    if (date >= next) {
      date -= 7;  // week 5 is the last one
    }
  }
  return date * kDay + time;
}

std::int64_t ZoneFile::Rule::offset_at(std::int64_t utc) const {
  if (!summer) {
    return standard;
  }
  const int year = year_of(utc + standard);
  const std::int64_t begins = begin.at(year) - standard;
  const std::int64_t ends = end.at(year) - *summer;
  const bool in_summer = begins < ends ? utc >= begins && utc < ends   // north
                                       : utc >= begins || utc < ends;  // south
  return in_summer ? *summer : standard;
}

std::optional<ZoneFile> ZoneFile::load(std::string_view name, const std::string& folder) {
  const bool sound = !name.empty() && name[0] != '/' && name.find("..") == std::string_view::npos &&
                     std::all_of(name.begin(), name.end(), [](unsigned char c) {
                       return std::isalnum(c) != 0 || c == '/' || c == '_' || c == '-' || c == '+';
                     });
  if (!sound) {
    return std::nullopt;
  }
  const std::filesystem::path path = std::filesystem::path(folder) / name;
  std::error_code failure;
  if (!std::filesystem::is_regular_file(path, failure)) {
    return std::nullopt;
  }
  std::ifstream file(path, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  return parse(content);
}

std::optional<ZoneFile> ZoneFile::parse(std::string_view content) {
  Bytes bytes(content);
  const auto old_header = read_header(bytes);  // with times of 32 bits, for readers of old
  if (!old_header) {
    return std::nullopt;
  }
  bytes.take(old_header->body(4));
  const auto header = read_header(bytes);
  if (!header) {
    return std::nullopt;
  }
  ZoneFile zone;
  for (std::size_t i = 0; i < header->times; ++i) {
    zone.transitions_.push_back({bytes.integer(8), 0});
  }
  const std::string_view kinds = bytes.take(header->times);
  std::vector<std::int64_t> offsets;
  for (std::size_t i = 0; i < header->types; ++i) {
    offsets.push_back(bytes.integer(4));
    bytes.take(2);
  }
  bytes.take(header->characters + header->leaps * 12 + header->standard_marks + header->utc_marks);
  if (!bytes.ok()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const auto kind = static_cast<unsigned char>(kinds[i]);
    if (kind >= offsets.size()) {
      return std::nullopt;
    }
    zone.transitions_[i].offset = offsets[kind];
  }
  zone.first_offset_ = offsets[0];
  std::string_view footer = bytes.rest();
  if (footer.size() > 2 && footer.front() == '\n' && footer.back() == '\n') {
    footer.remove_prefix(1);
    footer.remove_suffix(1);
    zone.rule_ = RuleReader(footer).read();
  }
  return zone;
}

std::int64_t ZoneFile::offset_at(std::int64_t utc) const {
  const auto later =
      std::upper_bound(transitions_.begin(), transitions_.end(), utc,
                       [](std::int64_t time, const Transition& entry) { return time < entry.at; });
  if (later == transitions_.end() && rule_) {
    return rule_->offset_at(utc);
  }
  return later == transitions_.begin() ? first_offset_ : std::prev(later)->offset;
}

std::int64_t ZoneFile::utc_of(std::int64_t local) const {
  const std::int64_t before = offset_at(local - kDay);
  const std::int64_t after = offset_at(local + kDay);
  const bool after_the_change =
      offset_at(local - before) != before && offset_at(local - after) == after;
  return local - (after_the_change ? after : before);
}

}  // namespace headgate::source::sqlserver
