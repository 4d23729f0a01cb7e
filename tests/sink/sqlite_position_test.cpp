// Data and position move together or not at all (I1, I3).

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

const auto kOrders = make_table("orders", {{"id", TypeFamily::kInteger}, {"state"}}, {0});
const auto kItems = make_table("items", {{"id", TypeFamily::kInteger}, {"name"}}, {0});

TEST_CASE("a sink without a copy has no position") {
  Fixture fixture;
  CHECK(fixture.make_sink() != nullptr);
  CHECK(fixture.rows("SELECT pipeline, sink, position, history, epoch, dlq_seq, commit_time, "
                     "updated_at FROM headgate_positions") ==
        Strings{"'shop'|'business'|NULL|NULL|1|0|NULL|'2026-07-01T12:00:00.000000Z'"});
}

TEST_CASE("a commit leaves the position as documented, and the next connect() finds it") {
  Fixture fixture;
  fixture.apply(Operations().insert(kOrders, {"1", "new"}), 0x16B374D848);
  CHECK(fixture.rows("SELECT position, history, epoch, commit_time FROM headgate_positions") ==
        Strings{"'0x00000016b374d848'|'postgres:7311:1'|1|'2026-07-01T11:56:40.000000Z'"});

  const SinkPosition found = fixture.sink->connect();
  CHECK(found.position == position_at(0x16B374D848));
  CHECK(found.epoch == 2);
}

TEST_CASE("an empty transaction moves the position") {
  Fixture fixture;
  fixture.apply({}, 5);
  fixture.sink->begin();
  fixture.sink->commit({position_at(9), {}});  // a keep-alive: no commit time of its own
  CHECK(fixture.rows("SELECT position, commit_time FROM headgate_positions") ==
        Strings{"'0x0000000000000009'|'2026-07-01T11:56:40.000000Z'"});
}

TEST_CASE("nothing is visible before the commit, and everything after it") {
  Fixture fixture;
  fixture.apply(Operations().insert(kOrders, {"1", "new"}), 1);
  fixture.write(Operations()
                    .update(kOrders, {"1", "paid"})
                    .insert(kOrders, {"2", "new"})
                    .insert(kItems, {"1", "nut"}));
  CHECK(fixture.table("orders") == Strings{"1|'new'"});
  CHECK(fixture.value("SELECT count(*) FROM sqlite_schema WHERE name = 'items'") == "0");
  CHECK(fixture.value("SELECT position FROM headgate_positions") == "'0x0000000000000001'");

  fixture.sink->commit(mark_at(2));
  CHECK(fixture.table("orders") == Strings{"1|'paid'", "2|'new'"});
  CHECK(fixture.table("items") == Strings{"1|'nut'"});
  CHECK(fixture.value("SELECT position FROM headgate_positions") == "'0x0000000000000002'");
}

TEST_CASE("a rolled back transaction leaves nothing, and the same can be applied again") {
  Fixture fixture;
  fixture.apply(Operations().insert(kOrders, {"1", "new"}), 1);
  const auto operations =
      std::move(Operations().insert(kItems, {"1", "nut"}).erase(kOrders, {"1", "new"}));
  fixture.write(operations);
  fixture.sink->rollback();
  CHECK(fixture.table("orders") == Strings{"1|'new'"});
  CHECK(fixture.value("SELECT count(*) FROM sqlite_schema WHERE name = 'items'") == "0");

  // The table went with the rollback; the driver must notice without being told.
  fixture.sink->begin();
  fixture.sink->write(operations.all());
  fixture.sink->commit(mark_at(2));
  CHECK(fixture.table("orders").empty());
  CHECK(fixture.table("items") == Strings{"1|'nut'"});
}

// kill -9 at the worst moment: rows and position are written, the commit is not.
TEST_CASE("a process killed before its commit leaves the state before") {
  Fixture fixture;
  fixture.apply(Operations().insert(kOrders, {"1", "new"}), 1);
  fixture.sink->disconnect();

  const bool committed = GENERATE(false, true);
  const pid_t child = fork();
  if (child == 0) {
    const auto sink = fixture.make_sink();
    sink->connect();
    sink->begin();
    sink->prepare_table(kOrders, MissingTable::kCreate);
    Operations operations;
    sink->write(operations.insert(kOrders, {"2", "new"}).all());
    if (committed) {
      sink->commit(mark_at(2));
    }
    kill(getpid(), SIGKILL);
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  REQUIRE(WIFSIGNALED(status));

  const SinkPosition found = fixture.sink->connect();  // the kernel gave the lock back
  CHECK(found.epoch == 3);
  CHECK(found.position == position_at(committed ? 2 : 1));
  CHECK(fixture.table("orders").size() == (committed ? 2 : 1));
}

TEST_CASE("a position that a person has damaged is named") {
  Fixture fixture;
  fixture.execute("UPDATE headgate_positions SET position = 'here'");
  const Error error = error_of([&] { fixture.sink->connect(); });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("headgate_positions.position"));
}

TEST_CASE("a sink keeps to its own row") {
  Fixture fixture;
  fixture.execute(
      "INSERT INTO headgate_positions(pipeline, sink, position, epoch, updated_at) VALUES "
      "('shop', 'other', '0x0000000000000001', 7, 'x'), "
      "('other', 'business', '0x0000000000000001', 8, 'x')");
  fixture.apply({}, 5);
  CHECK(fixture.rows("SELECT epoch, position FROM headgate_positions ORDER BY epoch") ==
        Strings{"1|'0x0000000000000005'", "7|'0x0000000000000001'", "8|'0x0000000000000001'"});
}

TEST_CASE("times are RFC 3339 in UTC") {
  CHECK(to_rfc3339(WallTime{}) == "1970-01-01T00:00:00.000000Z");
  CHECK(to_rfc3339(WallTime{std::chrono::microseconds(-1)}) == "1969-12-31T23:59:59.999999Z");
  CHECK(to_rfc3339(WallTime{std::chrono::seconds(951782400)}) == "2000-02-29T00:00:00.000000Z");
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
