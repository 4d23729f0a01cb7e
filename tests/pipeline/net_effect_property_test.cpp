// Random histories of a source, told as operations: doing them one by one in a naive table and
// doing their net effect as a driver does must end in the same rows.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "base/arena.hpp"
#include "pipeline/net_effect.hpp"

namespace headgate::pipeline_test {
namespace {

constexpr std::size_t kColumns = 5;
using Field = std::optional<std::string>;
using Record = std::array<Field, kColumns>;

// Rows in the order in which they came; keyed access is a search. Slow and plainly right.
struct NaiveTable {
  std::vector<std::size_t> key;  // empty: rows may repeat
  std::vector<Record> rows;

  std::vector<Record>::iterator find(const Record& like) {
    return std::find_if(rows.begin(), rows.end(), [&](const Record& row) {
      if (key.empty()) {
        return row == like;
      }
      return std::all_of(key.begin(), key.end(),
                         [&](std::size_t column) { return row[column] == like[column]; });
    });
  }

  std::vector<Record> sorted() const {
    std::vector<Record> copy = rows;
    std::sort(copy.begin(), copy.end());
    return copy;
  }
};

Record record(Row row) {
  Record made;
  for (std::size_t i = 0; i < kColumns; ++i) {
    if (!row[i].is_null() && !row[i].is_unchanged()) {
      made[i] = std::string(row[i].bytes());
    }
  }
  return made;
}

// Sets what `row` knows; columns that it leaves unchanged stay.
void assign(Record& target, Row row) {
  for (std::size_t i = 0; i < kColumns; ++i) {
    if (row[i].is_unchanged()) {
      continue;
    }
    target[i] = row[i].is_null() ? Field{} : Field{std::string(row[i].bytes())};
  }
}

struct Table {
  SinkConfig config;
  NaiveTable source;
  NaiveTable sink;
};

// One random history over some tables.
class History {
 public:
  explicit History(std::uint32_t seed) : random_(seed) {
    add_table("single", {0});
    add_table("composite", {2, 0});
    add_table("keyless", {});
    for (const auto& table : tables_) {
      for (unsigned i = below(6); i > 0; --i) {
        insert(*table);
      }
      table->sink.rows = table->source.rows;
    }
    operations_.clear();  // these rows were there before
  }

  void go_on(std::size_t steps) {
    for (std::size_t i = 0; i < steps; ++i) {
      Table& table = *tables_[below(static_cast<unsigned>(tables_.size()))];
      const unsigned dice = below(100);
      if (dice < 2) {
        table.source.rows.clear();
        operations_.push_back({&table.config, Operation::kTruncate, {}, {}, false});
      } else if (dice < 35 || table.source.rows.empty()) {
        insert(table);
      } else if (dice < 55) {
        erase(table);
      } else {
        update(table);
      }
    }
  }

  std::vector<Sink> take_operations() { return std::exchange(operations_, {}); }
  const std::vector<std::unique_ptr<Table>>& tables() const { return tables_; }

  // As a driver does it.
  void do_stage(const WorkStage& stage) {
    for (const TableWork& work : stage.tables) {
      do_work(work);
    }
    for (const Sink& single : stage.singles) {
      do_single(single);
    }
  }

 private:
  unsigned below(unsigned bound) { return static_cast<unsigned>(random_() % bound); }

  void add_table(const std::string& name, std::vector<std::size_t> key) {
    auto table = std::make_unique<Table>();
    table->config.name = name;
    table->config.output.name = {"", name};
    table->config.output.columns.resize(kColumns);
    table->config.output.key = key;
    table->source.key = key;
    table->sink.key = key;
    tables_.push_back(std::move(table));
  }

  bool is_key(const Table& table, std::size_t column) const {
    const auto& key = table.config.output.key;
    return std::find(key.begin(), key.end(), column) != key.end();
  }

  Record random_record(const Table& table) {
    Record made;
    for (std::size_t i = 0; i < kColumns; ++i) {
      // Few keys, so that they meet; few values of keyless rows, so that they repeat.
      if (is_key(table, i) || table.config.output.key.empty()) {
        made[i] = std::to_string(below(4));
      } else if (below(4) > 0) {
        made[i] = "v" + std::to_string(++values_);
      }
    }
    return made;
  }

  Row row(const Record& values) {
    const auto made = arena_.array<Value>(kColumns);
    for (std::size_t i = 0; i < kColumns; ++i) {
      made[i] = values[i] ? Value::text(arena_.copy(*values[i])) : Value::null();
    }
    return made;
  }

  // The key columns, the others padded with NULL.
  Row key_row(const Table& table, const Record& values) {
    Record key;
    for (const std::size_t column : table.config.output.key) {
      key[column] = values[column];
    }
    return row(key);
  }

  void insert(Table& table) {
    const Record made = random_record(table);
    if (!table.source.key.empty() && table.source.find(made) != table.source.rows.end()) {
      return;  // the key is taken
    }
    table.source.rows.push_back(made);
    operations_.push_back({&table.config, Operation::kInsert, row(made), {}, false});
  }

