// What is on disk when, and what a failing disk does.

#include <catch2/catch.hpp>
#include <sqlite3.h>

#include "power_cut_vfs.hpp"
#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

using TF = TypeFamily;

const auto kOrders = make_table("orders", {{"id", TF::kInteger}, {"state"}}, {0});

Operations order(int id) {
  return std::move(Operations().insert(kOrders, {std::to_string(id), "new"}));
}

// All tests here share one process-wide layer below SQLite, and each reads counters as differences.
TEST_CASE("a commit does not sync the log, a flush does") {
  PowerCutVfs vfs;
  Fixture fixture;
  CHECK_FALSE(fixture.sink->commits_are_durable());
  fixture.apply(order(1), 1);

  int before = vfs.wal_syncs();
  for (int i = 2; i < 20; ++i) {
    fixture.apply(order(i), static_cast<std::uint64_t>(i));
  }
  CHECK(vfs.wal_syncs() == before);

  fixture.sink->flush();
  CHECK(vfs.wal_syncs() > before);

  // Afterwards commits are cheap again.
  before = vfs.wal_syncs();
  fixture.apply(order(20), 20);
  CHECK(vfs.wal_syncs() == before);
}

// So what connect() reports as the position is durable, whatever the process before it left behind.
TEST_CASE("connect() syncs the log") {
  PowerCutVfs vfs;
  Fixture fixture;
  fixture.apply(order(1), 1);
  // Another connection stays, so that the log does: a new one would be synced in any case.
  CHECK(fixture.table("orders").size() == 1);
  fixture.sink->disconnect();
  const int before = vfs.wal_syncs();
  fixture.sink->connect();
  CHECK(vfs.wal_syncs() > before);
}

// SQLite leaves out pages whose content stays the same: a flush that rewrites the row as it was
// would write nothing, and so sync nothing.
TEST_CASE("a flush syncs even when the clock stands still") {
  PowerCutVfs vfs;
  Fixture fixture;
  fixture.apply(order(1), 1);
  for (int i = 0; i < 3; ++i) {
    const int before = vfs.wal_syncs();
    fixture.sink->flush();
    CHECK(vfs.wal_syncs() > before);
  }
  CHECK(fixture.value("SELECT position FROM headgate_positions") == "'0x0000000000000001'");
}

TEST_CASE("a flush changes neither position nor commit time") {
  Fixture fixture;
  fixture.apply(order(1), 1);
  const auto before =
      fixture.rows("SELECT position, history, epoch, commit_time FROM headgate_positions");
  fixture.sink->flush();
  CHECK(fixture.rows("SELECT position, history, epoch, commit_time FROM headgate_positions") ==
        before);
  fixture.apply(order(2), 2);  // and the next transaction finds its row as it expects it
}

TEST_CASE("a full disk is systemic, leaves the state before, and passes when there is space") {
  PowerCutVfs vfs;
  Fixture fixture;
  fixture.apply(order(1), 1);

  vfs.fail_wal_writes(SQLITE_FULL);
  const Error error = error_of([&] { fixture.apply(order(2), 2); });
  CHECK(error.kind() == ErrorKind::kSystemic);
  CHECK_THAT(error.describe(), Catch::Contains(fixture.path()) && Catch::Contains("free space"));
  fixture.sink->rollback();
  CHECK(fixture.table("orders").size() == 1);
  CHECK(kind_of_error([&] { fixture.sink->connect(); }) == ErrorKind::kSystemic);

  vfs.fail_wal_writes(SQLITE_OK);
  CHECK(fixture.sink->connect().position == position_at(1));
  fixture.apply(order(2), 2);
  CHECK(fixture.table("orders").size() == 2);
}

TEST_CASE("a commit that meets an I/O error is in doubt, and connect() settles it") {
  PowerCutVfs vfs;
  Fixture fixture;
  fixture.apply(order(1), 1);
  fixture.write(order(2));
  vfs.fail_wal_writes(SQLITE_IOERR_WRITE);
  CHECK(kind_of_error([&] { fixture.sink->commit(mark_at(2)); }) == ErrorKind::kInDoubt);
  fixture.sink->rollback();
  vfs.fail_wal_writes(SQLITE_OK);

  const Position found = fixture.sink->connect().position;
  const bool applied = found == position_at(2);
  CHECK((applied || found == position_at(1)));
  CHECK(fixture.table("orders").size() == (applied ? 2 : 1));
}

TEST_CASE("a flush whose sync fails is not taken for durable") {
  PowerCutVfs vfs;
  Fixture fixture;
  fixture.apply(order(1), 1);
  vfs.fail_wal_syncs(SQLITE_IOERR_FSYNC);
  CHECK(kind_of_error([&] { fixture.sink->flush(); }) == ErrorKind::kInDoubt);
  CHECK(kind_of_error([&] { fixture.sink->connect(); }) != ErrorKind::kFenced);
  vfs.fail_wal_syncs(SQLITE_OK);
  CHECK(fixture.sink->connect().position == position_at(1));
}

TEST_CASE("a log that a reader keeps from being reused is reported, once a minute") {
  Fixture fixture({.busy_timeout = std::chrono::milliseconds(20), .wal_bytes_warn = 10000});
  fixture.apply(order(1), 1);
  fixture.execute("BEGIN; SELECT * FROM orders");  // an old snapshot, never ended
  fixture.clock.pass(std::chrono::seconds(61));
  const auto warnings = [&] {
    const std::string log = fixture.log();
    std::size_t count = 0;
    for (auto at = log.find("keeps growing"); at != std::string::npos;
         at = log.find("keeps growing", at + 1)) {
      ++count;
    }
    return count;
  };
  for (int i = 2; i < 10; ++i) {
    fixture.apply(order(i), static_cast<std::uint64_t>(i));
  }
  CHECK(warnings() == 1);
  CHECK_THAT(fixture.log(), Catch::Contains("end long read transactions"));
  fixture.clock.pass(std::chrono::seconds(61));
  fixture.apply(order(10), 10);
  CHECK(warnings() == 2);

  // Without the reader the log is as large for a while, but nothing is wrong.
  fixture.execute("COMMIT");
  fixture.clock.pass(std::chrono::seconds(61));
  fixture.apply(order(11), 11);
  CHECK(warnings() == 2);
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
