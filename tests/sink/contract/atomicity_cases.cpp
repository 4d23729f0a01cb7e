// Data and position become visible together or not at all (I1, I3), whatever fails in between.

#include <algorithm>
#include <string>
#include <utility>

#include "contract_case.hpp"

namespace headgate::sink_contract {
namespace {

TEST_CASE("a sink that holds nothing has no position, and its first owner the first epoch") {
  ContractCase test;
  CHECK(test.position().empty());
  CHECK(test.epoch() == 1);
}

TEST_CASE("nothing of a transaction shows before its commit, and all of it after") {
  ContractCase test;
  test.apply(Operations().insert(orders(), {"1", "new", "a"}), 10);

  test.write(Operations()
                 .update(orders(), {"1", "paid", "a"})
                 .insert(orders(), {"2", "new", "b"})
                 .insert(items(), {"1", "nut"}));
  CHECK(test.rows(orders()) == Strings{"1|new|a"});
  CHECK_FALSE(test.sink->has_table(*items()));
  CHECK(test.position() == position_at(10));

  test.driver->commit(mark_at(20));
  CHECK(test.rows(orders()) == Strings{"1|paid|a", "2|new|b"});
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.position() == position_at(20));
}

TEST_CASE("the position comes back as it was committed, history and all, and the epoch moves on") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 0x16B374D848);
  const SinkPosition found = test.reconnect();
  CHECK(found.position == position_at(0x16B374D848));
  CHECK(found.position.history.text == position_at(1).history.text);
  CHECK(found.epoch == 2);
  CHECK(test.epoch() == 2);
}

TEST_CASE("a transaction without rows moves the position and nothing else") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.apply({}, 20);
  test.driver->begin();
  test.driver->commit({position_at(30), {}});  // a keep-alive of the source has no commit time
  CHECK(test.position() == position_at(30));
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.reconnect().position == position_at(30));
}

TEST_CASE("a rolled back transaction leaves neither rows nor tables nor a position") {
  ContractCase test;
  test.apply(Operations().insert(orders(), {"1", "new", "a"}), 10);
  const auto operations = std::move(
      Operations().insert(items(), {"1", "nut"}).erase(orders(), {"1", kNull, kNull}, true));
  test.write(operations);
  test.driver->rollback();
  CHECK(test.rows(orders()) == Strings{"1|new|a"});
  CHECK_FALSE(test.sink->has_table(*items()));
  CHECK(test.position() == position_at(10));

  // The same driver can do it again, without a new connection.
  test.apply(operations, 20);
  CHECK(test.rows(orders()).empty());
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.position() == position_at(20));
}

TEST_CASE("rollback() may be called at any time, and twice") {
  ContractCase test;
  test.driver->rollback();
  test.driver->begin();
  test.driver->rollback();
  test.driver->rollback();
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.driver->rollback();
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.position() == position_at(10));
  test.driver->disconnect();
  test.driver->rollback();
}

TEST_CASE("a driver that disconnects or goes away inside a transaction leaves nothing of it") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.write(Operations().insert(items(), {"2", "bolt"}));
  if (GENERATE(true, false)) {
    test.driver->disconnect();
  } else {
    test.driver.reset();
    test.driver = test.sink->make_driver();
  }
  CHECK(connect_when_free(*test.driver).position == position_at(10));
  CHECK(test.rows(items()) == Strings{"1|nut"});
}

// The one that finds a position outside the data's transaction: the position cannot be written, so
// the data must not be there either.
TEST_CASE("a position that cannot be written takes the data with it") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.sink->refuse_positions(true);
  CHECK_THROWS_AS(test.apply(Operations().insert(items(), {"2", "bolt"}), 20), Error);
  test.driver->rollback();
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.position() == position_at(10));

  test.driver->disconnect();
  CHECK(connect_when_free(*test.driver).position == position_at(10));
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK_THROWS_AS(test.copy(Operations().insert(journal(), {"1", "x"}), 20), Error);
  test.driver->rollback();
  CHECK_FALSE(test.sink->has_table(*journal()));

  test.sink->refuse_positions(false);
  test.reconnect();
  test.apply(Operations().insert(items(), {"2", "bolt"}), 20);
  CHECK(test.rows(items()) == Strings{"1|nut", "2|bolt"});
  CHECK(test.position() == position_at(20));
}

