// Tables that were made beforehand, with rules of their own: unique columns and foreign keys.

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include "contract_case.hpp"

namespace headgate::sink_contract {
namespace {

const SinkConfigPtr& users() {
  static const SinkConfigPtr table =
      table_of("users", {{"id", TF::kInteger}, {"email"}, {"note"}}, {0});
  return table;
}

const SinkConfigPtr& nodes() {
  static const SinkConfigPtr table =
      table_of("nodes", {{"id", TF::kInteger}, {"parent", TF::kInteger}}, {0});
  return table;
}

const SinkConfigPtr& lines() {
  static const SinkConfigPtr table =
      table_of("lines", {{"id", TF::kInteger}, {"item", TF::kInteger}}, {0});
  return table;
}

struct UniqueEmails : ContractCase {
  UniqueEmails() {
    sink->create_table(*users(), {.unique = {"email"}});
    apply(Operations().insert(users(), {"1", "a", "x"}).insert(users(), {"2", "b", "y"}), 10);
  }

  // One transaction of the sink either way; several write() calls stand for a large one.
  void apply_each(std::initializer_list<const Operations*> all, bool one_call) {
    driver->begin();
    driver->prepare_table(users(), MissingTable::kCreate);
    std::vector<Sink> together;
    for (const Operations* one : all) {
      if (one_call) {
        together.insert(together.end(), one->all().begin(), one->all().end());
      } else {
        driver->write(one->all());
      }
    }
    if (one_call) {
      driver->write(together);
    }
    driver->commit(mark_at(20));
  }
};

TEST_CASE("a unique value moves from one row to another, whichever key comes first") {
  UniqueEmails test;
  const bool one_call = GENERATE(true, false);
  const auto free = std::move(Operations().update(users(), {"2", "c", "y"}));
  const auto take = std::move(Operations().update(users(), {"1", "b", "x"}));
  const auto erase = std::move(Operations().erase(users(), {"2", "c", "y"}));
  const auto again = std::move(Operations().insert(users(), {"0", "c", "z"}));
  test.apply_each({&free, &take, &erase, &again}, one_call);
  CHECK(test.rows(users()) == Strings{"0|c|z", "1|b|x"});
}

// As a source must do it that checks its index at each row: three transactions that may share a
// batch.
TEST_CASE("two rows swap unique values by way of a third value") {
  UniqueEmails test;
  const bool one_call = GENERATE(true, false);
  const auto away = std::move(Operations().update(users(), {"1", "tmp", "x"}));
  const auto over = std::move(Operations().update(users(), {"2", "a", kUnsent}));
  const auto back = std::move(Operations().update(users(), {"1", "b", "x"}));
  test.apply_each({&away, &over, &back}, one_call);
  CHECK(test.rows(users()) == Strings{"1|b|x", "2|a|y"});
}

// As a source may do it that checks its index at the end of a statement.
TEST_CASE("two rows swap unique values at once") {
  UniqueEmails test;
  test.apply(Operations().update(users(), {"1", "b", "x"}).update(users(), {"2", "a", "y"}), 20);
  CHECK(test.rows(users()) == Strings{"1|b|x", "2|a|y"});
  CHECK(test.position() == position_at(20));
}

TEST_CASE("a row gives its unique value away together with its key") {
  UniqueEmails test;
  test.apply(Operations()
                 .update(users(), {"3", "a", "x"}, {"1", kNull, kNull})
                 .update(users(), {"3", "d", "x"})
                 .insert(users(), {"1", "a", "z"}),
             20);
  CHECK(test.rows(users()) == Strings{"1|a|z", "2|b|y", "3|d|x"});
}

TEST_CASE("a true duplicate is a row error, without the value in it, and nothing of it stays") {
  UniqueEmails test;
  const Error error = error_of([&] {
    test.apply(Operations().insert(items(), {"1", "nut"}).insert(users(), {"3", "a", "geheim"}),
               20);
  });
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.describe(), !Catch::Contains("geheim"));
  test.driver->rollback();
  CHECK(test.rows(users()) == Strings{"1|a|x", "2|b|y"});
  CHECK(test.position() == position_at(10));

