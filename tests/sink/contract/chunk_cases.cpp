// Copies in chunks: rows are gathered beside their tables, and come into them in one transaction.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "contract_case.hpp"

namespace headgate::sink_contract {
namespace {

// A sink whose copy has gathered some rows of `orders`, of `items` and of `journal`.
struct Gathered : ContractCase {
  Gathered() {
    apply(Operations{}, 10);
    for (const SinkConfigPtr& table : {orders(), items(), journal()}) {
      staging.push_back(staging_of(table));
    }
    begin_staging();
    driver->copy_chunk(Operations()
                           .insert(staging[0], {"1", "new", kNull})
                           .insert(staging[0], {"2", "paid", ""})
                           .all(),
                       false);
    driver->copy_chunk(Operations().insert(staging[1], {"1", "nut"}).all(), false);
    driver->copy_chunk(
        Operations().insert(staging[2], {"7", "same"}).insert(staging[2], {"7", "same"}).all(),
        false);
    driver->commit(mark_at(10));  // the position of a chunk may be where the sink stands
  }

  SinkConfigPtr staging_of(const SinkConfigPtr& table) const {
    auto made = std::make_shared<SinkConfig>(*table);
    made->output.name = driver->staging_name(*table);
    return made;
  }

  void begin_staging() const {
    driver->begin();
    for (const SinkConfigPtr& table : staging) {
      driver->prepare_table(table, MissingTable::kCreate);
    }
  }

  void take(ExistingRows existing) const {
    const std::vector<StagedTable> staged{{orders(), staging[0]->output.name, existing},
                                          {items(), staging[1]->output.name, existing},
                                          {journal(), staging[2]->output.name, existing}};
    driver->take_staging(staged);
  }

  std::vector<SinkConfigPtr> staging;
};

TEST_CASE("rows that were gathered come into all their tables with one commit") {
  Gathered test;
  CHECK_FALSE(test.sink->has_table(*orders()));
  test.begin_staging();
  test.take(ExistingRows::kRefuse);
  CHECK_FALSE(test.sink->has_table(*orders()));
  test.driver->commit(mark_at(10));
  CHECK(test.rows(orders()) == Strings{"1|new|~", "2|paid|"});
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.rows(journal()) == Strings{"7|same", "7|same"});
  for (const SinkConfigPtr& table : test.staging) {
    CHECK_FALSE(test.sink->has_table(*table));
  }
  CHECK(test.position() == position_at(10));

  // They are tables as others are.
  test.apply(
      Operations().update(orders(), {"1", "paid", kUnsent}).insert(orders(), {"3", "x", "y"}), 20);
  CHECK(test.rows(orders()) == Strings{"1|paid|~", "2|paid|", "3|x|y"});
}

TEST_CASE("what is gathered outlives the connection, under the same name") {
  Gathered test;
  const TableName before = test.staging[0]->output.name;
  CHECK(test.reconnect().position == position_at(10));
  CHECK(test.driver->staging_name(*orders()) == before);
  CHECK(test.driver->staging_name(*items()) != before);
  test.begin_staging();
  test.driver->copy_chunk(Operations().insert(test.staging[0], {"3", "new", "z"}).all(), false);
  test.take(ExistingRows::kRefuse);
  test.driver->commit(mark_at(20));
  CHECK(test.rows(orders()) == Strings{"1|new|~", "2|paid|", "3|new|z"});
}

TEST_CASE("a chunk that meets rows of its keys writes over them") {
  Gathered test;
  test.begin_staging();
  test.driver->copy_chunk(Operations()
                              .insert(test.staging[0], {"2", "shipped", "b"})
                              .insert(test.staging[0], {"3", "new", "c"})
                              .all(),
                          true);
  test.driver->commit(mark_at(10));
  CHECK(test.rows(test.staging[0]) == Strings{"1|new|~", "2|shipped|b", "3|new|c"});
}

TEST_CASE("changes of the stream are written to what was gathered, as to any table") {
  Gathered test;
  test.begin_staging();
  test.driver->write(Operations()
                         .update(test.staging[0], {"1", "paid", kUnsent})
                         .erase(test.staging[0], {"2", kNull, kNull}, true)
                         .insert(test.staging[0], {"9", "late", ""})
                         .all());
  test.driver->commit(mark_at(20));
  CHECK(test.rows(test.staging[0]) == Strings{"1|paid|~", "9|late|"});
}

TEST_CASE("what is rolled back leaves the gathered rows and the tables as they were") {
  Gathered test;
  test.sink->create_table(*orders());
  test.sink->add_row(*orders(), {"8", "old", "old"});
  test.begin_staging();
  test.take(ExistingRows::kReplace);
  const bool reconnects = GENERATE(true, false);
  if (reconnects) {
    test.reconnect();
  } else {
    test.driver->rollback();
  }
  CHECK(test.rows(orders()) == Strings{"8|old|old"});
  CHECK(test.rows(test.staging[0]) == Strings{"1|new|~", "2|paid|"});
  CHECK_FALSE(test.sink->has_table(*items()));
}

TEST_CASE("rows that a table holds are kept or replaced, as the copy is told") {
  Gathered test;
  test.sink->create_table(*orders());
  test.sink->add_row(*orders(), {"2", "old", "old"});
  test.sink->add_row(*orders(), {"8", "old", "old"});
  const ExistingRows existing = GENERATE(ExistingRows::kKeep, ExistingRows::kReplace);
  test.begin_staging();
  test.take(existing);
  test.driver->commit(mark_at(10));
  CHECK(test.rows(orders()) == (existing == ExistingRows::kKeep
                                    ? Strings{"1|new|~", "2|paid|", "8|old|old"}
                                    : Strings{"1|new|~", "2|paid|"}));
  CHECK_FALSE(test.sink->has_table(*test.staging[0]));
}

TEST_CASE("a table that holds rows is refused before any are gathered, unless told otherwise") {
  ContractCase test;
  test.sink->create_table(*orders());
  test.sink->add_row(*orders(), {"8", "old", "old"});
  test.driver->begin();
  CHECK_NOTHROW(test.driver->check_copy_target(*items(), ExistingRows::kRefuse));  // not there
  CHECK_NOTHROW(test.driver->check_copy_target(*orders(), ExistingRows::kKeep));
  CHECK_NOTHROW(test.driver->check_copy_target(*orders(), ExistingRows::kReplace));
  const Error error =
      error_of([&] { test.driver->check_copy_target(*orders(), ExistingRows::kRefuse); });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("orders"));
}

