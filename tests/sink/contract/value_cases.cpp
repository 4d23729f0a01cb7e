// Names and values come through as they are (I9), whatever SQL would make of them.

#include <string>
#include <utility>
#include <vector>

#include "contract_case.hpp"

namespace headgate::sink_contract {
namespace {

TEST_CASE("names may be anything that the source allows") {
  const TableName name = GENERATE(values<TableName>({{"live", "select"},
                                                     {"order", "table"},
                                                     {"Live Data", "Upper Case"},
                                                     {"a\"b", "c\"\"d"},
                                                     {"it's", "o'clock"},
                                                     {"live;", "t; DROP TABLE items; --"},
                                                     {"%s%n", "100%{}"},
                                                     {"größe", "таблица 表 🚰"},
                                                     {"dots.in", "the.name"},
                                                     {"back\\slash", "tab\tand\nline"},
                                                     {"$1", "?1:x@y"}}));
  CAPTURE(name.schema, name.table);
  ContractCase test;
  const auto table = sink_test::make_table(name,
                                           {{"order", TF::kInteger},
                                            {"a\"b"},
                                            {"semi;colon"},
                                            {"100%"},
                                            {"größe"},
                                            {"Upper Case"},
                                            {"o'clock"},
                                            {"$1"},
                                            {"c0"},
                                            {"t"},
                                            {"excluded"}},
                                           {0, 1});
  const Cells first = {"1", "k", "a", "b", "c", "d", "e", "f", "g", "h", "i"};
  const Cells second = {"2", "k", "A", "B", "C", "D", "E", "F", "G", "H", "I"};
  test.copy(Operations().insert(table, first), 10);
  CHECK(test.rows(table) == Strings{"1|k|a|b|c|d|e|f|g|h|i"});
  // By way of every kind of statement, also after a reconnect, which finds the table there.
  test.reconnect();
  test.apply(
      Operations()
          .insert(table, second)
          .update(table, {"1", "k", "x", "b", "c", "d", "e", "f", "g", "h", "i"})
          .update(table, {"2", "k", kUnsent, "y", kUnsent, kUnsent, kUnsent, kUnsent, kUnsent,
                          kUnsent, kUnsent})
          .update(table,
                  {"3", "l", kUnsent, kUnsent, kUnsent, kUnsent, kUnsent, kUnsent, kUnsent, kUnsent,
                   "z"},
                  {"2", "k", kNull, kNull, kNull, kNull, kNull, kNull, kNull, kNull, kNull})
          .erase(table, {"1", "k", kNull, kNull, kNull, kNull, kNull, kNull, kNull, kNull, kNull},
                 true),
      20);
  CHECK(test.rows(table) == Strings{"3|l|A|y|C|D|E|F|G|H|z"});
  test.apply(Operations().truncate(table), 30);
  CHECK(test.rows(table).empty());
}

TEST_CASE("names that differ only by case are two tables where the database tells them apart") {
  ContractCase test;
  const auto lower = table_of("mixed", {{"id", TF::kInteger}, {"v"}}, {0});
  const auto upper = table_of("Mixed", {{"id", TF::kInteger}, {"v"}}, {0});
  const auto both = std::move(Operations().insert(lower, {"1", "l"}).insert(upper, {"1", "u"}));
  if (!test.sink->has(Feature::kCaseSensitiveNames)) {
    // One table for both would be the end of both.
    CHECK(kind_of_error([&] { test.apply(both, 10); }) == ErrorKind::kOperator);
    return;
  }
  test.apply(both, 10);
  CHECK(test.rows(lower) == Strings{"1|l"});
  CHECK(test.rows(upper) == Strings{"1|u"});
}

// One row in each of two tables, by way of copy(), write() and every kind of statement.
void check_text(ContractCase& test, const std::string& text) {
  CAPTURE(text);
  const auto table = table_of("texts", {{"k"}, {"v"}}, {0});
  const auto log = table_of("texts_log", {{"v"}}, {});
  test.copy(Operations().insert(table, {text, text}).insert(log, {text}), 10,
            ExistingRows::kReplace);
  CHECK(test.rows(table) == Strings{text + "|" + text});
  CHECK(test.rows(log) == Strings{text});
  test.apply(Operations().erase(table, {text, kNull}, true).insert(log, {text}), 20);
  CHECK(test.rows(table).empty());
  CHECK(test.rows(log) == Strings{text, text});
  test.apply(Operations().insert(table, {text, "x"}), 30);
  test.apply(Operations().update(table, {text, text}), 40);
  CHECK(test.rows(table) == Strings{text + "|" + text});
  test.apply(Operations().update(table, {"k", kUnsent}, {text, kNull}), 50);
  CHECK(test.rows(table) == Strings{"k|" + text});
}

TEST_CASE("text comes through as it is") {
  ContractCase test;
  for (const std::string text : {"",
                                 " ",
                                 "  both ends  ",
                                 "'",
                                 "''",
                                 "\"",
                                 "\\",
                                 "\\N",
                                 "\\.",
                                 "\\x41",
                                 "NULL",
                                 "null",
                                 "{a,b}",
                                 "{\"a\",NULL}",
                                 "a\tb\nc\rd\x01\x7f",
                                 "1e5",
                                 "0012",
                                 "-0",
                                 "%s %1$n",
                                 "$1 ?1 :a @b",
                                 "'; DROP TABLE texts; --"}) {
    check_text(test, text);
  }
}

// Combining and right-to-left marks, a byte order mark, non-characters, and every plane that has
// characters.
TEST_CASE("every plane of Unicode comes through as it is") {
  ContractCase test;
  for (const std::string text : {"e\u0301 \u00e9", "Ω жа 漢 ع", "\u200F\u202E", "\uFEFFbom",
                                 "\uFFFD\uFFFF", "\U0001F6B0", "\U00010000\U0001D11E", "\U0002F800",
                                 "\U00031350", "\U000E0041", "\U000FFFFF", "\U0010FFFF"}) {
    check_text(test, text);
  }
}

// PostgreSQL cannot have such a key in an index, so this is for values only.
TEST_CASE("a value of a mebibyte comes through") {
  ContractCase test;
  const auto table = table_of("large", {{"id", TF::kInteger}, {"v"}, {"w"}}, {0});
  std::string large;
  while (large.size() < 1024 * 1024) {
    large += "größe \\ '\" \t" + std::to_string(large.size() * 2654435761U);
  }
  test.copy(Operations().insert(table, {"1", large, "a"}).insert(table, {"2", "b", large}), 10);
  CHECK((test.rows(table) == Strings{"1|" + large + "|a", "2|b|" + large}));
  test.apply(Operations()
                 .insert(table, {"3", large, large})
                 .update(table, {"1", kUnsent, "aa"})
                 .update(table, {"4", "bb", kUnsent}, {"2", kNull, kNull}),
             20);
  CHECK((test.rows(table) ==
         Strings{"1|" + large + "|aa", "3|" + large + "|" + large, "4|bb|" + large}));
}

TEST_CASE("NULL and the empty string are two values") {
  ContractCase test;
  test.copy(Operations().insert(orders(), {"1", "", kNull}).insert(orders(), {"2", kNull, ""}), 10);
  CHECK(test.rows(orders()) == Strings{"1||~", "2|~|"});
  test.apply(Operations()
                 .update(orders(), {"1", kNull, ""})
                 .update(orders(), {"2", "", kUnsent})
                 .insert(orders(), {"3", "", kNull}),
             20);
  CHECK(test.rows(orders()) == Strings{"1|~|", "2||", "3||~"});
  test.apply(Operations().update(orders(), {"4", kUnsent, kUnsent}, {"3", kNull, kNull}), 30);
  CHECK(test.rows(orders()) == Strings{"1|~|", "2||", "4||~"});
}

TEST_CASE("plain values of each family keep their meaning") {
  ContractCase test;
  const auto table = table_of("families",
                              {{"id", TF::kInteger},
                               {"flag", TF::kBoolean},
                               {"amount", TF::kNumeric},
                               {"bytes", TF::kBytes},
                               {"day", TF::kDate},
                               {"at", TF::kTimestamp},
                               {"uuid", TF::kUuid}},
                              {0});
  const Cells full = {"-2147483648",
                      "t",
                      "12345678901234567890.0100",
                      "\\x00ff27",
                      "2024-02-29",
                      "2024-02-29 23:59:59.999999",
                      "0b5ec0de-0000-4000-8000-000000000001"};
  const Cells bare = {"2147483647",          "f",  "-0.10", "\\x", "0001-01-01",
                      "9999-12-31 00:00:00", kNull};
  const Strings expected = {
      "-2147483648|t|12345678901234567890.0100|\\x00ff27|2024-02-29|2024-02-29 23:59:59.999999|"
      "0b5ec0de-0000-4000-8000-000000000001",
      "2147483647|f|-0.10|\\x|0001-01-01|9999-12-31 00:00:00|~"};
  if (GENERATE(true, false)) {
    test.copy(Operations().insert(table, full).insert(table, bare), 10);
  } else {
    test.apply(Operations().insert(table, full).insert(table, bare), 10);
  }
  CHECK(test.rows(table) == expected);
}

TEST_CASE("a row of 200 columns comes through, also with a few of them unsent") {
  ContractCase test;
  std::vector<TestColumn> columns{{"id", TF::kInteger}};
  Cells row{"1"};
  Cells some{"1"};
  std::string expected = "1";
  std::string expected_some = "1";
  for (int i = 1; i < 200; ++i) {
    columns.push_back({"column " + std::to_string(i)});
    row.emplace_back("value " + std::to_string(i));
    some.push_back(i % 7 == 0 ? Cell("new") : kUnsent);
    expected += "|value " + std::to_string(i);
    expected_some += i % 7 == 0 ? "|new" : "|value " + std::to_string(i);
  }
  const auto table = table_of("wide", columns, {0});
  test.copy(Operations().insert(table, row), 10);
  CHECK(test.rows(table) == Strings{expected});
  test.apply(Operations().update(table, some), 20);
  CHECK(test.rows(table) == Strings{expected_some});
  test.apply(Operations().truncate(table).insert(table, row), 30);
  CHECK(test.rows(table) == Strings{expected});
}

TEST_CASE("thousands of rows in one call arrive all") {
  ContractCase test;
  constexpr int kRows = 5000;
  Operations insert;
  Operations change;
  for (int i = 0; i < kRows; ++i) {
    const std::string id = std::to_string(100000 + i);
    insert.insert(items(), {id, "x"}).insert(journal(), {id, "x"});
    if (i % 3 == 0) {
      change.erase(items(), {id, kNull}, true);
    } else {
      change.update(items(), {id, "y"});
    }
  }
  test.apply(insert, 10);
  test.apply(change, 20);
  CHECK(test.rows(journal()).size() == kRows);
  const Strings found = test.rows(items());
  CHECK(found.size() == kRows - (kRows + 2) / 3);
  CHECK(found.front() == "100001|y");
  CHECK(found.back() == "104999|y");
}

// --- Rows that do not fit ---

TEST_CASE("a value that its column cannot hold is a row error that does not show it") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  const Error error = error_of([&] {
    test.apply(Operations().insert(items(), {"2", "bolt"}).insert(items(), {"geheim", "x"}), 20);
  });
  CHECK(error.kind() == ErrorKind::kRow);
  CHECK_THAT(error.describe(), !Catch::Contains("geheim"));
  test.driver->rollback();
  CHECK(test.rows(items()) == Strings{"1|nut"});
  CHECK(test.position() == position_at(10));
  // No new connection is needed to go on without it.
  test.apply(Operations().insert(items(), {"2", "bolt"}), 20);
  CHECK(test.rows(items()) == Strings{"1|nut", "2|bolt"});
}

TEST_CASE("a NULL in a key is a row error") {
  ContractCase test;
  test.apply(Operations().insert(items(), {"1", "nut"}), 10);
  CHECK(kind_of_error([&] {
          test.apply(Operations().insert(items(), {kNull, "bolt"}), 20);
        }) == ErrorKind::kRow);
  test.driver->rollback();
  CHECK(test.rows(items()) == Strings{"1|nut"});
}

TEST_CASE("a row that does not fit fails a first copy as a whole") {
  ContractCase test;
  CHECK(kind_of_error([&] {
          test.copy(Operations().insert(items(), {"1", "nut"}).insert(items(), {"zwei", "x"}), 10);
        }) == ErrorKind::kRow);
  test.driver->rollback();
  CHECK_FALSE(test.sink->has_table(*items()));
  CHECK(test.position().empty());
  test.copy(Operations().insert(items(), {"1", "nut"}), 10);
  CHECK(test.rows(items()) == Strings{"1|nut"});
}

}  // namespace
}  // namespace headgate::sink_contract
