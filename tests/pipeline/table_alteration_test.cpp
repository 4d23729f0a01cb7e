#include "pipeline/table_alteration.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "altered_table.hpp"

namespace headgate::pipeline_test {
namespace {

using Steps = std::vector<std::pair<std::string, std::string>>;

TableAlteration altered(const std::vector<Column>& before, const std::vector<Column>& now) {
  return compare(record_of(described(before)), described(now));
}

std::string lower(const std::string& name) {
  std::string form = name;
  std::transform(form.begin(), form.end(), form.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return form;
}

// forget_done() for a sink's table that has `there`, and what is left to do in words.
std::string left_to_do(const std::vector<Column>& before, const std::vector<Column>& now,
                       const std::set<std::string>& there) {
  const SinkConfig config = described(now);
  TableAlteration todo = compare(record_of(described(before)), config);
  todo.forget_done(config, [&](const std::string& name) { return there.contains(name); });
  std::string words;
  for (const std::string& name : todo.dropped) {
    words += "drop " + name + "; ";
  }
  for (const auto& [from, to] : todo.rename_steps(config)) {
    words += from + " to " + to + "; ";
  }
  for (const std::size_t place : todo.added) {
    words += "add " + config.output.columns[place].name + "; ";
  }
  for (const std::size_t place : todo.present) {
    words += "look at " + config.output.columns[place].name + "; ";
  }
  return words;
}

TEST_CASE("columns are told apart by the source's ids, whatever they are called") {
  const SinkConfig now =
      described({column("id", 1), column("y", 2), column("x", 3, "text"), column("c", 5)});
  const TableAlteration alteration = compare(
      record_of(described({column("id", 1), column("x", 2), column("y", 3), column("d", 4)})), now);
  CHECK(alteration.describe(now) ==
        "column d dropped, column x renamed to y, column y renamed to x, column x changed from "
        "integer to text, column c integer added");
  CHECK(alteration.doubt.empty());
}

TEST_CASE("the same columns in another place, nullable or not, are no alteration") {
  std::vector<Column> now{column("b", 2), column("id", 1)};
  now[0].nullable = false;
  CHECK(compare(record_of(described({column("id", 1), column("b", 2)})), described(now, {1}))
            .empty());
}

TEST_CASE("a source without ids is compared by names") {
  const TableAlteration added = altered({column("id", 0)}, {column("id", 0), column("b", 0)});
  CHECK(added.added == std::vector<std::size_t>{1});
  CHECK(added.doubt.empty());
  // Dropped and added, or renamed: nobody knows.
  CHECK_FALSE(
      altered({column("id", 0), column("a", 0)}, {column("id", 0), column("b", 0)}).doubt.empty());
}

TEST_CASE("the key is its columns, not their names") {
  const TableRecord before = record_of(described({column("id", 1), column("b", 2)}, {0, 1}));
  CHECK_FALSE(compare(before, described({column("id", 1), column("bb", 2)}, {0, 1})).key_changed);
  CHECK(compare(before, described({column("id", 1), column("b", 2)}, {1, 0})).key_changed);
  CHECK(compare(before, described({column("id", 1), column("b", 2)}, {0})).key_changed);
  CHECK(compare(before, described({column("id", 1), column("b", 2)}, {})).key_changed);
  CHECK(compare(before, described({column("id", 1), column("b", 3)}, {0, 1})).key_changed);
}

// Were it paired by name, the values of one column would go into the other.
TEST_CASE("a column without an id is not paired with one whose id another column has") {
  const TableSchema before = described({column("id", 1), column("x", 2)}).output;
  const TableSchema now = described({column("id", 1), column("x", 0), column("y", 2)}).output;
  CHECK(pair_columns(before, now) == std::vector<std::optional<std::size_t>>{0, 2});
}

TEST_CASE("what the source cannot say leaves a doubt") {
  const std::vector<Column> before{column("id", 1), column("a", 2), column("b", 3)};
  SECTION("a column that was known, and is not any more") {
    const auto alteration = altered(before, {column("id", 1), column("a", 2), column("b", 0)});
    CHECK_FALSE(alteration.doubt.empty());
    CHECK_FALSE(alteration.empty());
  }
  SECTION("one went, another came, and it has no id") {
    CHECK_FALSE(altered(before, {column("id", 1), column("a", 2), column("c", 0)}).doubt.empty());
  }
  SECTION("dropped and added again: rows from before and after look the same") {
    CHECK_FALSE(altered(before, {column("id", 1), column("a", 2), column("b", 4)}).doubt.empty());
    CHECK(altered(before, {column("id", 1), column("a", 2), column("b", 4, "text")}).doubt.empty());
  }
  SECTION("a column that is older than the newest: it was there, and was not sent") {
    CHECK_FALSE(altered({column("id", 1), column("b", 3)}, before).doubt.empty());
  }
  SECTION("a column that is new only without an id") {
    CHECK(altered(before, {column("id", 1), column("a", 2), column("b", 3), column("c", 0)})
              .doubt.empty());
  }
  SECTION("a record without ids is made good by the next description") {
    const auto alteration =
        altered({column("id", 0), column("b", 0)}, {column("id", 1), column("b", 3)});
    CHECK(alteration.empty());
  }
}

TEST_CASE("renames never meet a name in use") {
  const auto steps = [](const std::vector<Column>& before, const std::vector<Column>& now,
                        const NameForm& form) {
    const SinkConfig config = described(now);
    return compare(record_of(described(before)), config).rename_steps(config, form);
  };
  const std::vector<Column> three{column("id", 1), column("a", 2), column("b", 3)};
  CHECK(steps(three, {column("id", 1), column("b", 2), column("c", 3)}, as_it_is) ==
        Steps{{"b", "c"}, {"a", "b"}});
  CHECK(steps(three, {column("id", 1), column("b", 2), column("a", 3)}, as_it_is) ==
        Steps{{"a", "headgate_0"}, {"b", "a"}, {"headgate_0", "b"}});
  // Where upper and lower case are one, so are these circles.
  CHECK(steps(three, {column("id", 1), column("B", 2), column("A", 3)}, lower) ==
        Steps{{"a", "headgate_0"}, {"b", "A"}, {"headgate_0", "B"}});
  CHECK(steps(three, {column("id", 1), column("A", 2), column("b", 3)}, lower) ==
        Steps{{"a", "A"}});
  // The name that steps aside is nobody's.
  CHECK(steps({column("id", 1), column("a", 2), column("b", 3), column("headgate_0", 4)},
              {column("id", 1), column("b", 2), column("a", 3), column("headgate_0", 4)},
              as_it_is) == Steps{{"a", "headgate_1"}, {"b", "a"}, {"headgate_1", "b"}});
}

TEST_CASE("what somebody has done in the sink already is not done again") {
  const std::vector<Column> before{column("id", 1), column("a", 2), column("b", 3)};
  SECTION("nothing yet") {
    CHECK(left_to_do(before, {column("id", 1), column("b", 2), column("c", 4)}, {"id", "a", "b"}) ==
          "drop b; a to b; add c; ");
  }
  // Dropping b now would drop the values of a.
  SECTION("all of it: the new b is the old a") {
    CHECK(left_to_do(before, {column("id", 1), column("b", 2)}, {"id", "b"}) == "");
    CHECK(left_to_do(before, {column("id", 1), column("b", 2), column("c", 4)}, {"id", "b", "c"}) ==
          "look at c; ");
  }
  SECTION("the rename, and not yet the new column") {
    CHECK(left_to_do(before, {column("id", 1), column("b", 2), column("c", 4)}, {"id", "b"}) ==
          "add c; ");
  }
  SECTION("only the drop") {
    CHECK(left_to_do(before, {column("id", 1), column("a", 2), column("c", 4)}, {"id", "a"}) ==
          "add c; ");
  }
  SECTION("only the new column") {
    CHECK(left_to_do(before, {column("id", 1), column("a", 2), column("c", 4)},
                     {"id", "a", "b", "c"}) == "drop b; look at c; ");
  }
  SECTION("names that go round tell nothing, so nothing was done") {
    CHECK(left_to_do(before, {column("id", 1), column("b", 2), column("a", 3)}, {"id", "a", "b"}) ==
          "a to headgate_0; b to a; headgate_0 to b; ");
    CHECK(left_to_do(before, {column("id", 1), column("b", 2), column("a", 4)}, {"id", "a", "b"}) ==
          "drop b; a to b; add a; ");
  }
}

TEST_CASE("a dropped and an added column that differ only in case are two, and one name") {
  const SinkConfig now = described({column("id", 1), column("A", 4, "text")});
  TableAlteration todo = compare(record_of(described({column("id", 1), column("a", 2)})), now);
  todo.forget_done(
      now, [](const std::string& name) { return lower(name) == "id" || lower(name) == "a"; },
      lower);
  CHECK(todo.dropped == std::vector<std::string>{"a"});
  CHECK(todo.added == std::vector<std::size_t>{1});
}

}  // namespace
}  // namespace headgate::pipeline_test
