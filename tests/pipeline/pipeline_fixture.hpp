// A clock that is moved by hand, a log that says nothing, and transactions in one line: what the
// pipeline's tests share.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "core/batch_context.hpp"
#include "core/position.hpp"
#include "core/schema.hpp"
#include "core/transaction.hpp"

namespace headgate::pipeline_test {

// Moved by the test; both times together.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall_now() const override { return wall_; }

  void advance(Duration by) {
    now_ += by;
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }
  void advance_to(TimePoint time) {
    if (time > now_) {
      advance(time - now_);
    }
  }

 private:
  TimePoint now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::seconds(1'767'225'600)};
};

inline Logger quiet() {
  return std::make_shared<spdlog::logger>("quiet");
}

inline Position position(std::uint64_t end, const std::string& history = "test:1") {
  return {LSN::from_postgres(end), {history}};
}

// A table with the key `id` and nothing else.
inline TableSchemaPtr schema(const std::string& table) {
  auto built = std::make_shared<TableSchema>();
  built->name = {"shop", table};
  built->columns.resize(1);
  built->columns[0].name = "id";
  built->key = {0};
  return built;
}

// Inserts of rows whose id says where they come from: `{end}.{ordinal}`.
inline void add_inserts(Transaction& transaction, const TableSchemaPtr& table, std::uint64_t end,
                        std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    const std::string id = std::to_string(end) + "." + std::to_string(transaction.next_ordinal());
    const Value value = Value::text(id);
    transaction.add_change(table, Operation::kInsert, transaction.copy_row({&value, 1}));
  }
}

// A transaction of `changes` inserts whose commit record ends at `end`.
inline TransactionPtr whole(std::uint64_t end, const TableSchemaPtr& table,
                            std::size_t changes = 1) {
  auto made =
      std::make_shared<Transaction>(std::to_string(end), LSN::from_postgres(end - 1), WallTime{});
  made->set_commit_time(WallTime{std::chrono::seconds(end)});
  add_inserts(*made, table, end, changes);
  made->end_position = position(end);
  return made;
}

// Moves the position and changes nothing.
inline TransactionPtr empty(std::uint64_t end) {
  auto made = std::make_shared<Transaction>("", LSN::from_postgres(end), WallTime{});
  made->end_position = position(end);
  return made;
}

inline Portion portion_at(std::size_t place, std::size_t count) {
  if (count == 1) {
    return Portion::kWhole;
  }
  if (place == 0) {
    return Portion::kFirst;
  }
  return place + 1 == count ? Portion::kLast : Portion::kMiddle;
}

// One large transaction as a source hands it over: as many inserts in each portion as `sizes` says.
inline std::vector<TransactionPtr> portions(std::uint64_t end, const TableSchemaPtr& table,
                                            const std::vector<std::size_t>& sizes) {
  std::vector<TransactionPtr> made;
  std::uint64_t ordinal = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    auto portion =
        std::make_shared<Transaction>(std::to_string(end), LSN::from_postgres(end - 1), WallTime{});
    portion->set_first_ordinal(ordinal);
    add_inserts(*portion, table, end, sizes[i]);
    ordinal = portion->next_ordinal();
    portion->portion = portion_at(i, sizes.size());
    if (ends(portion->portion)) {
      portion->end_position = position(end);
    }
    made.push_back(portion);
  }
  return made;
}

// The rows that `table` held at `end`, in as many portions as `sizes` has entries.
inline std::vector<TransactionPtr> copy_of(std::uint64_t end, const TableSchemaPtr& table,
                                           const std::vector<std::size_t>& sizes) {
  std::vector<TransactionPtr> made;
  std::uint64_t ordinal = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    auto portion = std::make_shared<Transaction>("copy", LSN::from_postgres(end), WallTime{});
    portion->purpose = Purpose::kInitialCopy;
    portion->end_position = position(end);
    portion->set_first_ordinal(ordinal);
    portion->involve(table);
    add_inserts(*portion, table, end, sizes[i]);
    ordinal = portion->next_ordinal();
    portion->portion = portion_at(i, sizes.size());
    made.push_back(portion);
  }
  return made;
}

// The ids of the rows of transaction `end`, as add_inserts() makes them.
inline std::vector<std::string> ids(std::uint64_t end, std::size_t count = 1) {
  std::vector<std::string> made;
  for (std::size_t i = 0; i < count; ++i) {
    made.push_back(std::to_string(end) + "." + std::to_string(i));
  }
  return made;
}

inline std::vector<std::string> operator+(std::vector<std::string> a,
                                          const std::vector<std::string>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace headgate::pipeline_test
