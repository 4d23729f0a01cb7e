// Rows end up as the source's operations, done one after the other, would leave them.

#include <catch2/catch.hpp>

#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {
namespace {

using TF = TypeFamily;

const auto kOrders = make_table("orders", {{"id", TF::kInteger}, {"state"}, {"doc"}}, {0});
const auto kLines =
    make_table("lines", {{"order_id", TF::kInteger}, {"place", TF::kInteger}, {"what"}}, {0, 1});
const auto kLog = make_table("log", {{"at"}, {"what"}, {"size", TF::kFloat}}, {});

TEST_CASE("inserts, updates and deletes of several tables") {
  Fixture fixture;
  fixture.apply(Operations()
                    .insert(kOrders, {"3", "new", "c"})
                    .insert(kLines, {"3", "1", "nut"})
                    .insert(kOrders, {"-1", "new", "a"})
                    .insert(kLines, {"3", "2", "bolt"})
                    .insert(kLog, {"t1", "made", "1"})
                    .insert(kOrders, {"10", "new", kNull}),
                1);
  fixture.apply(Operations()
                    .update(kOrders, {"3", "paid", "c"})
                    .erase(kLines, {"3", "1", kNull}, true)
                    .insert(kLog, {"t2", "paid", "2"})
                    .erase(kOrders, {"-1", "new", "a"})
                    .update(kOrders, {"3", "sent", "c"}),
                2);
  CHECK(fixture.table("orders") == Strings{"3|'sent'|'c'", "10|'new'|NULL"});
  CHECK(fixture.table("lines") == Strings{"3|2|'bolt'"});
  CHECK(fixture.table("log") == Strings{"'t1'|'made'|1.0", "'t2'|'paid'|2.0"});
  CHECK(fixture.sink->missing_rows() == 0);
}

TEST_CASE("many rows in any order, over several calls of one transaction") {
  Fixture fixture;
  fixture.sink->begin();
  fixture.sink->prepare_table(kOrders, MissingTable::kCreate);
  for (int part = 0; part < 5; ++part) {
    Operations operations;
    for (int i = 0; i < 1000; ++i) {
      const int id = (i * 7919 + part * 1000) % 5000 - 2500;
      operations.insert(kOrders, {std::to_string(id), "part " + std::to_string(part), "x"});
    }
    fixture.sink->write(operations.all());
  }
  fixture.sink->commit(mark_at(1));
  CHECK(fixture.value("SELECT count(DISTINCT id) FROM orders") ==
        fixture.value("SELECT count(*) FROM orders"));
  CHECK(fixture.value("SELECT min(id) >= -2500 AND max(id) < 2500 FROM orders") == "1");
}

TEST_CASE("a row may move to another key, and another row to its old one") {
  Fixture fixture;
  fixture.apply(Operations().insert(kOrders, {"1", "a", "x"}).insert(kOrders, {"2", "b", "y"}), 1);
  fixture.apply(Operations()
                    .update(kOrders, {"99", "a", "x"}, {"1", kNull, kNull})
                    .update(kOrders, {"1", "b", "y"}, {"2", kNull, kNull})
                    .update(kOrders, {"2", "a", "x"}, {"99", kNull, kNull}),
                2);
  CHECK(fixture.table("orders") == Strings{"1|'b'|'y'", "2|'a'|'x'"});
}

// The source did not send the large column: only the row under the old key has it.
TEST_CASE("a row that moves takes along what was not sent") {
  Fixture fixture;
  fixture.apply(Operations().insert(kOrders, {"1", "a", "long"}), 1);
  fixture.apply(Operations()
                    .update(kOrders, {"1", "b", kUnsent})
                    .update(kOrders, {"2", "c", kUnsent}, {"1", kNull, kNull})
                    .update(kOrders, {"2", "d", kUnsent}),
                2);
  CHECK(fixture.table("orders") == Strings{"2|'d'|'long'"});
}

TEST_CASE("columns that were not sent stay as they are") {
  Fixture fixture;
  fixture.apply(
      Operations().insert(kOrders, {"1", "new", "long"}).insert(kOrders, {"2", "new", "L"}), 1);
  fixture.apply(Operations()
                    .update(kOrders, {"1", "paid", kUnsent})
                    .update(kOrders, {"2", kUnsent, "M"})
                    .update(kOrders, {"2", "sent", kUnsent}),
                2);
  CHECK(fixture.table("orders") == Strings{"1|'paid'|'long'", "2|'sent'|'M'"});
  // Nothing at all but the key: no statement, no error, no miss.
  fixture.apply(Operations().update(kOrders, {"1", kUnsent, kUnsent}), 3);
  CHECK(fixture.table("orders").size() == 2);
  CHECK(fixture.sink->missing_rows() == 0);
}

TEST_CASE("rows that are not there are counted, and written where they are known") {
  Fixture fixture;
  fixture.apply(Operations()
                    .update(kOrders, {"1", "new", "known"})
                    .update(kOrders, {"2", "new", kUnsent})
                    .erase(kOrders, {"3", kNull, kNull}, true),
                1);
  CHECK(fixture.table("orders") == Strings{"1|'new'|'known'"});
  CHECK(fixture.sink->missing_rows() == 2);
}

TEST_CASE("TRUNCATE empties the table and leaves what comes after it") {
  Fixture fixture;
  fixture.apply(Operations().insert(kOrders, {"1", "a", "x"}).insert(kLog, {"t1", "a", "1"}), 1);
  fixture.apply(Operations()
                    .insert(kOrders, {"2", "b", "x"})
                    .erase(kOrders, {"1", kNull, kNull}, true)
                    .truncate(kOrders)
                    .truncate(kLog)
                    .insert(kOrders, {"3", "c", "x"})
                    .insert(kLog, {"t2", "b", "2"}),
                2);
  CHECK(fixture.table("orders") == Strings{"3|'c'|'x'"});
  CHECK(fixture.table("log") == Strings{"'t2'|'b'|2.0"});
  CHECK(fixture.sink->missing_rows() == 0);
}

TEST_CASE("of equal rows without a key exactly one is changed or deleted") {
  Fixture fixture;
  fixture.apply(Operations()
                    .insert(kLog, {"t", kNull, "-0"})
                    .insert(kLog, {"t", kNull, "-0"})
                    .insert(kLog, {"t", "", "0.5"})
                    .insert(kLog, {"t", kNull, "-0"}),
                1);
  fixture.apply(Operations()
                    .erase(kLog, {"t", kNull, "-0"})
                    .update(kLog, {"t", "new", "NaN"}, {"t", kNull, "-0"}),
                2);
  CHECK(fixture.rows("SELECT what, size FROM log ORDER BY typeof(what), what") ==
        Strings{"NULL|'-0'", "''|0.5", "'new'|'NaN'"});

  fixture.apply(Operations().erase(kLog, {"other", kNull, "1"}), 3);
  CHECK(fixture.sink->missing_rows() == 1);
}

TEST_CASE("a keyless change without its old row is a row error with a remedy") {
  Fixture fixture;
  const Error error = error_of([&] {
    fixture.apply(Operations().update(kLog, {"t", "a", "1"}), 1);
  });
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.hint(), Catch::Contains("REPLICA IDENTITY FULL"));
}

