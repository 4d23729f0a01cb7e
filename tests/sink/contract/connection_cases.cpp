// Connections that come, go and break; durability; and looking without touching.

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "contract_case.hpp"

namespace headgate::sink_contract {
namespace {

const Operations& one_bolt() {
  static const Operations operations = std::move(Operations().insert(items(), {"2", "bolt"}));
  return operations;
}

TEST_CASE("disconnect() twice, or before any connect(), is nothing special") {
  ContractCase test;
  test.driver->disconnect();
  test.driver->disconnect();
  const auto other = test.sink->make_driver();
  other->disconnect();
  other->rollback();
  CHECK(connect_when_free(*other).epoch == 2);
}

TEST_CASE("connect() after disconnect() goes on where the sink stands") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  for (std::uint64_t lsn = 20; lsn <= 40; lsn += 10) {
    test.driver->disconnect();
    CHECK(connect_when_free(*test.driver).position == position_at(lsn - 10));
    test.apply(Operations().update(items(), {"1", std::to_string(lsn)}), lsn);
  }
  CHECK(test.rows(items()) == Strings{"1|40"});
}

TEST_CASE("connect() on a connected driver begins a new session") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.write(one_bolt());
  // The server may need a moment to see that the old session is gone.
  CHECK(connect_when_free(*test.driver).position == position_at(10));
  CHECK(test.rows(items()) == Strings{"1|nut"});
  test.apply(one_bolt(), 20);
  CHECK(test.rows(items()) == Strings{"1|nut", "2|bolt"});
}

// The calls of one transaction, each of which may be the first to notice that the connection is
// gone.
TEST_CASE("a connection lost before any call of a transaction leaves the state before it") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  const std::vector<std::function<void()>> calls = {
      [&] { test.driver->begin(); },
      [&] { test.driver->prepare_table(journal(), MissingTable::kCreate); },
      [&] { test.driver->prepare_copy(*journal(), ExistingRows::kRefuse); },
      [&] {
        test.driver->copy(Operations().insert(journal(), {"1", "x"}).all());
      },
      [&] { test.driver->prepare_table(items(), MissingTable::kRefuse); },
      [&] { test.driver->write(one_bolt().all()); },
      [&] { test.driver->keep_alive(); },
      [&] {
        test.driver->write(Operations().update(items(), {"1", "x"}).all());
      },
      [&] { test.driver->commit(mark_at(20)); },
  };
  for (std::size_t lost = 0; lost < calls.size(); ++lost) {
    CAPTURE(lost);
    for (std::size_t i = 0; i < lost; ++i) {
      calls[i]();
    }
    if (!test.sink->cut_connections()) {
      SUCCEED("nothing is there that could be lost");
      return;
    }
    const ErrorKind kind = kind_of_error(calls[lost]);
    CHECK(kind == ErrorKind::kTransient);
    CHECK(test.reconnect().position == position_at(10));
    CHECK(test.rows(items()) == Strings{"1|nut"});
    CHECK_FALSE(test.sink->has_table(*journal()));
  }
  for (const auto& call : calls) {
    call();
  }
  CHECK(test.rows(items()) == Strings{"1|x", "2|bolt"});
  CHECK(test.rows(journal()) == Strings{"1|x"});
  CHECK(test.position() == position_at(20));
}

TEST_CASE("a connection lost after a commit loses nothing of it") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  if (!test.sink->cut_connections()) {
    SUCCEED("nothing is there that could be lost");
    return;
  }
  test.driver->rollback();
  test.driver->disconnect();
  CHECK(connect_when_free(*test.driver).position == position_at(10));
  CHECK(test.rows(items()) == Strings{"1|nut"});
}

// rollback() tells nobody that it failed: the next call must.
TEST_CASE("behind a rollback on a lost connection, every call says that it is lost") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.write(one_bolt());
  if (!test.sink->cut_connections()) {
    SUCCEED("nothing is there that could be lost");
    return;
  }
  test.driver->rollback();
  CHECK(kind_of_error([&] { test.driver->begin(); }) == ErrorKind::kTransient);
  CHECK(kind_of_error([&] { test.driver->flush(); }) == ErrorKind::kTransient);
  CHECK(kind_of_error([&] { test.driver->place(); }) == ErrorKind::kTransient);
  CHECK(test.reconnect().position == position_at(10));
  CHECK(test.rows(items()) == Strings{"1|nut"});
}

