// A table of the source, as one run of its changes describes it.

#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace headgate {

struct TableName {
  std::string schema;  // empty where the system has none
  std::string table;

  // "schema.table": for people, configuration and logs. Not quoted; never pasted into SQL.
  std::string to_string() const { return schema.empty() ? table : schema + "." + table; }

  friend auto operator<=>(const TableName&, const TableName&) = default;
};

// What a column holds, in words that every sink understands. The exact type stands beside it.
enum class TypeFamily : std::uint8_t {
  kBoolean,
  kInteger,  // 16, 32 or 64 bits
  kFloat,    // IEEE single or double
  kNumeric,  // exact decimal
  kText,
  kBytes,
  kDate,
  kTime,
  kTimestamp,    // without zone
  kTimestampTz,  // an instant
  kUuid,
  kJson,
  kOther,  // kept as the source's text
};

struct Column {
  std::string name;
  TypeFamily family = TypeFamily::kOther;

  // The source's own name for the type, with its modifiers: `numeric(10,2)`, `shop.order_state`.
  // A sink of the same system creates its column with it.
  std::string native_type;

  // PostgreSQL's type OID; 0 elsewhere. OIDs below 16384 mean the same on every server.
  std::uint32_t type_oid = 0;

  bool nullable = true;

  // Part of what identifies the old row on the wire (PostgreSQL's replica identity).
  bool identity = false;

  friend bool operator==(const Column&, const Column&) = default;
};

// Never changed once built: the changes of a transaction point at it, and an altered table gets a
// new one. Shared between transactions, hence the shared_ptr.
struct TableSchema {
  TableName name;
  std::vector<Column> columns;

  // Columns of the key under which the mirror keeps its rows, in the key's order; empty when the
  // table has none, and then its rows are only ever appended.
  std::vector<std::size_t> key;

  friend bool operator==(const TableSchema&, const TableSchema&) = default;
};

using TableSchemaPtr = std::shared_ptr<const TableSchema>;

}  // namespace headgate
