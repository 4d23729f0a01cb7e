#include "gate/spilled_transaction.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "gate_fixture.hpp"

namespace headgate::gate_test {
namespace {

constexpr std::uint64_t kRoom = std::uint64_t{1} << 30;

TableSchemaPtr two_columns(const std::string& table) {
  auto built = std::make_shared<TableSchema>(*schema(table));
  built->columns.resize(2);
  built->columns[1].name = "more";
  return built;
}

UnorderedChanges nothing_yet() {
  Transaction transaction("7", lsn(100), at_second(0));
  transaction.set_commit_time(at_second(1));
  transaction.end_position.lsn = lsn(100);
  return {std::move(transaction), {}};
}

std::string described(const Change& change) {
  std::string text = change.table->name.table + "/" +
                     std::to_string(static_cast<int>(change.operation)) +
                     (change.key_only ? "k" : "");
  for (const Row row : {change.data, change.before}) {
    text += "|";
    for (const Value& value : row) {
      text += std::to_string(static_cast<int>(value.kind)) + "=" + std::string(value.bytes()) + ";";
    }
  }
  return text;
}

TEST_CASE("every part of a change comes back from the disk") {
  SpillSpace space(std::filesystem::temp_directory_path().string(), kRoom);
  const TableSchemaPtr first = schema("a");
  const TableSchemaPtr second = two_columns("b");
  const std::string nul_inside("x\0y", 3);
  std::vector<std::string> wanted;
  SpilledTransaction spilled;
  const auto file = std::make_shared<SpillFile>(space);
  UnorderedChanges changes = nothing_yet();
  const auto add = [&](const TableSchemaPtr& table, Operation operation, std::vector<Value> data,
                       std::vector<Value> before, bool key_only) {
    Change change;
    change.operation = operation;
    change.data = data;
    change.before = before;
    change.key_only = key_only;
    wanted.push_back(described(changes.transaction.add_change(table, change)));
    changes.ordinals.push_back(changes.ordinals.size() + wanted.size() * 10);
  };
  add(first, Operation::kInsert, {Value::text("")}, {}, false);
  add(second, Operation::kUpdateAfter, {Value::binary(nul_inside), Value::unchanged()},
      {Value::text("old"), Value::null()}, true);
  spilled.spill(file, changes);
  CHECK(changes.transaction.changes().empty());
  add(second, Operation::kDelete, {Value::null(), Value::text(std::string(100'000, 'l'))}, {},
      false);
  add(first, Operation::kTruncate, {}, {}, false);
  spilled.spill(file, changes);
  file->close();
  add(first, Operation::kInsert, {Value::text("in memory")}, {}, false);
  spilled.finish(std::move(changes));

  CHECK(spilled.changes() == 5);
  std::vector<std::string> back;
  while (const auto portion = spilled.next_portion(1)) {
    REQUIRE(portion->changes().size() == 1);
    const Change& change = portion->changes()[0];
    CHECK(change.ordinal == back.size());
    CHECK(change.transaction_id == "7");
    CHECK(change.lsn == lsn(100));
    CHECK(change.commit_time == at_second(1));
    back.push_back(described(change));
  }
  CHECK(back == wanted);
  CHECK_FALSE(spilled.next_portion(1).has_value());
}

// Equal ordinals stay in the order in which they came, over runs and memory.
TEST_CASE("runs are merged by ordinal, and stay in order where ordinals are equal") {
  const auto seed = GENERATE(range(0U, 100U));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  SpillSpace space(std::filesystem::temp_directory_path().string(), kRoom);
  const TableSchemaPtr table = schema("a");
  std::vector<std::pair<std::uint64_t, std::string>> wanted;
  SpilledTransaction spilled;
  const auto file = std::make_shared<SpillFile>(space);
  UnorderedChanges changes = nothing_yet();
  for (std::size_t i = 0; i < 300; ++i) {
    const std::uint64_t ordinal = random() % 40;
    const std::string text = std::to_string(i);
    const std::array<Value, 1> row{Value::text(text)};
    Change change;
    change.data = row;
    changes.transaction.add_change(table, change);
    changes.ordinals.push_back(ordinal);
    wanted.emplace_back(ordinal, text);
    if (random() % 30 == 0) {
      spilled.spill(file, changes);
    }
  }
  spilled.finish(std::move(changes));
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::size_t at = 0;
  while (const auto portion = spilled.next_portion(random() % 3000)) {
    for (const Change& change : portion->changes()) {
      REQUIRE(change.data[0].bytes() == wanted.at(at).second);
      ++at;
    }
  }
  CHECK(at == wanted.size());
}

}  // namespace
}  // namespace headgate::gate_test