// A copy that is refused for one table goes on for the others.
TEST_CASE("a table that cannot take a copy is refused, and the transaction goes on") {
  ContractCase test;
  test.apply(Operations{}, 10);
  test.sink->create_table(*items());
  const SinkConfigPtr wider = table_of("items", {{"id", TF::kInteger}, {"name"}, {"colour"}}, {0});
  test.driver->begin();
  test.driver->remember_table(record_of(*items()));
  const Error error =
      error_of([&] { test.driver->check_copy_target(*wider, ExistingRows::kKeep); });
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("colour"));
  test.driver->check_copy_target(*items(), ExistingRows::kKeep);
  test.driver->prepare_table(items(), MissingTable::kRefuse);
  test.driver->write(Operations().insert(items(), {"1", "nut"}).all());
  test.driver->commit(mark_at(20));
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.driver->known_tables() == TableRecords{record_of(*items())});
}

// That a table pauses is committed by itself, where the sink stands.
TEST_CASE("behind an alteration that is refused and rolled back, records can be committed alone") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  test.driver->begin();
  test.driver->write(Operations().insert(items(), {"2", "gone"}).all());
  const Error error = error_of([&] {
    test.driver->alter_table({{"ALTER TABLE no_such_table ADD COLUMN n integer"}, ""});
  });
  CHECK(reaction_to(error.kind()) == Reaction::kStop);
  test.driver->rollback();
  CHECK(test.driver->known_tables().empty());
  TableRecord paused = record_of(*items());
  paused.paused = {"because", "mend it", "0/A", ""};
  test.driver->begin();
  test.driver->remember_table(paused);
  test.driver->commit(mark_at(10));
  CHECK(test.driver->known_tables() == TableRecords{paused});
  CHECK(test.position() == position_at(10));
  test.apply(Operations().insert(items(), {"3", "on"}), 20);
  CHECK(test.rows(items()) == Strings{"1|nut", "3|on"});
  test.reconnect();
  CHECK(test.driver->known_tables() == TableRecords{paused});
}

TEST_CASE("what was gathered can be dropped, and dropping nothing is fine") {
  Gathered test;
  test.driver->begin();
  test.driver->drop_staging(test.staging[0]->output.name);
  test.driver->drop_staging(test.staging[0]->output.name);
  test.driver->commit(mark_at(10));
  CHECK_FALSE(test.sink->has_table(*test.staging[0]));
  CHECK(test.sink->has_table(*test.staging[1]));
}

}  // namespace
}  // namespace headgate::sink_contract
