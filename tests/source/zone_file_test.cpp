// Time zones from the system's files, and from texts that are almost such a file.

#include "source/sqlserver/zone_file.hpp"

#include <chrono>
#include <fstream>
#include <iterator>

#include <catch2/catch.hpp>

namespace headgate::source::sqlserver {
namespace {

using namespace std::chrono;

std::int64_t at(int y, unsigned m, unsigned d, int hour, int minute = 0) {
  return (sys_days{year{y} / month{m} / day{d}} + hours(hour) + minutes(minute))
             .time_since_epoch() /
         seconds(1);
}

ZoneFile zone(const std::string& name) {
  const auto found = ZoneFile::load(name);
  INFO(name << " is in the package tzdata");
  REQUIRE(found);
  return *found;
}

TEST_CASE("wall clocks are taken to UTC on both sides of a change, in past and future years") {
  struct Row {
    std::string zone;
    std::int64_t local;
    std::int64_t utc;
  };
  const std::vector<Row> rows = {
      {"UTC", at(2024, 2, 29, 12), at(2024, 2, 29, 12)},
      {"Europe/Berlin", at(2025, 7, 1, 12), at(2025, 7, 1, 10)},
      {"Europe/Berlin", at(2025, 12, 1, 12), at(2025, 12, 1, 11)},
      {"Europe/Berlin", at(2025, 3, 30, 1, 59), at(2025, 3, 30, 0, 59)},
      {"Europe/Berlin", at(2025, 3, 30, 3), at(2025, 3, 30, 1)},
      {"Europe/Berlin", at(2025, 10, 26, 3), at(2025, 10, 26, 2)},
      // Behind the file's last transition, where only its rule counts.
      {"Europe/Berlin", at(2061, 7, 1, 12), at(2061, 7, 1, 10)},
      {"Europe/Berlin", at(2061, 1, 1, 12), at(2061, 1, 1, 11)},
      {"America/New_York", at(2025, 7, 4, 8), at(2025, 7, 4, 12)},
      {"America/New_York", at(2055, 12, 31, 20), at(2056, 1, 1, 1)},
      {"Australia/Sydney", at(2050, 1, 15, 12), at(2050, 1, 15, 1)},
      {"Australia/Sydney", at(2050, 7, 15, 12), at(2050, 7, 15, 2)},
      {"Asia/Kolkata", at(2025, 6, 1, 5, 30), at(2025, 6, 1, 0)},
      {"Asia/Kathmandu", at(2045, 6, 1, 5, 45), at(2045, 6, 1, 0)},
  };
  for (const Row& row : rows) {
    CAPTURE(row.zone, row.local);
    CHECK(zone(row.zone).utc_of(row.local) == row.utc);
  }
}

// As AT TIME ZONE does on a server, so that it does not matter who converts.
TEST_CASE("a repeated hour is the first one, and a skipped one counts from before it") {
  const ZoneFile berlin = zone("Europe/Berlin");
  CHECK(berlin.utc_of(at(2025, 10, 26, 2, 30)) == at(2025, 10, 26, 0, 30));
  CHECK(berlin.utc_of(at(2025, 3, 30, 2, 1)) == at(2025, 3, 30, 1, 1));
  CHECK(berlin.utc_of(at(2061, 10, 30, 2, 30)) == at(2061, 10, 30, 0, 30));
}

TEST_CASE("names that are no zone's, or lead elsewhere, are none") {
  for (const char* name : {"", "Nowhere/City", "/etc/passwd", "../zoneinfo/UTC", "Europe/../UTC",
                           "Europe", "tzdata.zi", "Euro pe"}) {
    CAPTURE(name);
    CHECK_FALSE(ZoneFile::load(name));
  }
}

TEST_CASE("a zone's file that is cut anywhere is none, or a zone") {
  std::ifstream file("/usr/share/zoneinfo/Europe/Berlin", std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  REQUIRE(content.size() > 100);
  for (std::size_t size = 0; size < content.size(); ++size) {
    if (const auto cut = ZoneFile::parse(std::string_view(content).substr(0, size))) {
      CHECK(cut->offset_at(at(2025, 7, 1, 0)) / 3600 <= 2);
    }
  }
  std::string odd = content;
  for (std::size_t place = 0; place < odd.size(); ++place) {
    odd[place] = static_cast<char>(~static_cast<unsigned char>(odd[place]));
    if (const auto parsed = ZoneFile::parse(odd)) {
      static_cast<void>(parsed->utc_of(at(2025, 7, 1, 0)));
    }
    odd[place] = content[place];
  }
}

}  // namespace
}  // namespace headgate::source::sqlserver
