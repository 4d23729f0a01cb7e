// First copies, tables that are missing, and tables of another shape.

#include <string>
#include <utility>

#include "contract_case.hpp"

namespace headgate::sink_contract {
namespace {

TEST_CASE("a first copy arrives whole, with its position and its empty tables") {
  ContractCase test;
  test.driver->begin();
  for (const SinkConfigPtr& table : {orders(), items(), journal()}) {
    test.driver->prepare_table(table, MissingTable::kCreate);
    test.driver->prepare_copy(*table, ExistingRows::kRefuse);
  }
  test.driver->copy(Operations()
                        .insert(orders(), {"1", "new", kNull})
                        .insert(items(), {"1", "nut"})
                        .insert(orders(), {"2", "paid", ""})
                        .all());
  test.driver->keep_alive();
  test.driver->copy(Operations().insert(orders(), {"3", "new", "x"}).all());
  CHECK_FALSE(test.sink->has_table(*orders()));
  CHECK(test.position().empty());
  test.driver->commit(mark_at(10));
  CHECK(test.rows(orders()) == Strings{"1|new|~", "2|paid|", "3|new|x"});
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.sink->has_table(*journal()));
  CHECK(test.position() == position_at(10));

  // Changes follow on the same connection.
  test.apply(Operations().update(orders(), {"1", "paid", kUnsent}).insert(journal(), {"1", "x"}),
             20);
  CHECK(test.rows(orders()) == Strings{"1|paid|~", "2|paid|", "3|new|x"});
}

TEST_CASE("a copy that ends half way leaves nothing, and the next one starts afresh") {
  ContractCase test;
  test.driver->begin();
  test.driver->prepare_table(items(), MissingTable::kCreate);
  test.driver->prepare_copy(*items(), ExistingRows::kRefuse);
  test.driver->copy(Operations().insert(items(), {"1", "nut"}).all());
  const bool reconnects = GENERATE(true, false);
  if (reconnects) {
    CHECK(test.reconnect().position.empty());
  } else {
    test.driver->rollback();
  }
  CHECK_FALSE(test.sink->has_table(*items()));
  test.copy(Operations().insert(items(), {"1", "nut"}).insert(items(), {"2", "bolt"}), 10);
  CHECK(test.rows(items()) == Strings{"1|nut", "2|bolt"});
}

struct Occupied : ContractCase {
  Occupied() {
    for (const SinkConfigPtr& table : {items(), journal()}) {
      sink->create_table(*table);
      sink->add_row(*table, {"1", "old"});
      sink->add_row(*table, {"2", "old"});
    }
  }
};

TEST_CASE("rows that were there before the first copy are refused") {
  Occupied test;
  const SinkConfigPtr& table = GENERATE(0, 1) == 0 ? items() : journal();
  const Error error = error_of([&] { test.copy(Operations().insert(table, {"1", "new"}), 10); });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains(table->output.name.table));
  CHECK_THAT(error.hint(), Catch::Contains("replace") && Catch::Contains("keep"));
  test.driver->rollback();
  CHECK(test.rows(table) == Strings{"1|old", "2|old"});
  CHECK(test.position().empty());
}

TEST_CASE("rows that were there before the first copy are replaced") {
  Occupied test;
  test.copy(Operations().insert(items(), {"1", "new"}).insert(journal(), {"1", "new"}), 10,
            ExistingRows::kReplace);
  CHECK(test.rows(items()) == Strings{"1|new"});
  CHECK(test.rows(journal()) == Strings{"1|new"});
}

TEST_CASE("rows that were there are still there when the copy that replaces them fails") {
  Occupied test;
  test.driver->begin();
  test.driver->prepare_table(items(), MissingTable::kCreate);
  test.driver->prepare_copy(*items(), ExistingRows::kReplace);
  test.driver->copy(Operations().insert(items(), {"1", "new"}).all());
  test.driver->rollback();
  CHECK(test.rows(items()) == Strings{"1|old", "2|old"});
}

TEST_CASE("rows that were there before the first copy are kept, and overwritten by key") {
  Occupied test;
  test.copy(Operations()
                .insert(items(), {"1", "new"})
                .insert(items(), {"3", "new"})
                .insert(journal(), {"1", "new"}),
            10, ExistingRows::kKeep);
  CHECK(test.rows(items()) == Strings{"1|new", "2|old", "3|new"});
  CHECK(test.rows(journal()) == Strings{"1|new", "1|old", "2|old"});
}

