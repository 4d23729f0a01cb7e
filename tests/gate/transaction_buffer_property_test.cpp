// The strict gate against a model so simple that it is plainly right: a transaction has left
// exactly when every table has been read to its LSN.

#include <algorithm>
#include <filesystem>
#include <map>
#include <random>

#include <catch2/catch.hpp>

#include "gate/transaction_buffer.hpp"
#include "gate_fixture.hpp"

namespace headgate::gate_test {
namespace {

struct SourceRow {
  std::size_t table;
  std::string id;
  std::uint64_t commit_lsn;
  WallTime commit_time;
  std::string text;
  std::uint64_t ordinal;
};

// A source with several tables that are read at their own pace, each in commit order.
class RandomSource {
 public:
  explicit RandomSource(std::mt19937_64& random) : random_(random) {
    const std::size_t tables = 1 + pick(5);
    for (std::size_t i = 0; i < tables; ++i) {
      schemas_.push_back(schema("t" + std::to_string(i)));
    }
    read_to_.assign(tables, 0);
    next_row_.assign(tables, 0);
    rows_.resize(tables);
    commit_transactions();
  }

  std::size_t pick(std::size_t below) { return random_() % below; }

  std::set<TableName> names() const {
    std::set<TableName> names;
    for (const auto& table : schemas_) {
      names.insert(table->name);
    }
    return names;
  }

  // Reads one table a random step further and marks it, unless it stops half-way before the mark.
  void read_some(TransactionBuffer& buffer) {
    const std::size_t table = pick(schemas_.size());
    const std::uint64_t to = std::min<std::uint64_t>(read_to_[table] + pick(40), last_lsn_);
    const bool in_one_span = pick(2) == 0;
    std::vector<OneRow> held;
    for (; next_row_[table] < rows_[table].size(); ++next_row_[table]) {
      const SourceRow& row = rows_[table][next_row_[table]];
      if (row.commit_lsn > to) {
        break;
      }
      held.emplace_back(schemas_[table], row.id, lsn(row.commit_lsn), row.commit_time, row.text,
                        row.ordinal);
      if (!in_one_span && pick(10) == 0) {
        // Interrupted: what was read is added, but nothing is marked.
        ++next_row_[table];
        add(buffer, table, held, in_one_span);
        return;
      }
    }
    add(buffer, table, held, in_one_span);
    read_to_[table] = to;
    buffer.update_table_max_commit_time(schemas_[table]->name, random_time(), lsn(to));
  }

  bool is_read() const {
    return std::all_of(read_to_.begin(), read_to_.end(),
                       [&](std::uint64_t lsn) { return lsn == last_lsn_; });
  }

  // The model: what must have left by now, in order.
  Texts must_have_left() const {
    const std::uint64_t slowest = *std::min_element(read_to_.begin(), read_to_.end());
    Texts texts;
    for (const auto& [commit_lsn, text] : whole_) {
      if (commit_lsn <= slowest) {
        texts.push_back(text);
      }
    }
    return texts;
  }

 private:
  // Ids wrap after three, commit times tie and jump, LSNs have gaps.
  void commit_transactions() {
    std::uint64_t commit_lsn = 0;
    for (std::size_t i = 0; i < 60; ++i) {
      commit_lsn += 1 + pick(5);
      const std::string id = std::to_string(i % 3);
      const WallTime commit_time = random_time();
      std::string text = id;
      const std::size_t changes = 1 + pick(6);
      for (std::uint64_t ordinal = 0; ordinal < changes; ++ordinal) {
        const std::string row = std::to_string(i) + "." + std::to_string(ordinal);
        const std::size_t table = pick(schemas_.size());
        rows_[table].push_back({table, id, commit_lsn, commit_time, row, ordinal});
        text += (ordinal == 0 ? ":" : ",") + row;
      }
      whole_.emplace(commit_lsn, text);
    }
    last_lsn_ = commit_lsn + 1;
  }

  WallTime random_time() { return at_second(static_cast<std::int64_t>(pick(4)) - 2); }

