#include "pipeline/net_effect.hpp"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/check.hpp"
#include "base/error.hpp"
#include "net_effect_notation.hpp"

namespace headgate::pipeline_test {
namespace {

struct Case {
  std::string rule;
  std::vector<std::string> operations;
  std::string effect;
};

void check(const std::vector<Case>& cases) {
  for (const Case& example : cases) {
    CAPTURE(example.rule, example.operations);
    Notation notation;
    NetEffect net;
    net.add(notation.parse(example.operations));
    CHECK(Notation::print(net.take()) == example.effect);
  }
}

TEST_CASE("only the last state of a key is left") {
  check({
      {"nothing", {}, ""},
      {"insert", {"+1|a|b"}, "t: upsert 1|a|b"},
      {"delete", {"-1"}, "t: delete 1"},
      {"update", {"=1|a|b"}, "t: upsert 1|a|b"},
      {"insert, update", {"+1|a|b", "=1|c|d"}, "t: upsert 1|c|d"},
      {"insert, delete", {"+1|a|b", "-1"}, "t: delete 1"},
      {"insert, update, delete", {"+1|a|b", "=1|c|d", "-1"}, "t: delete 1"},
      {"update, delete", {"=1|a|b", "-1"}, "t: delete 1"},
      {"delete, insert", {"-1", "+1|a|b"}, "t: upsert 1|a|b"},
      {"delete, insert, delete", {"-1", "+1|a|b", "-1"}, "t: delete 1"},
      {"delete, insert, update", {"-1", "+1|a|b", "=1|c|d"}, "t: upsert 1|c|d"},
      {"NULL is a value", {"+1|a|b", "=1|-|b"}, "t: upsert 1|-|b"},
      {"keys do not meet",
       {"+1|a|b", "-2", "=3|c|d", "+4|e|f", "=1|g|h"},
       "t: delete 2 upsert 1|g|h upsert 3|c|d upsert 4|e|f"},
  });
}

// Whoever copies them in need not look for rows of the same key.
TEST_CASE("upserts are new when the first thing done to each key was an insert") {
  const auto are_new = [](const std::vector<std::string>& operations) {
    Notation notation;
    NetEffect net;
    net.add(notation.parse(operations));
    return net.take().back().tables.back().upserts_are_new;
  };
  CHECK(are_new({"+1|a|b", "+2|c|d"}));
  CHECK(are_new({"+1|a|b", "=1|c|d", "+2|c|d"}));
  CHECK(are_new({"+1|a|b", "-1", "+1|c|d"}));
  CHECK(are_new({"+1|a|b", "-2"}));
  CHECK_FALSE(are_new({"+1|a|b", "=2|c|d"}));
  CHECK_FALSE(are_new({"=2|c|d", "+1|a|b"}));
  CHECK_FALSE(are_new({"-1", "+1|a|b", "+2|c|d"}));
  CHECK_FALSE(are_new({"=1|a|b", "-1", "+1|a|b"}));
  CHECK_FALSE(are_new({"1>2|a|b", "+3|c|d"}));
  CHECK_FALSE(are_new({"+2|a|b", "2>1|c|d"}));
}

TEST_CASE("keys of every length are told apart") {
  std::vector<std::string> inserts;
  std::string effect = "t:";
  for (const char digit : {'0', '1'}) {
    for (std::size_t length = 1; length < 20; ++length) {
      const std::string row = std::string(length, digit) + "|a|b";
      inserts.push_back("+" + row);
      inserts.push_back("=" + row);
      effect += " upsert " + row;
    }
  }
  check({{"lengths", inserts, effect}});
}

TEST_CASE("tables are kept apart, in the order in which they were first touched") {
  check({
      {"interleaved",
       {"t +1|a|b", "u +1|c|d", "t -1", "u =1|e|f", "t +2|g|h"},
       "t: delete 1 upsert 2|g|h; u: upsert 1|e|f"},
      {"a truncate of one", {"t +1|a|b", "u +1|c|d", "t T"}, "t: truncate; u: upsert 1|c|d"},
  });
}

TEST_CASE("a key change is a delete of the old key and an upsert of the new one") {
  check({
      {"a row of the sink", {"1>2|a|b"}, "t: delete 1 upsert 2|a|b"},
      {"a row of the batch", {"+1|a|b", "1>2|c|d"}, "t: delete 1 upsert 2|c|d"},
      {"the old row is sent although the key stays", {"1>1|a|b"}, "t: upsert 1|a|b"},
      {"a chain", {"1>2|a|b", "2>3|a|b"}, "t: delete 1 delete 2 upsert 3|a|b"},
      {"there and back", {"1>2|a|b", "2>1|a|b"}, "t: delete 2 upsert 1|a|b"},
      {"a swap through a free key",
       {"1>9|a|a", "2>1|b|b", "9>2|a|a"},
       "t: delete 9 upsert 1|b|b upsert 2|a|a"},
      {"into the place of a deleted row", {"-2", "1>2|a|b"}, "t: delete 1 upsert 2|a|b"},
      {"and the old key is used again", {"1>2|a|b", "+1|c|d"}, "t: upsert 1|c|d upsert 2|a|b"},
      {"and the moved row goes", {"1>2|a|b", "-2"}, "t: delete 1 delete 2"},
      {"each row one up, from the end",
       {"2>3|b|b", "1>2|a|a"},
       "t: delete 1 upsert 2|a|a upsert 3|b|b"},
  });
}

TEST_CASE("an unchanged column is filled from the batch where the batch knows it") {
  check({
      {"not known", {"=1|a|~"}, "t: update 1|a|~"},
      {"known from an insert", {"+1|a|b", "=1|c|~"}, "t: upsert 1|c|b"},
      {"known from a complete update", {"=1|a|b", "=1|~|d"}, "t: upsert 1|a|d"},
      {"known NULL", {"+1|a|-", "=1|c|~"}, "t: upsert 1|c|-"},
      {"two halves", {"=1|a|~", "=1|~|b"}, "t: upsert 1|a|b"},
      {"the newer half wins", {"=1|a|~", "=1|c|~"}, "t: update 1|c|~"},
      {"an update that changes nothing of it", {"=1|a|~", "=1|~|~"}, "t: update 1|a|~"},
      {"overwritten", {"=1|a|~", "=1|c|d"}, "t: upsert 1|c|d"},
      {"deleted", {"=1|a|~", "-1"}, "t: delete 1"},
      {"deleted and new", {"=1|a|~", "-1", "+1|c|d"}, "t: upsert 1|c|d"},
      {"of another key", {"+1|a|b", "=2|c|~"}, "t: upsert 1|a|b update 2|c|~"},
      {"of another table", {"t +1|a|b", "u =1|c|~"}, "t: upsert 1|a|b; u: update 1|c|~"},
      {"carried over to a new key", {"+1|a|b", "1>2|c|~"}, "t: delete 1 upsert 2|c|b"},
      {"carried over twice", {"+1|a|b", "1>2|c|~", "2>3|~|~"}, "t: delete 1 delete 2 upsert 3|c|b"},
  });
}

// The value is only in the sink, under the old key.
TEST_CASE("a key change that leaves a column unknown is done by itself after all before it") {
  check({
      {"alone", {"1>2|a|~"}, "t: single UPDATE_AFTER 1>2|a|~"},
      {"the batch knows one half",
       {"=1|a|~", "1>2|~|~"},
       "t: update 1|a|~; t: single UPDATE_AFTER 1>2|~|~"},
      {"all tables come before it",
       {"u +5|a|b", "t -2", "t 1>2|c|~"},
       "u: upsert 5|a|b; t: delete 2; t: single UPDATE_AFTER 1>2|c|~"},
      {"one after the other",
       {"+5|a|b", "1>2|c|~", "3>4|d|~"},
       "t: upsert 5|a|b; t: single UPDATE_AFTER 1>2|c|~ / t: single UPDATE_AFTER 3>4|d|~"},
      {"what follows is a stage of its own",
       {"1>2|a|~", "+1|b|b", "=2|c|~"},
       "t: single UPDATE_AFTER 1>2|a|~ / t: upsert 1|b|b update 2|c|~"},
      {"what follows knows nothing of the stage before",
       {"+1|a|b", "5>6|c|~", "=1|d|~"},
       "t: upsert 1|a|b; t: single UPDATE_AFTER 5>6|c|~ / t: update 1|d|~"},
      {"moved and deleted", {"1>2|a|~", "-2"}, "t: single UPDATE_AFTER 1>2|a|~ / t: delete 2"},
  });
}

// PostgreSQL sends a large key that an update leaves alone as unchanged, and the old key beside it.
TEST_CASE("an unchanged key column is taken from the old row") {
  check({
      {"the row is in the batch", {"+1|a|b", "1>~|c|d"}, "t: upsert 1|c|d"},
      {"the row is in the sink", {"1>~|c|d"}, "t: single UPDATE_AFTER 1>~|c|d"},
  });
}

TEST_CASE("a truncate forgets what was to be written and comes first") {
  check({
      {"alone", {"T"}, "t: truncate"},
      {"after changes", {"+1|a|b", "-2", "=3|c|~", "T"}, "t: truncate"},
      {"before changes", {"T", "+1|a|b"}, "t: truncate upsert 1|a|b"},
      {"between", {"+1|a|b", "T", "+1|c|d", "-1", "+2|e|f"}, "t: truncate delete 1 upsert 2|e|f"},
      {"twice", {"T", "+1|a|b", "T"}, "t: truncate"},
      {"of a table without a key",
       {"log +1|a|b", "log T", "log +2|c|d"},
       "log: truncate append 2|c|d"},
      {"fills nothing from before it",
       {"+1|a|b", "T", "+1|c|d", "=1|~|e"},
       "t: truncate upsert 1|c|e"},
      {"after a single", {"1>2|a|~", "T"}, "t: single UPDATE_AFTER 1>2|a|~ / t: truncate"},
  });
}

TEST_CASE("rows of a table without a key are appended, each of them, in order") {
  check({
      {"equal rows", {"log +1|a|b", "log +1|a|b"}, "log: append 1|a|b append 1|a|b"},
      {"order",
       {"log +2|a|b", "log +1|a|b", "t +1|x|y", "log +3|a|b"},
       "log: append 2|a|b append 1|a|b append 3|a|b; t: upsert 1|x|y"},
  });
}

TEST_CASE("an update or delete of a table without a key is done by itself, in order") {
  check({
      {"delete",
       {"log +1|a|b", "log -1|a|b", "log +2|c|d"},
       "log: append 1|a|b; log: single DELETE 1|a|b / log: append 2|c|d"},
      {"update", {"log 1|a|b>1|a|c"}, "log: single UPDATE_AFTER 1>1|a|c"},
  });
}

TEST_CASE("operations added piece by piece have the same effect as at once") {
  Notation notation;
  NetEffect net;
  net.add(notation.parse({"+1|a|b"}));
  net.add(notation.parse({"=1|c|~", "1>2|~|~"}));
  CHECK(Notation::print(net.take()) == "t: delete 1 upsert 2|c|b");
}

TEST_CASE("taking empties the collection") {
  Notation notation;
  NetEffect net;
  net.add(notation.parse({"+1|a|b", "5>6|a|~"}));
  CHECK(net.take().size() == 1);
  CHECK(net.take().empty());
  net.add(notation.parse({"=1|c|~"}));
  CHECK(Notation::print(net.take()) == "t: update 1|c|~");  // the insert is forgotten
}

TEST_CASE("text and binary values of the same bytes are different keys") {
  SinkConfig config;
  config.name = "t";
  config.output.columns.resize(1);
  config.output.key = {0};
  const Value text = Value::text("1");
  const Value binary = Value::binary("1");
  const std::vector<Sink> operations = {
      {&config, Operation::kInsert, {&text, 1}, {}, false},
      {&config, Operation::kInsert, {&binary, 1}, {}, false},
  };
  NetEffect net;
  net.add(operations);
  CHECK(net.take().at(0).tables.at(0).upserts.size() == 2);
}

TEST_CASE("a key of several columns is equal only in all of them") {
  SinkConfig config;
  config.name = "t";
  config.output.columns.resize(3);
  config.output.key = {2, 0};
  const std::vector<Value> one = {Value::text("ab"), Value::text("x"), Value::text("c")};
  const std::vector<Value> other = {Value::text("a"), Value::text("x"), Value::text("bc")};
  const std::vector<Value> swapped = {Value::text("c"), Value::text("x"), Value::text("ab")};
  const std::vector<Value> again = {Value::text("ab"), Value::text("y"), Value::text("c")};
  std::vector<Sink> operations;
  for (const auto* row : {&one, &other, &swapped, &again}) {
    operations.push_back({&config, Operation::kInsert, *row, {}, false});
  }
  NetEffect net;
  net.add(operations);
  const auto stages = net.take();
  REQUIRE(stages.at(0).tables.at(0).upserts.size() == 3);
  CHECK(stages[0].tables[0].upserts[0][1] == Value::text("y"));
}

// Written as an update it would change nothing, and as an insert invent a value.
TEST_CASE("an insert that lacks a value is a row error") {
  for (const std::string table : {"t", "log"}) {
    Notation notation;
    NetEffect net;
    net.add(notation.parse({table + " +1|a|b"}));
    try {
      net.add(notation.parse({table + " +2|a|~"}));
      FAIL("it was taken");
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kRow);
      CHECK(std::string(error.what()).find("table " + table) != std::string::npos);
    }
  }
}

TEST_CASE("an image before the update never arrives alone") {
  SinkConfig config;
  config.output.columns.resize(1);
  config.output.key = {0};
  const Value value = Value::text("1");
  const std::vector<Sink> operations = {
      {&config, Operation::kUpdateBefore, {&value, 1}, {}, false}};
  NetEffect net;
  CHECK_THROWS_AS(net.add(operations), CheckFailure);
}

}  // namespace
}  // namespace headgate::pipeline_test