TEST_CASE("what survives a lost connection is not what the driver remembers") {
  ContractCase test;
  if (!test.sink->cut_connections()) {
    SUCCEED("nothing is there that could be lost");
    return;
  }
  // The driver knows an older position and an older epoch; another process has worked meanwhile.
  const auto other = test.sink->make_driver();
  connect_when_free(*other);
  other->begin();
  other->prepare_table(items(), MissingTable::kCreate);
  other->write(one_bolt().all());
  other->commit(mark_at(30));
  other->disconnect();
  CHECK(kind_of_error([&] { test.driver->begin(); }) == ErrorKind::kTransient);
  test.driver->rollback();
  test.driver->disconnect();
  // Not reconnect(): the server may still hold the lock for the other.
  const SinkPosition found = connect_when_free(*test.driver);
  CHECK(found.position == position_at(30));
  CHECK(found.epoch == 3);
}

// --- Durability ---

TEST_CASE("a flush between transactions changes neither rows nor position nor epoch") {
  ContractCase test;
  auto lazy = test.sink->make_lazy_driver();
  if (GENERATE(true, false) && lazy) {
    test.driver->disconnect();
    test.driver = std::move(lazy);
    connect_when_free(*test.driver);
    CHECK_FALSE(test.driver->commits_are_durable());
  }
  const std::uint64_t epoch = test.epoch();
  test.driver->flush();
  CHECK(test.position().empty());
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.driver->flush();
  test.driver->flush();
  CHECK(test.position() == position_at(10));
  CHECK(test.epoch() == epoch);
  test.apply(one_bolt(), 20);
  test.driver->flush();
  CHECK(test.rows(items()) == Strings{"1|nut", "2|bolt"});
  CHECK(test.reconnect().position == position_at(20));
}

TEST_CASE("a flush on a lost connection is a lost connection") {
  ContractCase test;
  auto lazy = test.sink->make_lazy_driver();
  if (!lazy) {
    SUCCEED("not here");
    return;
  }
  test.driver->disconnect();
  test.driver = std::move(lazy);
  connect_when_free(*test.driver);
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  if (!test.sink->cut_connections()) {
    SUCCEED("nothing is there that could be lost");
    return;
  }
  CHECK(kind_of_error([&] { test.driver->flush(); }) == ErrorKind::kTransient);
  CHECK(test.reconnect().position == position_at(10));
  test.driver->flush();
}

TEST_CASE("keep_alive() in a transaction changes nothing") {
  ContractCase test;
  test.driver->begin();
  test.driver->keep_alive();
  test.driver->prepare_table(items(), MissingTable::kCreate);
  test.driver->keep_alive();
  test.driver->write(Operations().insert(items(), {"1", "nut"}).all());
  test.driver->keep_alive();
  test.driver->keep_alive();
  CHECK_FALSE(test.sink->has_table(*items()));
  test.driver->commit(mark_at(10));
  CHECK(test.rows(items()) == Strings{"1|nut"});
}

// --- check() ---

bool has_errors(const Findings& findings) {
  for (const Finding& finding : findings) {
    if (finding.level == Finding::Level::kError) {
      UNSCOPED_INFO(finding.what);
      return true;
    }
  }
  return false;
}

TEST_CASE("check() on an untouched database finds it fit and leaves it untouched") {
  const auto sink = make_sink_under_test();
  const auto driver = sink->make_driver();
  Findings findings;
  const SinkPosition found = driver->check(findings);
  CHECK(found.position.empty());
  CHECK(found.epoch == 0);
  CHECK_FALSE(findings.empty());
  CHECK_FALSE(has_errors(findings));
  CHECK_FALSE(sink->position_row().has_value());
}

TEST_CASE("check() beside a process at work tells its position and does not disturb it") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  const auto other = test.sink->make_driver();
  test.write(one_bolt());
  Findings findings;
  const SinkPosition found = other->check(findings);
  CHECK(found.position == position_at(10));
  CHECK(found.epoch == 1);
  CHECK_FALSE(has_errors(findings));
  test.driver->commit(mark_at(20));  // no lock stands in its way, and no new epoch
  CHECK(test.epoch() == 1);
  CHECK(test.rows(items()) == Strings{"1|nut", "2|bolt"});
  CHECK(other->check(findings).position == position_at(20));
  other->disconnect();
  test.apply({}, 30);
}

}  // namespace
}  // namespace headgate::sink_contract