  Record& any_row(Table& table) {
    return table.source.rows[below(static_cast<unsigned>(table.source.rows.size()))];
  }

  void erase(Table& table) {
    const Record gone = any_row(table);
    table.source.rows.erase(table.source.find(gone));
    const bool key_only = !table.source.key.empty() && below(2) == 0;
    operations_.push_back({&table.config,
                           Operation::kDelete,
                           key_only ? key_row(table, gone) : row(gone),
                           {},
                           key_only});
  }

  void update(Table& table) {
    Record& target = any_row(table);
    const Record before = target;
    Record after = random_record(table);
    for (std::size_t i = 0; i < kColumns; ++i) {
      const bool keeps = is_key(table, i) ? below(3) > 0 : below(2) == 0;
      if (keeps) {
        after[i] = before[i];
      }
    }
    const bool keyed = !table.source.key.empty();
    const auto holder = keyed ? table.source.find(after) : table.source.rows.end();
    if (holder != table.source.rows.end() && &*holder != &target) {
      return;  // the new key is taken
    }
    target = after;

    const auto data = arena_.array<Value>(kColumns);
    const Row complete = row(after);
    const bool whole_old_row = !keyed || below(3) == 0;
    for (std::size_t i = 0; i < kColumns; ++i) {
      const bool stays = !whole_old_row && !is_key(table, i) && after[i] == before[i];
      data[i] = stays && below(2) == 0 ? Value::unchanged() : complete[i];
    }
    const bool moved = std::any_of(table.source.key.begin(), table.source.key.end(),
                                   [&](std::size_t i) { return after[i] != before[i]; });
    Row old;
    if (whole_old_row) {
      old = row(before);
    } else if (moved) {
      old = key_row(table, before);
    }
    operations_.push_back(
        {&table.config, Operation::kUpdateAfter, data, old, moved && !whole_old_row});
  }

  NaiveTable& sink_of(const SinkConfig* config) {
    return (*std::find_if(tables_.begin(), tables_.end(),
                          [&](const auto& table) { return &table->config == config; }))
        ->sink;
  }

  void do_work(const TableWork& work) {
    NaiveTable& table = sink_of(work.table);
    std::set<std::vector<Field>> touched;
    const auto touch = [&](Row values) {
      std::vector<Field> key;
      for (const std::size_t column : table.key) {
        key.push_back(record(values)[column]);
      }
      CHECK(touched.insert(key).second);  // one thing per key, so that sets have no order
    };
    if (work.truncate) {
      table.rows.clear();
    }
    for (const Row values : work.deletes) {
      touch(values);
      const auto found = table.find(record(values));
      if (found != table.rows.end()) {
        table.rows.erase(found);
      }
    }
    for (const Row values : work.upserts) {
      touch(values);
      REQUIRE(std::none_of(values.begin(), values.end(),
                           [](const Value& value) { return value.is_unchanged(); }));
      const auto found = table.find(record(values));
      if (found == table.rows.end()) {
        table.rows.push_back(record(values));
      } else {
        *found = record(values);
      }
    }
    for (const Row values : work.updates) {
      touch(values);
      const auto found = table.find(record(values));
      REQUIRE(found != table.rows.end());
      assign(*found, values);
    }
    for (const Row values : work.appends) {
      table.rows.push_back(record(values));
    }
  }

  void do_single(const Sink& single) {
    NaiveTable& table = sink_of(single.config);
    const bool erases = single.operation == Operation::kDelete;
    const auto found = table.find(record(erases ? single.data : single.before));
    REQUIRE(found != table.rows.end());
    if (erases) {
      table.rows.erase(found);
    } else {
      assign(*found, single.data);
    }
  }

  std::mt19937 random_;
  Arena arena_;
  std::vector<std::unique_ptr<Table>> tables_;
  std::vector<Sink> operations_;
  unsigned values_ = 0;
};

TEST_CASE("the net effect of a history leaves the same rows as the history") {
  std::size_t stages = 0;
  std::size_t batches = 0;
  for (std::uint32_t seed = 0; seed < 400; ++seed) {
    CAPTURE(seed);
    History history(seed);
    std::minstd_rand random(seed + 1);
    const auto below = [&](unsigned bound) { return static_cast<unsigned>(random() % bound); };
    for (int batch = 0; batch < 4; ++batch) {
      NetEffect net;
      for (unsigned pieces = 1 + below(3); pieces > 0; --pieces) {
        history.go_on(below(25));
        net.add(history.take_operations());
      }
      for (const WorkStage& stage : net.take()) {
        history.do_stage(stage);
        ++stages;
      }
      ++batches;
      for (const auto& table : history.tables()) {
        CAPTURE(table->config.name, batch);
        REQUIRE(table->sink.sorted() == table->source.sorted());
      }
    }
  }
  CHECK(stages > 2 * batches);  // the histories did reach the stage boundaries
}

}  // namespace
}  // namespace headgate::pipeline_test
