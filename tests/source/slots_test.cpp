#include "source/postgres/slots.hpp"

#include <optional>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace headgate::source::postgres {
namespace {

constexpr std::uint64_t kLogEnd = 0x900;

SlotState slot_at(std::uint64_t confirmed) {
  SlotState slot;
  slot.plugin = "pgoutput";
  slot.database = "shop";
  slot.logical = true;
  slot.confirmed_flush = confirmed;
  slot.wal_status = "reserved";
  return slot;
}

std::vector<SinkStand> sinks_at(std::vector<std::uint64_t> positions) {
  std::vector<SinkStand> stands;
  for (const std::uint64_t position : positions) {
    stands.push_back(
        {"sink " + std::to_string(position), {LSN::from_postgres(position), {"postgres:1:1:5"}}});
  }
  return stands;
}

// The kinds of what stands in the way.
std::vector<ErrorKind> problems(const std::optional<SlotState>& slot,
                                const std::vector<SinkStand>& sinks) {
  std::vector<ErrorKind> kinds;
  for (const Finding& finding : check_slot(slot, "headgate", "shop", kLogEnd, sinks)) {
    if (finding.level == Finding::Level::kError) {
      CHECK_FALSE(finding.remedy.empty());
      kinds.push_back(finding.kind);
    }
  }
  return kinds;
}

using Kinds = std::vector<ErrorKind>;

// The server itself would say nothing, and begin at its own position (I7).
TEST_CASE("a slot that stands ahead of a sink is a gap, one that stands behind it is none") {
  CHECK(problems(slot_at(0x500), sinks_at({0x500, 0x600})).empty());
  CHECK(problems(slot_at(0x501), sinks_at({0x500, 0x600})) == Kinds{ErrorKind::kPositionLost});
  CHECK(problems(slot_at(0x700), sinks_at({0x500, 0x600})) ==
        Kinds{ErrorKind::kPositionLost, ErrorKind::kPositionLost});
  CHECK(problems(slot_at(0x500), {}).empty());
}

TEST_CASE("a sink ahead of the server's log was written by a server that is no more") {
  CHECK(problems(slot_at(0x500), sinks_at({kLogEnd})).empty());
  CHECK(problems(slot_at(0x500), sinks_at({kLogEnd + 1})) == Kinds{ErrorKind::kPositionLost});
}

TEST_CASE("a slot ahead of the server's log would swallow what commits until then") {
  CHECK(problems(slot_at(kLogEnd), {}).empty());
  CHECK(problems(slot_at(kLogEnd + 1), {}) == Kinds{ErrorKind::kOperator});
  CHECK(problems(slot_at(kLogEnd + 1), sinks_at({0x500})).front() == ErrorKind::kPositionLost);
}

// `headgate check` beside a running daemon: the sinks' positions were read a moment before the
// slot.
TEST_CASE("a slot that a running headgate moves on is no gap, one that others read is") {
  SlotState slot = slot_at(kLogEnd + 1);
  slot.active_pid = 7;
  slot.read_by_us = true;
  CHECK(problems(slot, sinks_at({0x500})).empty());
  slot.read_by_us = false;
  CHECK(problems(slot, sinks_at({0x500})) == Kinds{ErrorKind::kPositionLost});
}

TEST_CASE("a slot in use is waited for, and its reader named") {
  SlotState slot = slot_at(0x500);
  CHECK_NOTHROW(require_unread(slot, "headgate"));
  slot.active_pid = 7;
  slot.reader = "server process 7 (app)";
  try {
    require_unread(slot, "headgate");
    FAIL("it is in use");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kTransient);
    CHECK_THAT(error.what(), Catch::Contains("server process 7 (app)"));
  }
}

TEST_CASE("a missing slot is a gap only for those who stand somewhere") {
  CHECK(problems(std::nullopt, {}).empty());
  CHECK(problems(std::nullopt, sinks_at({0x500})) == Kinds{ErrorKind::kPositionLost});
}

TEST_CASE("a slot that was lost, is somebody else's or is not ready is said to be") {
  SlotState slot = slot_at(0x500);
  SECTION("lost") {
    slot.wal_status = "lost";
    CHECK(problems(slot, sinks_at({0x500})) == Kinds{ErrorKind::kPositionLost});
  }
  SECTION("lost before any sink stood on it: a new one costs nothing") {
    slot.wal_status = "lost";
    const Findings findings = check_slot(slot, "headgate", "shop", kLogEnd, {});
    REQUIRE(findings.size() == 1);
    CHECK(findings[0].kind == ErrorKind::kOperator);
    CHECK(findings[0].statements ==
          std::vector<std::string>{"SELECT pg_drop_replication_slot('headgate')"});
  }
  SECTION("lost, with sinks on it: no statement is safe to run") {
    slot.wal_status = "lost";
    CHECK(
        check_slot(slot, "headgate", "shop", kLogEnd, sinks_at({0x500})).at(0).statements.empty());
  }
  SECTION("invalidated for another reason") {
    for (const char* reason : {"rows_removed", "wal_level_insufficient", "idle_timeout", "new"}) {
      slot.invalidation_reason = reason;
      CHECK(problems(slot, sinks_at({0x500})) == Kinds{ErrorKind::kPositionLost});
    }
  }
  SECTION("temporary") {
    slot.temporary = true;
    CHECK(problems(slot, sinks_at({0x500})) == Kinds{ErrorKind::kOperator});
  }
  SECTION("two-phase") {
    slot.two_phase = true;
    CHECK(problems(slot, {}) == Kinds{ErrorKind::kOperator});
  }
  SECTION("another plugin") {
    slot.plugin = "wal2json";
    CHECK(problems(slot, {}) == Kinds{ErrorKind::kOperator});
  }
  SECTION("another database") {
    slot.database = "other";
    CHECK(problems(slot, {}) == Kinds{ErrorKind::kOperator});
  }
  SECTION("a physical one") {
    slot.logical = false;
    CHECK(problems(slot, {}) == Kinds{ErrorKind::kOperator});
  }
  SECTION("still being created") {
    slot.ready = false;
    CHECK(problems(slot, {}) == Kinds{ErrorKind::kTransient});
  }
}

}  // namespace
}  // namespace headgate::source::postgres
