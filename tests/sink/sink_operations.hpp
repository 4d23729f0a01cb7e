// Output tables and operations on them in few words: what the tests of every sink driver share.

#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/arena.hpp"
#include "base/error.hpp"
#include "pipeline/sink_driver.hpp"

namespace headgate::sink_test {

// What a test says of one column's value.
struct Cell {
  Cell(const char* value) : kind(ValueKind::kText), bytes(value) {}  // NOLINT: as tests read best
  Cell(std::string value) : kind(ValueKind::kText), bytes(std::move(value)) {}  // NOLINT
  Cell(ValueKind is, std::string value) : kind(is), bytes(std::move(value)) {}

  ValueKind kind;
  std::string bytes;
};
inline const Cell kNull{ValueKind::kNull, ""};
inline const Cell kUnsent{ValueKind::kUnchanged, ""};
using Cells = std::vector<Cell>;

struct TestColumn {
  std::string name;
  TypeFamily family = TypeFamily::kText;
  bool nullable = true;
};

// An output table; `key` are places in `columns`. Each column has the type of PostgreSQL that is
// the plainest of its family.
SinkConfigPtr make_table(const TableName& name, const std::vector<TestColumn>& columns,
                         std::vector<std::size_t> key,
                         OnConflict on_conflict = OnConflict::kOverwrite);

// Operations with the memory they point at.
class Operations {
 public:
  Operations& insert(const SinkConfigPtr& table, const Cells& row);
  Operations& update(const SinkConfigPtr& table, const Cells& row, const Cells& before = {});
  Operations& erase(const SinkConfigPtr& table, const Cells& row, bool key_only = false);
  Operations& truncate(const SinkConfigPtr& table);
  std::span<const Sink> all() const { return operations_; }
  const std::set<SinkConfigPtr>& tables() const { return tables_; }

 private:
  Operations& add(const SinkConfigPtr& table, Sink operation);
  Row store(const Cells& cells);

  Arena arena_;
  std::vector<Sink> operations_;
  std::set<SinkConfigPtr> tables_;
};

Position position_at(std::uint64_t lsn);
CommitMark mark_at(std::uint64_t lsn);

// What `action` throws; fails the test when it does not.
template <typename Action>
Error error_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error("no error was thrown");
}

template <typename Action>
ErrorKind kind_of_error(Action action) {
  return error_of(action).kind();
}

using Strings = std::vector<std::string>;

}  // namespace headgate::sink_test