TEST_CASE("an empty table that was there takes a first copy, whatever is said of its rows") {
  ContractCase test;
  test.sink->create_table(*items());
  const auto existing =
      GENERATE(ExistingRows::kRefuse, ExistingRows::kReplace, ExistingRows::kKeep);
  test.copy(Operations().insert(items(), {"1", "nut"}), 10, existing);
  CHECK(test.rows(items()) == Strings{"1|nut"});
}

TEST_CASE("a missing table is created, or refused by name") {
  ContractCase test;
  test.driver->begin();
  const Error error =
      error_of([&] { test.driver->prepare_table(orders(), MissingTable::kRefuse); });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("orders"));
  CHECK_FALSE(error.hint().empty());
  test.reconnect();
  CHECK_FALSE(test.sink->has_table(*orders()));

  test.driver->begin();
  test.driver->prepare_table(orders(), MissingTable::kCreate);
  test.driver->commit(mark_at(10));
  CHECK(test.sink->has_table(*orders()));

  // From now on it is there.
  test.reconnect();
  test.driver->begin();
  test.driver->prepare_table(orders(), MissingTable::kRefuse);
  test.driver->write(Operations().insert(orders(), {"1", "new", "a"}).all());
  test.driver->commit(mark_at(20));
  CHECK(test.rows(orders()) == Strings{"1|new|a"});
}

TEST_CASE("a table that was dropped between two connections is not quietly made anew") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.driver->disconnect();
  test.sink->drop_table(*items());
  connect_when_free(*test.driver);
  test.driver->begin();
  CHECK(kind_of_error([&] { test.driver->prepare_table(items(), MissingTable::kRefuse); }) ==
        ErrorKind::kOperator);
  test.driver->rollback();
  CHECK_FALSE(test.sink->has_table(*items()));
}

TEST_CASE("preparing a table again changes nothing") {
  ContractCase test;
  test.driver->begin();
  test.driver->prepare_table(items(), MissingTable::kCreate);
  test.driver->prepare_table(items(), MissingTable::kCreate);
  test.driver->write(Operations().insert(items(), {"1", "nut"}).all());
  test.driver->prepare_table(items(), MissingTable::kRefuse);
  test.driver->write(Operations().insert(items(), {"2", "bolt"}).all());
  test.driver->commit(mark_at(10));
  test.apply(Operations().insert(items(), {"3", "gear"}), 20);
  CHECK(test.rows(items()) == Strings{"1|nut", "2|bolt", "3|gear"});
}

TEST_CASE("a table of another shape is refused before a row is written") {
  ContractCase test;
  SECTION("a column is missing") {
    test.sink->create_table(*table_of("orders", {{"id", TF::kInteger}, {"state"}}, {0}));
  }
  SECTION("a column has a type that would change values") {
    test.sink->create_table(
        *table_of("orders", {{"id", TF::kInteger}, {"state", TF::kInteger}, {"note"}}, {0}));
  }
  SECTION("it has no key") {
    test.sink->create_table(*table_of("orders", {{"id", TF::kInteger}, {"state"}, {"note"}}, {}));
  }
  SECTION("it has another key") {
    test.sink->create_table(
        *table_of("orders", {{"id", TF::kInteger}, {"state"}, {"note"}}, {0, 1}));
  }
  SECTION("it wants a column that the source does not have") {
    test.sink->create_table(*table_of(
        "orders", {{"id", TF::kInteger}, {"state"}, {"note"}, {"more", TF::kText, false}}, {0}));
  }
  const Error error = error_of([&] {
    test.apply(Operations().insert(orders(), {"1", "new", "a"}), 10);
  });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("orders"));
  CHECK_FALSE(error.hint().empty());
  test.driver->rollback();
  CHECK(test.sink->rows(*table_of("orders", {{"id", TF::kInteger}}, {0})).empty());
  CHECK(test.position().empty());
}

TEST_CASE("columns may stand in another order in the sink") {
  ContractCase test;
  test.sink->create_table(*table_of("orders", {{"note"}, {"id", TF::kInteger}, {"state"}}, {1}));
  test.copy(Operations().insert(orders(), {"1", "new", "a"}), 10);
  test.apply(Operations()
                 .insert(orders(), {"2", "new", "b"})
                 .update(orders(), {"1", "paid", kUnsent})
                 .update(orders(), {"3", "new", kUnsent}, {"2", kNull, kNull}),
             20);
  CHECK(test.rows(orders()) == Strings{"1|paid|a", "3|new|b"});
}

}  // namespace
}  // namespace headgate::sink_contract
