#include "pipeline/table_filter.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

namespace headgate {
namespace {

struct Case {
  std::vector<std::string> patterns;
  TableName table;
  bool captured;
};

TEST_CASE("a table is captured when the last pattern that matches it says so") {
  const std::vector<Case> cases = {
      {{}, {"shop", "orders"}, false},
      {{"shop.orders"}, {"shop", "orders"}, true},
      {{"shop.orders"}, {"shop", "orders2"}, false},
      {{"shop.orders"}, {"shop", "order"}, false},
      {{"shop.orders"}, {"SHOP", "orders"}, false},
      {{"shop.orders"}, {"public", "orders"}, false},
      {{"shop.*"}, {"shop", "orders"}, true},
      {{"shop.*"}, {"shopping", "orders"}, false},
      {{"*.orders"}, {"any", "orders"}, true},
      {{"*.*"}, {"any", "thing"}, true},
      {{"shop.tmp_*"}, {"shop", "tmp_"}, true},
      {{"shop.tmp_*"}, {"shop", "tmp_1"}, true},
      {{"shop.tmp_*"}, {"shop", "a_tmp_1"}, false},
      {{"shop.*_log"}, {"shop", "a_log_log"}, true},
      {{"shop.*_log"}, {"shop", "a_log_x"}, false},
      {{"shop.a*b*c"}, {"shop", "abc"}, true},
      {{"shop.a*b*c"}, {"shop", "axxbyybzc"}, true},
      {{"shop.a*b*c"}, {"shop", "acb"}, false},
      {{"shop.**"}, {"shop", "orders"}, true},
      // One part never reaches into the other.
      {{"sh*.orders"}, {"shop", "x.orders"}, false},
      // A name with a dot in it, written with a star in its place.
      {{"shop.a*b"}, {"shop", "a.b"}, true},
      // What other pattern languages know is plain text here.
      {{"shop.order?"}, {"shop", "orders"}, false},
      {{"shop.[a-z]*"}, {"shop", "orders"}, false},
      // The order of the list decides.
      {{"shop.*", "!shop.tmp_*"}, {"shop", "tmp_1"}, false},
      {{"shop.*", "!shop.tmp_*"}, {"shop", "orders"}, true},
      {{"!shop.tmp_*", "shop.*"}, {"shop", "tmp_1"}, true},
      {{"shop.*", "!shop.tmp_*", "shop.tmp_kept"}, {"shop", "tmp_kept"}, true},
      {{"shop.*", "!shop.tmp_*", "shop.tmp_kept", "!*.*"}, {"shop", "tmp_kept"}, false},
      {{"!shop.tmp_*"}, {"shop", "orders"}, false},  // leaving out captures nothing
  };
  for (const Case& example : cases) {
    CAPTURE(example.patterns, example.table.to_string());
    CHECK(TableFilter(example.patterns).matches(example.table) == example.captured);
  }
}

TEST_CASE("our own tables are never captured, whatever the patterns say") {
  const TableFilter filter({"*.*", "public.headgate_positions", "shop.headgate_*"});
  CHECK_FALSE(filter.matches({"public", "headgate_positions"}));
  CHECK_FALSE(filter.matches({"shop", "headgate_applied"}));
  CHECK_FALSE(filter.matches({"", "headgate_"}));
  CHECK(filter.matches({"shop", "headgate"}));
  CHECK(filter.matches({"headgate_demo", "orders"}));  // a schema may be named so
  CHECK(filter.named().empty());
}

// With a naive matcher this would end after the sun does.
TEST_CASE("a pattern of many stars is quick to refuse a long name") {
  std::string stars;
  for (int i = 0; i < 31; ++i) {
    stars += "a*";
  }
  const TableFilter filter({"*." + stars + "b", stars + "b.*"});
  CHECK_FALSE(filter.matches({"s", std::string(5000, 'a')}));
  CHECK_FALSE(filter.matches({std::string(5000, 'a'), "t"}));
  CHECK(filter.matches({"s", std::string(5000, 'a') + "b"}));
}

TEST_CASE("tables named one by one are those without a star that no later pattern leaves out") {
  const TableFilter filter({"shop.orders", "shop.*", "*.items", "shop.tmp_a", "shop.tmp_b",
                            "!shop.tmp_a", "!audit.log"});
  CHECK(filter.named() == std::vector<TableName>{{"shop", "orders"}, {"shop", "tmp_b"}});
  CHECK(TableFilter({"!shop.a", "shop.a"}).named() == std::vector<TableName>{{"shop", "a"}});
}

TEST_CASE("the patterns are kept as they were written") {
  const std::vector<std::string> patterns = {"shop.*", "!shop.tmp_*"};
  CHECK(TableFilter(patterns).patterns() == patterns);
}

}  // namespace
}  // namespace headgate
