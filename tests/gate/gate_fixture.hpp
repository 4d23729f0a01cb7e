// A clock that stands still, a few tables, and changes in one line: what the gate's tests share.

#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "core/change.hpp"
#include "core/lsn.hpp"
#include "core/schema.hpp"
#include "core/transaction.hpp"
#include "gate/transaction_buffer.hpp"

namespace headgate::gate_test {

// Moved by the test; both times together.
class ManualClock final : public Clock {
 public:
  TimePoint now() const override { return now_; }
  WallTime wall_now() const override { return wall_; }

  void advance(Duration by) {
    now_ += by;
    wall_ += std::chrono::duration_cast<WallTime::duration>(by);
  }

 private:
  TimePoint now_{std::chrono::hours(1)};
  WallTime wall_{std::chrono::seconds(1'767'225'600)};
};

inline WallTime at_second(std::int64_t second) {
  return WallTime{std::chrono::seconds(1'767'225'600 + second)};
}

inline LSN lsn(std::uint64_t value) {
  return LSN::from_postgres(value);
}

inline TableName name(const std::string& table) {
  return {"shop", table};
}

inline TableSchemaPtr schema(const std::string& table) {
  auto built = std::make_shared<TableSchema>();
  built->name = name(table);
  built->columns.resize(1);
  built->columns[0].name = "id";
  built->key = {0};
  return built;
}

// One row whose only column holds `text`; owns what its change() points at.
class OneRow {
 public:
  OneRow(TableSchemaPtr table, std::string transaction_id, LSN commit_lsn, WallTime commit_time,
         std::string text, std::uint64_t ordinal = 0)
      : table_(std::move(table)), id_(std::move(transaction_id)), text_(std::move(text)) {
    change_.lsn = commit_lsn;
    change_.commit_time = commit_time;
    change_.ordinal = ordinal;
  }

  Change change() {
    row_ = {Value::text(text_)};
    change_.table = table_.get();
    change_.transaction_id = id_;
    change_.data = row_;
    return change_;
  }

  // False when the gate is closed.
  bool add_to(TransactionBuffer& buffer) { return buffer.add(table_, change()); }

 private:
  TableSchemaPtr table_;
  std::string id_;
  std::string text_;
  std::array<Value, 1> row_;
  Change change_;
};

// "id:row,row…" of each transaction, for comparisons that read well when they fail.
inline std::string shown(const Transaction& transaction) {
  std::string text(transaction.id());
  const char* separator = ":";
  for (const Change& change : transaction.changes()) {
    text += separator + std::string(change.data[0].bytes());
    separator = ",";
  }
  return text;
}

// Also of one that was spilled, which is read to its end by this, `portion_bytes` at a time.
inline std::string shown(const ReleasedTransaction& released, std::size_t portion_bytes = 2000) {
  if (!released.spilled) {
    return shown(released.transaction);
  }
  std::string text(released.transaction.id());
  const char* separator = ":";
  std::uint64_t ordinal = 0;
  bool ended = false;
  while (const auto portion = released.spilled->next_portion(portion_bytes)) {
    const bool in_place = !ended && begins(portion->portion) == (ordinal == 0) &&
                          portion->commit_lsn() == released.transaction.commit_lsn();
    ended = ends(portion->portion);
    text += in_place && !portion->changes().empty() ? "" : " (portion out of place)";
    for (const Change& change : portion->changes()) {
      text += separator + std::string(change.data[0].bytes());
      text += change.ordinal == ordinal++ ? "" : " (misnumbered)";
      separator = ",";
    }
  }
  return text + (ended ? "" : " (without an end)");
}

inline std::vector<std::string> shown(const std::vector<ReleasedTransaction>& released) {
  std::vector<std::string> all;
  for (const ReleasedTransaction& one : released) {
    all.push_back(shown(one));
  }
  return all;
}

using Texts = std::vector<std::string>;

}  // namespace headgate::gate_test
