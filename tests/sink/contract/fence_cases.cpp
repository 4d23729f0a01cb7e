// Two processes never both write (I4): the session lock makes the second wait, the position row
// makes it harmless when it does not.

#include <unistd.h>
#include <string>

#include "contract_case.hpp"

namespace headgate::sink_contract {
namespace {

TEST_CASE("while one process is connected, another waits and is told for whom") {
  ContractCase test;
  const auto second = test.sink->make_driver();
  const Error error = error_of([&] { second->connect(); });
  CHECK(error.kind() == ErrorKind::kLocked);
  CHECK_THAT(error.what(), Catch::Contains(std::to_string(getpid())));
  CHECK(test.epoch() == 1);  // whoever waits has taken nothing over
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);

  test.driver->disconnect();
  const SinkPosition found = connect_when_free(*second);
  CHECK(found.epoch == 2);
  CHECK(found.position == position_at(10));
  // Now it is the first that waits.
  CHECK(kind_of_error([&] { test.driver->connect(); }) == ErrorKind::kLocked);
}

TEST_CASE("a driver that goes away gives its lock up") {
  ContractCase test;
  test.driver.reset();
  const auto second = test.sink->make_driver();
  CHECK(connect_when_free(*second).epoch == 2);
}

TEST_CASE("each connect() raises the epoch, of the same driver too") {
  ContractCase test;
  for (std::uint64_t epoch = 2; epoch < 5; ++epoch) {
    CHECK(test.reconnect().epoch == epoch);
    CHECK(test.epoch() == epoch);
  }
}

// The lock was lost (a proxy, another host, a deleted file) although the first process lives.
TEST_CASE("a process that was taken over can neither begin nor flush, and has written nothing") {
  ContractCase test;
  if (auto lazy = test.sink->make_lazy_driver()) {
    test.driver->disconnect();
    test.driver = std::move(lazy);
    connect_when_free(*test.driver);
  }
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  REQUIRE(test.sink->raise_epoch());
  const std::uint64_t epoch = test.epoch();

  SECTION("begin") {
    const Error error = error_of([&] { test.driver->begin(); });
    CHECK(error.kind() == ErrorKind::kFenced);
    test.driver->rollback();
    CHECK(kind_of_error([&] { test.driver->begin(); }) == ErrorKind::kFenced);
  }
  SECTION("a whole transaction") {
    CHECK(kind_of_error([&] {
            test.apply(Operations().insert(items(), {"2", "bolt"}), 20);
          }) == ErrorKind::kFenced);
  }
  SECTION("flush") {
    CHECK(kind_of_error([&] { test.driver->flush(); }) == ErrorKind::kFenced);
  }
  test.driver->rollback();
  // It holds no lock either that would keep the new owner from working.
  CHECK(test.sink->raise_epoch());
  CHECK(test.epoch() == epoch + 1);
  test.driver->disconnect();
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.position() == position_at(10));
}

TEST_CASE("where commits are durable, a flush does not outlive its owner's epoch either") {
  ContractCase test;
  if (!test.driver->commits_are_durable()) {
    SUCCEED("another case");
    return;
  }
  test.apply({}, 10);
  REQUIRE(test.sink->raise_epoch());
  CHECK(kind_of_error([&] { test.driver->flush(); }) == ErrorKind::kFenced);
}

// The epoch is not the only witness: a position that this process has not written is another's.
TEST_CASE("a position row that is not as this process left it fences") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  SECTION("it stands further on") {
    test.sink->set_position(position_at(11));
  }
  SECTION("it stands further back") {
    test.sink->set_position(position_at(9));
  }
  SECTION("it belongs to another history") {
    test.sink->set_position({position_at(10).lsn, {"postgres:7311:2"}});
  }
  SECTION("it has no position any more") {
    test.sink->set_position({});
  }
  SECTION("it is gone") {
    test.sink->delete_position_row();
  }
  CHECK(kind_of_error([&] {
          test.apply(Operations().insert(items(), {"2", "bolt"}), 20);
        }) == ErrorKind::kFenced);
  test.driver->rollback();
  CHECK(test.rows(items()) == Strings{"1|nut"});
  const auto row = test.sink->position_row();
  CHECK((!row || row->position != position_at(20)));
}

TEST_CASE("from begin() to the end of the transaction nobody else can take the row") {
  ContractCase test;
  test.apply({}, 10);
  test.driver->begin();
  CHECK_FALSE(test.sink->raise_epoch());
  test.driver->commit(mark_at(20));
  CHECK(test.position() == position_at(20));

  test.driver->begin();
  CHECK_FALSE(test.sink->raise_epoch());
  test.driver->rollback();
  CHECK(test.sink->raise_epoch());
  CHECK(kind_of_error([&] { test.driver->begin(); }) == ErrorKind::kFenced);
}

// begin() has looked, and still the epoch is another at the end: so the write of the position must
// look again. Only something in our own transaction can do that, here a trigger.
TEST_CASE("an epoch that was raised inside the transaction fences its commit") {
  ContractCase test;
  test.sink->create_table(*items());
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.sink->raise_epoch_with_rows_of(*items());
  test.reconnect();
  const std::uint64_t epoch = test.epoch();
  test.write(Operations().insert(items(), {"2", "bolt"}));
  CHECK(kind_of_error([&] { test.driver->commit(mark_at(20)); }) == ErrorKind::kFenced);
  test.driver->rollback();
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.position() == position_at(10));
  CHECK(test.epoch() == epoch);
}

TEST_CASE("whoever is fenced can come back as the newest owner, and goes on from the row") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  REQUIRE(test.sink->raise_epoch());
  test.sink->set_position(position_at(30));
  CHECK(kind_of_error([&] { test.driver->begin(); }) == ErrorKind::kFenced);
  const SinkPosition found = test.reconnect();
  CHECK(found.position == position_at(30));
  CHECK(found.epoch == 3);
  test.apply(Operations().insert(items(), {"2", "bolt"}), 40);
  CHECK(test.position() == position_at(40));
}

}  // namespace
}  // namespace headgate::sink_contract
