// Operations have the effect of being done one after the other, however a driver gets there.

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "contract_case.hpp"

namespace headgate::sink_contract {
namespace {

// What must come out the same whether changes come in one call of write(), in many, or in many
// transactions.
enum class Pace { kOneWrite, kOneWriteEach, kOneTransactionEach };

using Steps = std::vector<Operations>;

template <typename... Each>
Steps steps(Each&... each) {
  Steps made;
  (made.push_back(std::move(each)), ...);
  return made;
}

void prepare_all(ContractCase& test, const Steps& all) {
  for (const Operations& step : all) {
    for (const SinkConfigPtr& table : step.tables()) {
      test.driver->prepare_table(table, MissingTable::kCreate);
    }
  }
}

// Applies the steps at the given pace, from position `from` on.
void run(ContractCase& test, Pace pace, const Steps& all, std::uint64_t from) {
  if (pace == Pace::kOneTransactionEach) {
    for (const Operations& step : all) {
      test.apply(step, from++);
    }
    return;
  }
  test.driver->begin();
  prepare_all(test, all);
  std::vector<Sink> together;
  for (const Operations& step : all) {
    if (pace == Pace::kOneWriteEach) {
      test.driver->write(step.all());
    } else {
      together.insert(together.end(), step.all().begin(), step.all().end());
    }
  }
  if (!together.empty()) {
    test.driver->write(together);
  }
  test.driver->commit(mark_at(from));
}

Pace any_pace() {
  const Pace pace = GENERATE(Pace::kOneWrite, Pace::kOneWriteEach, Pace::kOneTransactionEach);
  UNSCOPED_INFO("pace " << static_cast<int>(pace));
  return pace;
}

// A sink whose tables are known to hold something beforehand.
struct Filled : ContractCase {
  Filled() {
    apply(Operations()
              .insert(orders(), {"1", "one", "a"})
              .insert(orders(), {"2", "two", "b"})
              .insert(orders(), {"3", "three", "c"}),
          10);
  }
};

TEST_CASE("later operations on a row win over earlier ones") {
  Filled test;
  auto insert = std::move(Operations().insert(orders(), {"4", "new", "d"}));
  auto pay = std::move(Operations().update(orders(), {"4", "paid", "d"}));
  auto ship = std::move(Operations().update(orders(), {"4", "shipped", "e"}));
  run(test, any_pace(), steps(insert, pay, ship), 20);
  CHECK(test.rows(orders()) == Strings{"1|one|a", "2|two|b", "3|three|c", "4|shipped|e"});
}

TEST_CASE("a row that is deleted and inserted again is there once, as it came last") {
  Filled test;
  auto erase = std::move(Operations().erase(orders(), {"2", kNull, kNull}, true));
  auto again = std::move(Operations().insert(orders(), {"2", "dos", "bb"}));
  auto changed = std::move(Operations().update(orders(), {"2", "dos", "bbb"}));
  run(test, any_pace(), steps(erase, again, changed), 20);
  CHECK(test.rows(orders()) == Strings{"1|one|a", "2|dos|bbb", "3|three|c"});
}

TEST_CASE("a row that comes and goes leaves nothing") {
  Filled test;
  auto insert = std::move(Operations().insert(orders(), {"4", "new", "d"}));
  auto update = std::move(Operations().update(orders(), {"4", "paid", "d"}));
  auto erase = std::move(Operations().erase(orders(), {"4", "paid", "d"}));
  run(test, any_pace(), steps(insert, update, erase), 20);
  CHECK(test.rows(orders()) == Strings{"1|one|a", "2|two|b", "3|three|c"});
}

TEST_CASE("a row moves to another key, and its old key is free again") {
  Filled test;
  auto move = std::move(Operations().update(orders(), {"9", "one", "a"}, {"1", kNull, kNull}));
  auto fill = std::move(Operations().insert(orders(), {"1", "uno", "x"}));
  auto on = std::move(Operations().update(orders(), {"8", "one", "y"}, {"9", kNull, kNull}));
  run(test, any_pace(), steps(move, fill, on), 20);
  CHECK(test.rows(orders()) == Strings{"1|uno|x", "2|two|b", "3|three|c", "8|one|y"});
}

TEST_CASE("two rows change keys by way of a third") {
  Filled test;
  auto away = std::move(Operations().update(orders(), {"7", "one", "a"}, {"1", kNull, kNull}));
  auto over = std::move(Operations().update(orders(), {"1", "two", "b"}, {"2", kNull, kNull}));
  auto back = std::move(Operations().update(orders(), {"2", "one", "a"}, {"7", kNull, kNull}));
  run(test, any_pace(), steps(away, over, back), 20);
  CHECK(test.rows(orders()) == Strings{"1|two|b", "2|one|a", "3|three|c"});
}

TEST_CASE("keys that move along in a row push nobody over") {
  Filled test;
  auto third = std::move(Operations().update(orders(), {"4", "three", "c"}, {"3", kNull, kNull}));
  auto second = std::move(Operations().update(orders(), {"3", "two", "b"}, {"2", kNull, kNull}));
  auto first = std::move(Operations().update(orders(), {"2", "one", "a"}, {"1", kNull, kNull}));
  run(test, any_pace(), steps(third, second, first), 20);
  CHECK(test.rows(orders()) == Strings{"2|one|a", "3|two|b", "4|three|c"});
}

TEST_CASE("columns that the source did not send stay as they are in the sink") {
  Filled test;
  auto state = std::move(Operations().update(orders(), {"1", "uno", kUnsent}));
  auto note = std::move(Operations().update(orders(), {"2", kUnsent, "bb"}));
  auto none = std::move(Operations().update(orders(), {"3", kUnsent, kUnsent}));
  run(test, any_pace(), steps(state, note, none), 20);
  CHECK(test.rows(orders()) == Strings{"1|uno|a", "2|two|bb", "3|three|c"});
}

TEST_CASE("columns that were not sent are those of the newest state of the row") {
  Filled test;
  auto insert = std::move(Operations().insert(orders(), {"4", "new", "d"}));
  auto state = std::move(Operations().update(orders(), {"4", "paid", kUnsent}));
  auto note = std::move(Operations().update(orders(), {"4", kUnsent, "dd"}));
  auto again = std::move(Operations().update(orders(), {"1", "uno", kUnsent}));
  auto twice = std::move(Operations().update(orders(), {"1", kUnsent, "aa"}));
  auto thrice = std::move(Operations().update(orders(), {"1", "ein", kUnsent}));
  run(test, any_pace(), steps(insert, state, note, again, twice, thrice), 20);
  CHECK(test.rows(orders()) == Strings{"1|ein|aa", "2|two|b", "3|three|c", "4|paid|dd"});
}

TEST_CASE("columns that were not sent go along to another key") {
  Filled test;
  auto before = std::move(Operations().update(orders(), {"1", kUnsent, "aa"}));
  auto move = std::move(Operations().update(orders(), {"9", "one", kUnsent}, {"1", kNull, kNull}));
  auto again =
      std::move(Operations().update(orders(), {"8", kUnsent, kUnsent}, {"9", kNull, kNull}));
  auto fill = std::move(Operations().insert(orders(), {"9", "new", "z"}));
  run(test, any_pace(), steps(before, move, again, fill), 20);
  CHECK(test.rows(orders()) == Strings{"2|two|b", "3|three|c", "8|one|aa", "9|new|z"});
}

TEST_CASE("rows change keys with columns that were not sent") {
  Filled test;
  auto away = std::move(Operations().update(orders(), {"7", "one", kUnsent}, {"1", kNull, kNull}));
  auto over = std::move(Operations().update(orders(), {"1", "two", kUnsent}, {"2", kNull, kNull}));
  auto back = std::move(Operations().update(orders(), {"2", "one", kUnsent}, {"7", kNull, kNull}));
  run(test, any_pace(), steps(away, over, back), 20);
  CHECK(test.rows(orders()) == Strings{"1|two|b", "2|one|a", "3|three|c"});
}

TEST_CASE("a truncate stands between what was before it and what comes after") {
  Filled test;
  auto before = std::move(
      Operations().insert(orders(), {"4", "x", "x"}).update(orders(), {"1", "y", kUnsent}));
  auto truncate = std::move(Operations().truncate(orders()));
  auto after = std::move(
      Operations().insert(orders(), {"2", "dos", "b"}).insert(orders(), {"5", "five", "e"}));
  auto update = std::move(Operations().update(orders(), {"5", kUnsent, "ee"}));
  auto other = std::move(Operations().insert(items(), {"1", "nut"}));
  run(test, any_pace(), steps(before, other, truncate, after, update), 20);
  CHECK(test.rows(orders()) == Strings{"2|dos|b", "5|five|ee"});
  CHECK(test.rows(items()) == Strings{"1|nut"});
}

TEST_CASE("a truncate alone empties its table and no other") {
  Filled test;
  test.apply(Operations().insert(items(), {"1", "nut"}).insert(journal(), {"1", "x"}), 20);
  auto truncate = std::move(Operations().truncate(orders()).truncate(journal()));
  auto twice = std::move(Operations().truncate(orders()));
  run(test, any_pace(), steps(truncate, twice), 30);
  CHECK(test.rows(orders()).empty());
  CHECK(test.rows(journal()).empty());
  CHECK(test.rows(items()) == Strings{"1|nut"});
}

TEST_CASE("updates and deletes of rows that are not there do no harm") {
  Filled test;
  auto update = std::move(Operations().update(orders(), {"7", "x", kUnsent}));
  auto erase = std::move(Operations().erase(orders(), {"8", kNull, kNull}, true));
  auto real = std::move(Operations().update(orders(), {"1", "uno", "a"}));
  run(test, any_pace(), steps(update, erase, real), 20);
  CHECK(test.rows(orders()) == Strings{"1|uno|a", "2|two|b", "3|three|c"});
}

TEST_CASE("several tables take turns in one transaction") {
  Filled test;
  Steps all;
  Strings expected;
  for (int i = 0; i < 20; ++i) {
    const std::string id = std::to_string(10 + i);
    all.push_back(std::move(Operations()
                                .insert(items(), {id, "x"})
                                .insert(journal(), {id, "y"})
                                .update(orders(), {"1", id, "a"})
                                .update(items(), {id, "z"})));
    expected.push_back(id + "|z");
  }
  run(test, any_pace(), all, 20);
  CHECK(test.rows(items()) == expected);
  CHECK(test.rows(journal()).size() == 20);
  CHECK(test.rows(orders()) == Strings{"1|29|a", "2|two|b", "3|three|c"});
}

TEST_CASE("a key of several columns is compared as a whole") {
  ContractCase test;
  const auto table = table_of("pairs", {{"v"}, {"a"}, {"b", TF::kInteger}}, {2, 1});
  auto insert = std::move(Operations()
                              .insert(table, {"1", "x", "1"})
                              .insert(table, {"2", "x", "2"})
                              .insert(table, {"3", "y", "1"}));
  auto update = std::move(Operations().update(table, {"4", "x", "2"}));
  auto move = std::move(Operations().update(table, {"5", "y", "2"}, {kNull, "y", "1"}));
  auto erase = std::move(Operations().erase(table, {kNull, "x", "1"}, true));
  run(test, any_pace(), steps(insert, update, move, erase), 10);
  CHECK(test.rows(table) == Strings{"4|x|2", "5|y|2"});
}

TEST_CASE("a table of nothing but its key takes every operation") {
  ContractCase test;
  const auto table = table_of("keys", {{"a", TF::kInteger}, {"b"}}, {0, 1});
  auto insert = std::move(Operations().insert(table, {"1", "x"}).insert(table, {"2", "y"}));
  auto again = std::move(Operations().insert(table, {"1", "x"}).update(table, {"2", "y"}));
  auto move = std::move(Operations().update(table, {"3", "y"}, {"2", "y"}));
  auto erase = std::move(Operations().erase(table, {"1", "x"}));
  run(test, any_pace(), steps(insert, again, move, erase), 10);
  CHECK(test.rows(table) == Strings{"3|y"});
}

// --- Tables without a key ---

TEST_CASE("rows of a table without a key are kept as often as they came") {
  ContractCase test;
  auto first = std::move(Operations().insert(journal(), {"1", "x"}).insert(journal(), {"1", "x"}));
  auto second =
      std::move(Operations().insert(journal(), {kNull, kNull}).insert(journal(), {kNull, kNull}));
  auto third = std::move(Operations().insert(journal(), {"1", "x"}));
  run(test, any_pace(), steps(first, second, third), 10);
  CHECK(test.rows(journal()) == Strings{"1|x", "1|x", "1|x", "~|~", "~|~"});
}

TEST_CASE("an update or delete of a table without a key meets exactly one equal row") {
  ContractCase test;
  if (!test.sink->has(Feature::kKeylessChanges)) {
    SUCCEED("append only");
    return;
  }
  test.apply(Operations()
                 .insert(journal(), {"1", "x"})
                 .insert(journal(), {"1", "x"})
                 .insert(journal(), {"1", "x"})
                 .insert(journal(), {"2", kNull})
                 .insert(journal(), {"2", kNull})
                 .insert(journal(), {"2", ""}),
             10);
  auto erase = std::move(Operations().erase(journal(), {"1", "x"}));
  auto update = std::move(Operations().update(journal(), {"5", "y"}, {"1", "x"}));
  auto null = std::move(Operations().erase(journal(), {"2", kNull}));
  auto missing = std::move(Operations().erase(journal(), {"7", "x"}));
  auto added = std::move(Operations().insert(journal(), {"8", "z"}));
  auto gone = std::move(Operations().erase(journal(), {"8", "z"}));
  run(test, any_pace(), steps(erase, update, null, missing, added, gone), 20);
  CHECK(test.rows(journal()) == Strings{"1|x", "2|", "2|~", "5|y"});
}

TEST_CASE("an update of a table without a key leaves columns alone that were not sent") {
  ContractCase test;
  if (!test.sink->has(Feature::kKeylessChanges)) {
    SUCCEED("append only");
    return;
  }
  test.apply(Operations().insert(journal(), {"1", "x"}).insert(journal(), {"2", "y"}), 10);
  test.apply(Operations().update(journal(), {"3", kUnsent}, {"1", "x"}), 20);
  CHECK(test.rows(journal()) == Strings{"2|y", "3|x"});
}

// --- What an insert does to a row of its key ---

// So many rows that a driver may have a quicker way for them than for a few.
constexpr int kRun = 1200;

std::string padded(int number) {
  return std::to_string(1'000'000 + number);
}

Operations run_of_inserts(int first, int count, const std::string& note) {
  Operations made;
  for (int id = first; id < first + count; ++id) {
    made.insert(orders(), {padded(id), "new", note});
  }
  return made;
}

Strings run_of_rows(int first, int count, const std::string& note) {
  Strings rows;
  for (int id = first; id < first + count; ++id) {
    rows.push_back(padded(id) + "|new|" + note);
  }
  return rows;
}

// What is in the way is overwritten, wherever in the run it is met, by runs that come later too.
TEST_CASE("a long run of inserts does what each of them would, over rows that are there as well") {
  const Pace pace = any_pace();
  ContractCase test;
  Strings expected = run_of_rows(0, 3 * kRun, "a");
  SECTION("into an empty table") {}
  SECTION("over the first row") {
    test.apply(Operations().insert(orders(), {padded(0), "old", "x"}), 5);
  }
  SECTION("over the last row") {
    test.apply(Operations().insert(orders(), {padded(3 * kRun - 1), "old", "x"}), 5);
  }
  SECTION("over every row") {
    test.apply(run_of_inserts(0, 3 * kRun, "x"), 5);
  }
  SECTION("beside others") {
    test.apply(run_of_inserts(3 * kRun, 2, "x"), 5);
    expected.push_back(padded(3 * kRun) + "|new|x");
    expected.push_back(padded(3 * kRun + 1) + "|new|x");
  }
  auto first = run_of_inserts(0, kRun, "a");
  auto second = run_of_inserts(kRun, kRun, "a");
  auto third = run_of_inserts(2 * kRun, kRun, "a");
  run(test, pace, steps(first, second, third), 10);
  CHECK(test.rows(orders()) == expected);
}

TEST_CASE("a key that a long run of inserts has twice is there once, as it came last") {
  ContractCase test;
  auto rows = run_of_inserts(0, kRun, "a");
  rows.insert(orders(), {padded(7), "again", "b"});
  auto more = run_of_inserts(kRun, kRun, "a");
  run(test, any_pace(), steps(rows, more), 10);
  Strings expected = run_of_rows(0, 2 * kRun, "a");
  expected[7] = padded(7) + "|again|b";
  CHECK(test.rows(orders()) == expected);
}

TEST_CASE("a long run of inserts among other operations keeps its place") {
  ContractCase test;
  test.apply(Operations().insert(orders(), {padded(3), "old", "x"}), 5);
  auto before = std::move(
      Operations().erase(orders(), {padded(3), kNull, kNull}, true).insert(items(), {"1", "nut"}));
  auto rows = run_of_inserts(0, kRun, "a");
  auto after = std::move(Operations()
                             .update(orders(), {padded(1), "paid", kUnsent})
                             .erase(orders(), {padded(2), kNull, kNull}, true));
  run(test, any_pace(), steps(before, rows, after), 10);
  Strings expected = run_of_rows(0, kRun, "a");
  expected[1] = padded(1) + "|paid|a";
  expected.erase(expected.begin() + 2);
  CHECK(test.rows(orders()) == expected);
  CHECK(test.rows(items()) == Strings{"1|nut"});
}

TEST_CASE(
    "a row that no sink can take spoils the whole transaction, also at the end of a long run") {
  ContractCase test;
  test.sink->create_table(*orders());
  test.apply(Operations().insert(orders(), {"1", "old", "x"}), 5);
  auto rows = run_of_inserts(0, kRun, "a");
  rows.insert(orders(), {"geheim", "new", "b"});
  const Error error = error_of([&] { test.apply(rows, 10); });
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.describe(), !Catch::Contains("geheim"));
  test.driver->rollback();
  CHECK(test.rows(orders()) == Strings{"1|old|x"});
  CHECK(test.position() == position_at(5));
  test.apply(run_of_inserts(0, kRun, "a"), 10);
  CHECK(test.rows(orders()).size() == kRun + 1);
}

TEST_CASE("a long run of rows without a key is kept as often as it came") {
  ContractCase test;
  auto rows = std::move(Operations());
  for (int i = 0; i < kRun; ++i) {
    rows.insert(journal(), {std::to_string(i % 10), "x"});
  }
  run(test, any_pace(), steps(rows), 10);
  CHECK(test.rows(journal()).size() == kRun);
}

TEST_CASE("an insert over a row of the same key overwrites, skips or fails as configured") {
  ContractCase test;
  const OnConflict rule = GENERATE(OnConflict::kOverwrite, OnConflict::kSkip, OnConflict::kError);
  const auto table = table_of("results", {{"id", TF::kInteger}, {"v"}}, {0}, rule);
  test.apply(Operations().insert(table, {"1", "old"}), 10);
  const auto conflict = std::move(Operations()
                                      .insert(table, {"0", "new"})
                                      .insert(table, {"1", "new"})
                                      .insert(table, {"2", "new"}));
  switch (rule) {
    case OnConflict::kOverwrite:
      test.apply(conflict, 20);
      CHECK(test.rows(table) == Strings{"0|new", "1|new", "2|new"});
      break;
    case OnConflict::kSkip:
      test.apply(conflict, 20);
      CHECK(test.rows(table) == Strings{"0|new", "1|old", "2|new"});
      break;
    case OnConflict::kError:
      CHECK(kind_of_error([&] { test.apply(conflict, 20); }) == ErrorKind::kRow);
      test.driver->rollback();
      CHECK(test.rows(table) == Strings{"1|old"});
      CHECK(test.position() == position_at(10));
      break;
  }
}

TEST_CASE("with skip, the first row of a key stays, also within one transaction") {
  ContractCase test;
  const auto table = table_of("results", {{"id", TF::kInteger}, {"v"}}, {0}, OnConflict::kSkip);
  auto first = std::move(Operations().insert(table, {"1", "first"}));
  auto second = std::move(Operations().insert(table, {"1", "second"}));
  auto gone = std::move(Operations().insert(table, {"2", "x"}).erase(table, {"2", kNull}, true));
  auto fresh = std::move(Operations().insert(table, {"2", "fresh"}));
  run(test, any_pace(), steps(first, second, gone, fresh), 10);
  CHECK(test.rows(table) == Strings{"1|first", "2|fresh"});
}

}  // namespace
}  // namespace headgate::sink_contract