TEST_CASE("data that cannot be written takes the position and the other tables with it") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  const auto twins = table_of("twins", {{"id", TF::kInteger}, {"code"}}, {0});
  test.sink->create_table(*twins, {.unique = {"code"}});
  CHECK_THROWS_AS(test.apply(Operations()
                                 .insert(items(), {"2", "bolt"})
                                 .insert(twins, {"1", "same"})
                                 .insert(twins, {"2", "same"})
                                 .insert(items(), {"3", "gear"}),
                             20),
                  Error);
  test.driver->rollback();
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.rows(twins).empty());
  CHECK(test.position() == position_at(10));
  CHECK(test.reconnect().position == position_at(10));
}

TEST_CASE("many calls of write() are one transaction") {
  ContractCase test;
  test.driver->begin();
  test.driver->prepare_table(items(), MissingTable::kCreate);
  test.driver->prepare_table(journal(), MissingTable::kCreate);
  for (int i = 0; i < 50; ++i) {
    const std::string id = std::to_string(i);
    const auto portion = std::move(Operations()
                                       .insert(items(), {id, "new"})
                                       .update(items(), {std::to_string(i / 2), "again"})
                                       .insert(journal(), {id, "x"}));
    test.driver->write(portion.all());
    test.driver->keep_alive();
  }
  CHECK(test.rows(items()).empty());
  CHECK(test.position().empty());
  test.driver->commit(mark_at(10));
  const Strings found = test.rows(items());
  CHECK(found.size() == 50);
  CHECK(std::count_if(found.begin(), found.end(),
                      [](const std::string& row) { return row.ends_with("|again"); }) == 25);
  CHECK(test.rows(journal()).size() == 50);
  CHECK(test.position() == position_at(10));
}

TEST_CASE("rolled back portions leave nothing, however many there were") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.write(Operations().erase(items(), {"1", kNull}, true));
  for (int i = 2; i < 10; ++i) {
    test.driver->write(Operations().insert(items(), {std::to_string(i), "x"}).all());
  }
  test.reconnect();
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.position() == position_at(10));
}

// --- A lost reply to COMMIT: only a new connection tells, and it tells the truth ---

TEST_CASE("a commit whose reply is lost is in doubt, and connect() knows whether it was done") {
  const bool done = GENERATE(false, true);
  const bool same_process = GENERATE(true, false);
  CAPTURE(done, same_process);
  ContractCase test;
  test.apply(Operations().insert(journal(), {"1", "x"}), 10);
  test.write(Operations().insert(journal(), {"2", "y"}));
  if (!test.sink->lose_commit_reply(done)) {
    SUCCEED("cannot happen to this database");
    return;
  }
  CHECK(kind_of_error([&] { test.driver->commit(mark_at(20)); }) == ErrorKind::kInDoubt);
  test.sink->heal();
  if (!same_process) {
    test.driver = test.sink->make_driver();
  }
  test.driver->rollback();
  test.driver->disconnect();
  CHECK(connect_when_free(*test.driver).position == position_at(done ? 20 : 10));
  CHECK(test.rows(journal()) == (done ? Strings{"1|x", "2|y"} : Strings{"1|x"}));

  // And it goes on from there.
  if (!done) {
    test.apply(Operations().insert(journal(), {"2", "y"}), 20);
  }
  test.apply(Operations().insert(journal(), {"3", "z"}), 30);
  CHECK(test.rows(journal()) == Strings{"1|x", "2|y", "3|z"});
  CHECK(test.position() == position_at(30));
}

}  // namespace
}  // namespace headgate::sink_contract