  void add(TransactionBuffer& buffer, std::size_t table, std::vector<OneRow>& rows,
           bool in_one_span) {
    std::vector<Change> changes;
    for (OneRow& row : rows) {
      changes.push_back(row.change());
    }
    if (in_one_span) {
      REQUIRE(buffer.add(schemas_[table], changes));
      return;
    }
    for (const Change& change : changes) {
      REQUIRE(buffer.add(schemas_[table], change));
    }
  }

  std::mt19937_64& random_;
  std::vector<TableSchemaPtr> schemas_;
  std::vector<std::vector<SourceRow>> rows_;  // per table, in commit order
  std::vector<std::size_t> next_row_;
  std::vector<std::uint64_t> read_to_;
  std::map<std::uint64_t, std::string> whole_;  // by commit LSN: every transaction in full
  std::uint64_t last_lsn_ = 0;
};

TEST_CASE("what has left is always the whole of what every table was read past, in order") {
  const auto seed = GENERATE(range(0U, 300U));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  RandomSource source(random);
  ManualClock clock;
  TransactionBuffer buffer(clock, source.names());
  Texts left;
  while (!source.is_read()) {
    source.read_some(buffer);
    clock.advance(std::chrono::minutes(source.pick(3)));
    if (source.pick(3) == 0) {
      for (const ReleasedTransaction& one : buffer.get_complete_transactions()) {
        REQUIRE(one.whole);
        left.push_back(shown(one));
      }
      REQUIRE(left == source.must_have_left());
    }
  }
  const auto rest = shown(buffer.get_complete_transactions());
  left.insert(left.end(), rest.begin(), rest.end());
  CHECK(left == source.must_have_left());
  CHECK(left.size() == 60);
  CHECK(buffer.is_empty());
}

// The same with hardly any memory: most of what waits is on disk, in several runs per transaction.
TEST_CASE("what has waited on disk leaves as whole and in the same order") {
  const auto seed = GENERATE(range(0U, 200U));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  RandomSource source(random);
  const ManualClock clock;
  SpillSpace space(std::filesystem::temp_directory_path().string(), std::uint64_t{1} << 30);
  std::uint64_t spilled = 0;
  {
    GateOptions options;
    options.memory_bytes_max = source.pick(3) == 0 ? 0 : 1000 + source.pick(30'000);
    TransactionBuffer buffer(clock, source.names(), options, &space);
    Texts left;
    const auto take = [&] {
      for (const ReleasedTransaction& one : buffer.get_complete_transactions()) {
        REQUIRE(one.whole);
        spilled += one.spilled ? 1U : 0U;
        left.push_back(shown(one, 1 + source.pick(4000)));
      }
    };
    while (!source.is_read()) {
      source.read_some(buffer);
      if (source.pick(5) == 0) {
        take();
        REQUIRE(left == source.must_have_left());
      }
    }
    take();
    CHECK(left == source.must_have_left());
    CHECK(left.size() == 60);
    CHECK(spilled > 0);
  }
  CHECK(space.used() == 0);
}

// Nothing may be pushed early, twice or out of order, and never more than a limit's worth held
// back.
TEST_CASE("what is pushed at the limit is the same, in the same order") {
  const auto seed = GENERATE(range(0U, 300U));
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  RandomSource source(random);
  const ManualClock clock;
  GateOptions options;
  options.max_tx_count = 1 + source.pick(6);
  TransactionBuffer buffer(clock, source.names(), options);
  Texts left;
  buffer.set_on_complete([&](const std::vector<ReleasedTransaction>& released) {
    REQUIRE(released.size() >= options.max_tx_count);
    for (const ReleasedTransaction& one : released) {
      REQUIRE(one.whole);
      left.push_back(shown(one));
    }
  });
  while (!source.is_read()) {
    source.read_some(buffer);
    const Texts expected = source.must_have_left();
    REQUIRE(left.size() <= expected.size());
    REQUIRE(std::equal(left.begin(), left.end(), expected.begin()));
    REQUIRE(expected.size() - left.size() < options.max_tx_count);
  }
  const auto rest = shown(buffer.get_complete_transactions());
  left.insert(left.end(), rest.begin(), rest.end());
  CHECK(left == source.must_have_left());
}

}  // namespace
}  // namespace headgate::gate_test
