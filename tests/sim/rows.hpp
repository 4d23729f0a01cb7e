// The rows of source and sinks as plain values, and the tables of the simulated application.

#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/operation.hpp"
#include "core/schema.hpp"
#include "core/transaction.hpp"
#include "core/value.hpp"

namespace headgate::sim {

struct Cell {
  ValueKind kind = ValueKind::kNull;
  std::string text;

  friend auto operator<=>(const Cell&, const Cell&) = default;
};

inline Cell text(std::string value) {
  return {ValueKind::kText, std::move(value)};
}
inline const Cell kUnchanged{ValueKind::kUnchanged, {}};

using Record = std::vector<Cell>;

// accounts: one key column, a column whose value may be left out of an update, default identity.
// items: a key of two columns, FULL identity. journal: no key.
inline constexpr std::size_t kAccounts = 0;
inline constexpr std::size_t kItems = 1;
inline constexpr std::size_t kJournal = 2;
inline constexpr std::size_t kTables = 3;
inline constexpr std::uint32_t kLargeColumn = 3;  // its source_id in accounts

// The tables as they begin. Their keys' columns stay in front; whatever else they have may change.
const std::array<TableSchemaPtr, kTables>& schemas();
// The table of that name; kTables when there is none.
std::size_t table_of(const TableName& name);
Record key_of(std::size_t table, const Record& row);
// A key as a source prints it.
Record key_record(const std::vector<std::string>& values);

// The rows of one table. Keyless tables count equal rows.
struct TableRows {
  std::map<Record, Record> by_key;
  std::map<Record, std::size_t> counts;

  friend bool operator==(const TableRows&, const TableRows&) = default;
};

// How the columns of a table are altered: which cells of its rows go (by their old places, highest
// first), and what is appended to each.
struct Reshape {
  std::vector<std::size_t> dropped{};
  Record appended{};
};

// All tables at one moment. Copies share the tables until one of them is edited.
class State {
 public:
  State();
  const TableRows& operator[](std::size_t table) const { return *tables_[table]; }
  TableRows& edit(std::size_t table);

  // How the source describes the table; of a sink's state without meaning.
  const TableSchemaPtr& schema(std::size_t table) const { return schemas_[table]; }
  void describe(std::size_t table, TableSchemaPtr schema) { schemas_[table] = std::move(schema); }
  void reshape(std::size_t table, const Reshape& how);

  // The source has dropped the table. It never comes back.
  void drop(std::size_t table);
  bool gone(std::size_t table) const { return gone_[table]; }

 private:
  std::array<std::shared_ptr<TableRows>, kTables> tables_;
  std::array<TableSchemaPtr, kTables> schemas_;
  std::array<bool, kTables> gone_{};
};

// The first difference in words, or "" when the two are equal.
std::string difference(std::size_t table, const TableRows& found, const TableRows& expected);

struct RowChange {
  std::size_t table = 0;
  Operation operation = Operation::kInsert;
  Record data;
  Record before;  // as the source sends it: empty, identity columns only, or the whole row
  bool key_only = false;
  TableSchemaPtr schema{};  // the table as it was then
};

std::string to_string(const Record& row);
std::vector<std::string> names_of(const TableSchema& schema);

// Copies the change into the transaction that will carry it.
void append(Transaction& transaction, const RowChange& change);
Record record_of(Row row);

}  // namespace headgate::sim
