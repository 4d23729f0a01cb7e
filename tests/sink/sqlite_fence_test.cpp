// Two processes never both write (I4): the lock makes the second wait, the epoch makes it harmless.

#include <catch2/catch.hpp>

#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

const auto kOrders = make_table("orders", {{"id", TypeFamily::kInteger}, {"state"}}, {0});

TEST_CASE("each process that takes over raises the epoch") {
  Fixture fixture;
  fixture.apply(Operations().insert(kOrders, {"1", "new"}), 1);
  fixture.sink->disconnect();
  const auto second = fixture.make_sink();
  const SinkPosition found = second->connect();
  CHECK(found.epoch == 2);
  CHECK(found.position == position_at(1));
}

// The lock is out of the picture (another host, a deleted lock file): only the row protects.
TEST_CASE("an older process cannot begin, commit or flush") {
  Fixture fixture;
  fixture.apply(Operations().insert(kOrders, {"1", "new"}), 1);
  fixture.execute("UPDATE headgate_positions SET epoch = epoch + 1");

  const Error error = error_of([&] { fixture.sink->begin(); });
  CHECK(error.kind() == ErrorKind::kFenced);
  CHECK_THAT(error.what(), Catch::Contains("the epoch is 2, this process has 1"));
  CHECK(kind_of_error([&] { fixture.sink->begin(); }) == ErrorKind::kFenced);
  CHECK(kind_of_error([&] { fixture.sink->flush(); }) == ErrorKind::kFenced);
  // Nor does it hold a lock that keeps the new owner out.
  fixture.execute("UPDATE headgate_positions SET epoch = epoch + 1");
}

// Between begin() and commit() the write lock keeps everybody else out. That the commit checks
// again is for a begin() that did not; so the row is changed through the sink's own transaction.
TEST_CASE("a commit on a row of another epoch writes nothing") {
  Fixture fixture;
  fixture.apply(Operations().insert(kOrders, {"1", "new"}), 1);
  fixture.execute(
      "CREATE TRIGGER takeover AFTER INSERT ON orders BEGIN "
      "UPDATE headgate_positions SET epoch = epoch + 1; END");
  fixture.write(Operations().insert(kOrders, {"2", "new"}));
  CHECK(kind_of_error([&] { fixture.sink->commit(mark_at(2)); }) == ErrorKind::kFenced);
  CHECK(fixture.table("orders") == Strings{"1|'new'"});
  CHECK(fixture.rows("SELECT position, epoch FROM headgate_positions") ==
        Strings{"'0x0000000000000001'|1"});
}

TEST_CASE("the write lock is held from begin() on") {
  Fixture fixture;
  fixture.sink->begin();
  const auto other = [&] {
    db::sqlite::Connection connection(fixture.path(),
                                      {.busy_timeout = std::chrono::milliseconds(1)});
    connection.execute("UPDATE headgate_positions SET epoch = epoch + 1");
  };
  CHECK(kind_of_error(other) == ErrorKind::kTransient);
  fixture.sink->rollback();
  other();
  CHECK(kind_of_error([&] { fixture.sink->begin(); }) == ErrorKind::kFenced);
}

TEST_CASE("a row that is not as this process left it fences, whatever differs") {
  const std::string change =
      GENERATE(as<std::string>{}, "UPDATE headgate_positions SET position = '0x0000000000000009'",
               "UPDATE headgate_positions SET history = 'postgres:7311:2'",
               "UPDATE headgate_positions SET position = NULL", "DELETE FROM headgate_positions");
  Fixture fixture;
  fixture.apply({}, 1);
  fixture.execute(change);
  CHECK(kind_of_error([&] { fixture.sink->begin(); }) == ErrorKind::kFenced);
  CHECK(kind_of_error([&] { fixture.sink->flush(); }) == ErrorKind::kFenced);
}

TEST_CASE("another writer delays and does not fail the sink for good") {
  Fixture fixture;
  fixture.execute("BEGIN IMMEDIATE");
  CHECK(kind_of_error([&] { fixture.sink->begin(); }) == ErrorKind::kTransient);
  fixture.execute("COMMIT");
  fixture.sink->connect();
  fixture.apply(Operations().insert(kOrders, {"1", "new"}), 1);
  CHECK(fixture.table("orders").size() == 1);
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
