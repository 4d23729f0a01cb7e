// What the database says of its capture instances.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/lsn.hpp"
#include "core/schema.hpp"
#include "db/odbc/connection.hpp"
#include "source/sqlserver/type_map.hpp"

namespace headgate::source::sqlserver {

// One captured column, in the order of the change table.
struct CapturedColumn {
  std::string name;
  std::uint32_t column_id = 0;  // of the source table; survives a rename
  std::size_t ordinal = 0;      // from 1: its bit in the update mask
  DeclaredType type;            // of the change table, which follows an ALTER COLUMN
  TypeMapping mapping;

  // The source table has it no more. The change table keeps it, with NULL in all rows since then,
  // which says nothing of the value that was there.
  bool dropped = false;
};

// A column of the source table as it is now, captured or not. Without computed ones.
struct SourceColumn {
  std::string name;
  std::uint32_t column_id = 0;
  // May be NULL, and is nothing that the server fills by itself (a default, an identity, a
  // rowversion): what ALTER TABLE ADD gives to the rows that are there is NULL then.
  bool added_as_null = false;
};

// One capture instance: a table under surveillance since `start_lsn`. Its incarnation is
// (change_table, create_date): another one of the same name has lost what lay between.
struct CaptureInstance {
  std::string name;
  std::int64_t change_table = 0;  // object_id
  std::int64_t source_table = 0;  // object_id
  TableName table;
  std::string create_date;  // as the server prints it
  std::string modified;     // the last ALTER of the change table and of the source table

  // Nothing that was committed before this can be read from it, and everything from it on can
  // (sqlserver-cdc 3.6); clean-up raises it. None while the capture process has not seen the
  // instance yet, which is no gap.
  std::optional<LSN> start_lsn;

  // What sp_cdc_enable_table was told; empty: nothing.
  std::string role_name;
  std::string index_name;
  bool supports_net_changes = false;

  // Without computed columns, which change tables hold as NULL.
  std::vector<CapturedColumn> columns;
  std::uint32_t newest_column = 0;  // the greatest column_id, of computed ones too

  std::vector<SourceColumn> source_columns;

  // Places in `columns` of the row's identity when the instance was made; empty: it has none.
  std::vector<std::size_t> key;

  bool has_command_id = true;

  // The column with that id; null when it is not captured.
  const CapturedColumn* column(std::uint32_t column_id) const;
};

using CaptureInstances = std::vector<CaptureInstance>;

// All instances, those of one table from the oldest to the newest. Throws OdbcError; {kOperator}
// with number 208 where CDC is off.
CaptureInstances read_instances(odbc::Connection& connection);

// Only what may change between two reads: cheap enough for each window.
struct InstanceFloor {
  std::string name;
  std::int64_t change_table = 0;
  std::optional<LSN> start_lsn;
  std::string modified;

  // The same instance, with the same columns.
  bool is_unaltered(const InstanceFloor& other) const {
    return change_table == other.change_table && modified == other.modified &&
           start_lsn.has_value() == other.start_lsn.has_value();
  }
};
using InstanceFloors = std::vector<InstanceFloor>;  // by change_table
InstanceFloors read_floors(odbc::Connection& connection);

// `[name]`, with ] doubled.
std::string quoted(const std::string& name);

// N'…', for statements that are shown, and for the names of instances.
std::string literal(const std::string& text);

}  // namespace headgate::source::sqlserver
