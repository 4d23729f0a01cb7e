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

// The value that rows had in a column when it was added to them. It is not in the source's log.
struct ColumnFill {
  enum class Kind : std::uint8_t {
    kNull,
    kText,     // one value for all of them, as the source prints it
    kUnknown,  // one of its own for each row, or no longer to be found out
  };
  Kind kind = Kind::kNull;
  std::string text;
};

struct Column {
  std::string name;

  // What stays the same when the column is renamed (PostgreSQL's attnum, SQL Server's column_id);
  // 0 where the source cannot say.
  std::uint32_t source_id = 0;

  TypeFamily family = TypeFamily::kOther;

  // The source's own name for the type, with its modifiers: `numeric(10,2)`, `shop.order_state`.
  // A sink of the same system creates its column with it.
  std::string native_type;

  // PostgreSQL's type OID; 0 elsewhere. OIDs below 16384 mean the same on every server.
  std::uint32_t type_oid = 0;

  bool nullable = true;

  // Part of what identifies the old row on the wire (PostgreSQL's replica identity).
  bool identity = false;

  // Says nothing of the rows in the log; only of those that were there when the column came.
  ColumnFill fill;

  // `fill` is no part of what the column is: the source forgets it when it rewrites the table.
  friend bool operator==(const Column& a, const Column& b) {
    return a.name == b.name && a.source_id == b.source_id && a.family == b.family &&
           a.native_type == b.native_type && a.type_oid == b.type_oid && a.nullable == b.nullable &&
           a.identity == b.identity;
  }
};

// Never changed once built: the changes of a transaction point at it, and an altered table gets a
// new one. Shared between transactions, hence the shared_ptr.
struct TableSchema {
  TableName name;

  // What stays the same when the table is renamed, and is another one when it is dropped and
  // created anew (PostgreSQL's OID, SQL Server's object_id); 0 where the source cannot say.
  std::uint32_t source_id = 0;

  std::vector<Column> columns;

  // What the source wants to hear again after a restart; nothing to anybody else.
  std::string source_note;

  // Columns of the key under which the mirror keeps its rows, in the key's order; empty when the
  // table has none, and then its rows are only ever appended.
  std::vector<std::size_t> key;

  friend bool operator==(const TableSchema&, const TableSchema&) = default;
};

using TableSchemaPtr = std::shared_ptr<const TableSchema>;

}  // namespace headgate
