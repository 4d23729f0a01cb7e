#include "source/postgres/timeline.hpp"

#include <string>

#include <catch2/catch.hpp>

#include "base/error.hpp"

namespace headgate::source::postgres {
namespace {

Position at(const std::string& history, std::uint64_t lsn) {
  return {LSN::from_postgres(lsn), {history}};
}

// As TIMELINE_HISTORY 3 sent it (PostgreSQL 15), and what a hand-written one may hold.
TEST_CASE("a timeline history file is read line by line") {
  const auto switches = parse_timeline_history(
      "1\t0/3000158\tno recovery target specified\n\n# a comment\n"
      "  2\t16/B374D848\tbefore 2026-11-22 12:00:00+00\n");
  REQUIRE(switches.size() == 2);
  CHECK(switches[0].timeline == 1);
  CHECK(switches[0].lsn == 0x3000158);
  CHECK(switches[1].timeline == 2);
  CHECK(switches[1].lsn == 0x16B374D848);
  CHECK(parse_timeline_history("").empty());
  CHECK(parse_timeline_history("1\t0/10").size() == 1);
}

TEST_CASE("what is no timeline history is refused with its line") {
  const std::string line =
      GENERATE("x\t0/10\tr", "1", "1\t", "1\tyesterday\tr", "-1\t0/10\tr", "4294967296\t0/10\tr");
  CAPTURE(line);
  try {
    parse_timeline_history("1\t0/10\tr\n" + line);
    FAIL("it was understood");
  } catch (const Error& error) {
    CHECK(std::string(error.what()).find("line 2") != std::string::npos);
  }
}

TEST_CASE("a history is read back from its text") {
  const ServerHistory history{"7311111111111111111", 4, "16384"};
  const auto read = parse_history(history.to_history());
  REQUIRE(read);
  CHECK(read->system_id == history.system_id);
  CHECK(read->timeline == history.timeline);
  CHECK(read->database == history.database);
  for (const std::string text : {"", "mssql:1:2:3", "postgres:", "postgres:1", "postgres:1:2",
                                 "postgres:1:x:3", "postgres::1:2"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_history({text}));
  }
}

TEST_CASE("a promoted server goes on from what both timelines share, and from nothing else") {
  const ServerHistory now{"1", 3, "5"};
  const std::vector<TimelineSwitch> switches{{1, 0x100}, {2, 0x200}};
  CHECK(continues(now, switches, at("postgres:1:1:5", 0x100)));
  CHECK_FALSE(continues(now, switches, at("postgres:1:1:5", 0x101)));
  CHECK(continues(now, switches, at("postgres:1:2:5", 0x200)));
  CHECK_FALSE(continues(now, switches, at("postgres:1:2:5", 0x201)));
  CHECK(continues(now, switches, at("postgres:1:3:5", 0x999)));
  // A timeline that this one did not come out of, another database, another system.
  CHECK_FALSE(continues(now, switches, at("postgres:1:4:5", 0x10)));
  CHECK_FALSE(continues(now, {}, at("postgres:1:1:5", 0x10)));
  CHECK_FALSE(continues(now, switches, at("postgres:1:1:6", 0x10)));
  CHECK_FALSE(continues(now, switches, at("postgres:2:1:5", 0x10)));
  CHECK_FALSE(continues(now, switches, at("sim:1", 0x10)));
}

}  // namespace
}  // namespace headgate::source::postgres
