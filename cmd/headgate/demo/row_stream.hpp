// Rows of a table in one order, from a source or a mirror, each value as PostgreSQL prints it.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "demo/pg_session.hpp"

namespace headgate::demo {

// A column as the source has it.
struct ComparedColumn {
  std::string name;
  std::string type;  // pg_type.typname of its base type: int4, float8, bool, …
};

struct ComparedTable {
  std::string schema;
  std::string name;
  std::vector<ComparedColumn> columns;  // those of the key first
  std::size_t key_columns = 0;          // 0: no key; rows are then ordered by all columns

  std::size_t ordered_columns() const { return key_columns == 0 ? columns.size() : key_columns; }
  std::string qualified() const { return schema + "." + name; }
};

// One pass over a table, ordered by the text of the ordering columns, byte by byte, NULL first.
// Both databases order alike, so that two streams can be merged without holding either.
class RowStream {
 public:
  virtual ~RowStream() = default;
  // Nothing at the end.
  virtual std::optional<TextRow> next() = 0;
};

// One side of a comparison: a database seen at one moment.
class RowSource {
 public:
  virtual ~RowSource() = default;

  // The columns of the table that stands for `table` here; empty when there is none.
  virtual std::vector<std::string> columns_of(const ComparedTable& table) = 0;

  // REQUIRES: all columns of `table` exist here; the stream before this one is no longer used.
  virtual std::unique_ptr<RowStream> open(const ComparedTable& table) = 0;
};

// `schema`: where the tables are, if not where the source has them. The session must outlive the
// object, which keeps one read-only transaction open in it.
std::unique_ptr<RowSource> postgres_rows(PgSession& session, std::string schema = {});

// A SQLite file, opened for reading only. Tables of schema public are under their bare name, others
// under `schema.table`. A value of another storage class than its type calls for (design.md,
// section 8: booleans and integers INTEGER, floats REAL or TEXT for what REAL cannot hold, bytea
// BLOB, all else TEXT) is marked, as in `(TEXT) 1`, so that it differs.
//
// Throws Error{kOperator} when it cannot be opened.
std::unique_ptr<RowSource> sqlite_rows(const std::string& path);

// A double precision as PostgreSQL prints it.
std::string float8_text(double value);

// The tables of the source as `schema.table` names, with their columns and key (primary key).
// Generated columns are left out: logical replication does not carry them.
//
// Throws Error{kOperator} when a table does not exist.
std::vector<ComparedTable> describe_tables(PgSession& source,
                                           const std::vector<std::string>& names);

}  // namespace headgate::demo