  // The connection is usable, and the transaction that fits goes through.
  test.apply(Operations().insert(users(), {"3", "c", "z"}), 20);
  CHECK(test.rows(users()) == Strings{"1|a|x", "2|b|y", "3|c|z"});
}

TEST_CASE("a table that refers to itself is filled and emptied in any order") {
  ContractCase test;
  test.sink->create_table(*nodes(), {.references = {{"parent", nodes()}}});
  SECTION("child first") {
    test.apply(Operations()
                   .insert(nodes(), {"3", "2"})
                   .insert(nodes(), {"2", "1"})
                   .insert(nodes(), {"1", kNull}),
               10);
  }
  SECTION("parent first") {
    test.apply(Operations()
                   .insert(nodes(), {"1", kNull})
                   .insert(nodes(), {"2", "1"})
                   .insert(nodes(), {"3", "2"}),
               10);
  }
  SECTION("in a circle that is broken up in the end") {
    test.apply(Operations()
                   .insert(nodes(), {"1", "3"})
                   .insert(nodes(), {"2", "1"})
                   .insert(nodes(), {"3", "2"})
                   .update(nodes(), {"1", kNull}),
               10);
  }
  CHECK(test.rows(nodes()) == Strings{"1|~", "2|1", "3|2"});

  test.apply(Operations()
                 .erase(nodes(), {"1", kNull}, true)
                 .update(nodes(), {"2", kNull})
                 .erase(nodes(), {"3", kNull}, true)
                 .insert(nodes(), {"1", "2"}),
             20);
  CHECK(test.rows(nodes()) == Strings{"1|2", "2|~"});
}

TEST_CASE("two tables with a foreign key between them are written in any order") {
  ContractCase test;
  test.sink->create_table(*items());
  test.sink->create_table(*lines(), {.references = {{"item", items()}}});
  SECTION("child first") {
    test.apply(Operations().insert(lines(), {"10", "1"}).insert(items(), {"1", "nut"}), 10);
  }
  SECTION("parent first") {
    test.apply(Operations().insert(items(), {"1", "nut"}).insert(lines(), {"10", "1"}), 10);
  }
  SECTION("in portions, child first") {
    test.write(Operations().insert(lines(), {"10", "1"}));
    test.driver->prepare_table(items(), MissingTable::kRefuse);
    test.driver->write(Operations().insert(items(), {"1", "nut"}).all());
    test.driver->commit(mark_at(10));
  }
  CHECK(test.rows(lines()) == Strings{"10|1"});

  // The parent's key changes under the child, and both go in the wrong order.
  test.apply(Operations().update(items(), {"2", "nut"}, {"1", kNull}).update(lines(), {"10", "2"}),
             20);
  CHECK(test.rows(items()) == Strings{"2|nut"});
  CHECK(test.rows(lines()) == Strings{"10|2"});
  test.apply(Operations()
                 .erase(items(), {"2", kNull}, true)
                 .erase(lines(), {"10", kNull}, true)
                 .insert(lines(), {"11", "3"})
                 .insert(items(), {"3", "gear"}),
             30);
  CHECK(test.rows(items()) == Strings{"3|gear"});
  CHECK(test.rows(lines()) == Strings{"11|3"});
  test.apply(Operations().truncate(items()).truncate(lines()), 40);
  CHECK(test.rows(items()).empty());
  CHECK(test.rows(lines()).empty());
}

TEST_CASE("a first copy fills tables with foreign keys in any order") {
  ContractCase test;
  test.sink->create_table(*items());
  test.sink->create_table(*lines(), {.references = {{"item", items()}}});
  test.sink->create_table(*nodes(), {.references = {{"parent", nodes()}}});
  test.copy(Operations()
                .insert(lines(), {"10", "1"})
                .insert(lines(), {"11", "2"})
                .insert(nodes(), {"2", "1"})
                .insert(nodes(), {"1", kNull})
                .insert(items(), {"1", "nut"})
                .insert(items(), {"2", "bolt"}),
            10);
  CHECK(test.rows(lines()) == Strings{"10|1", "11|2"});
  CHECK(test.rows(nodes()) == Strings{"1|~", "2|1"});
}

}  // namespace
}  // namespace headgate::sink_contract