// To SQLite, NULL in an INTEGER PRIMARY KEY means "choose a number".
TEST_CASE("a NULL in the key is a row error") {
  Fixture fixture;
  const Error error = error_of([&] {
    fixture.apply(Operations().insert(kOrders, {kNull, "a", "x"}), 1);
  });
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.what(), Catch::Contains("table orders, column id: the key is NULL"));
}

// The source enforces its foreign keys; the sink must not do so again, row by row.
TEST_CASE("a table may refer to itself, in any order of rows") {
  Fixture fixture;
  fixture.execute(
      "CREATE TABLE staff (id INTEGER PRIMARY KEY, "
      "boss INTEGER REFERENCES staff (id) ON DELETE CASCADE)");
  const auto staff = make_table("staff", {{"id", TF::kInteger}, {"boss", TF::kInteger}}, {0});
  fixture.apply(Operations().insert(staff, {"5", "9"}).insert(staff, {"9", "5"}), 1);
  CHECK(fixture.table("staff") == Strings{"5|9", "9|5"});
  // The source would have sent the cascade's delete, had there been one.
  fixture.apply(Operations().update(staff, {"5", kNull}).erase(staff, {"9", "5"}), 2);
  CHECK(fixture.table("staff") == Strings{"5|NULL"});
}

TEST_CASE("a conflict is handled as configured") {
  Fixture fixture;
  const auto skip = make_table("t", {{"id", TF::kInteger}, {"v"}}, {0}, OnConflict::kSkip);
  const auto error = make_table("t", {{"id", TF::kInteger}, {"v"}}, {0}, OnConflict::kError);
  fixture.apply(Operations().insert(skip, {"1", "first"}).insert(skip, {"1", "second"}), 1);
  CHECK(fixture.table("t") == Strings{"1|'first'"});
  CHECK(kind_of_error([&] {
          fixture.apply(Operations().insert(error, {"1", "third"}), 2);
        }) == ErrorKind::kRow);
}

TEST_CASE("a first copy appends, and does with older rows what it is told") {
  const auto existing =
      GENERATE(ExistingRows::kRefuse, ExistingRows::kReplace, ExistingRows::kKeep);
  const bool filled = GENERATE(true, false);
  Fixture fixture;
  if (filled) {
    fixture.apply(
        Operations().insert(kOrders, {"1", "old", "x"}).insert(kOrders, {"2", "old", "y"}), 1);
  }
  const auto rows =
      std::move(Operations().insert(kOrders, {"2", "new", "y"}).insert(kOrders, {"3", "new", "z"}));
  const auto copy = [&] {
    fixture.sink->begin();
    fixture.sink->prepare_table(kOrders, MissingTable::kCreate);
    fixture.sink->prepare_copy(*kOrders, existing);
    fixture.sink->copy(rows.all());
    fixture.sink->commit(mark_at(2));
  };
  if (filled && existing == ExistingRows::kRefuse) {
    const Error error = error_of(copy);
    CHECK(error.kind() == ErrorKind::kOperator);
    CHECK_THAT(error.what(), Catch::Contains("table orders") && Catch::Contains("holds rows"));
    CHECK_THAT(error.hint(), Catch::Contains("snapshot.existing"));
    return;
  }
  copy();
  Strings expected{"2|'new'|'y'", "3|'new'|'z'"};
  if (filled && existing == ExistingRows::kKeep) {
    expected.insert(expected.begin(), "1|'old'|'x'");
  }
  CHECK(fixture.table("orders") == expected);
}

}  // namespace
}  // namespace headgate::sink::sqlite::test
