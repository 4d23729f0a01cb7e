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
};

// One capture instance: a table under surveillance since `start_lsn`. Its incarnation is
// (change_table, create_date): another one of the same name has lost what lay between.
struct CaptureInstance {
  std::string name;
  std::int64_t change_table = 0;  // object_id
  std::int64_t source_table = 0;  // object_id
  TableName table;
  std::string create_date;  // as the server prints it

  // Nothing that was committed before this can be read from it; clean-up raises it. None while the
  // capture process has not seen the instance yet, which is no gap.
  std::optional<LSN> start_lsn;

  // Without computed columns, which change tables hold as NULL.
  std::vector<CapturedColumn> columns;

  // Places in `columns` of the row's identity when the instance was made; empty: it has none.
  std::vector<std::size_t> key;

  bool has_command_id = true;
};

// All instances. Throws OdbcError; {kOperator} with number 208 where CDC is off.
std::vector<CaptureInstance> read_instances(odbc::Connection& connection);

// Only what may change between two reads: cheap enough for each window.
struct InstanceFloor {
  std::string name;
  std::int64_t change_table = 0;
  std::optional<LSN> start_lsn;
};
std::vector<InstanceFloor> read_floors(odbc::Connection& connection);

// The schema that the instance's changes have. Its source_note names the instance's incarnation and
// where it begins, so that a sink's memory of the table tells a later process which of the two is
// new: the table, or what is missing of it.
TableSchemaPtr schema_of(const CaptureInstance& instance);

// What a source_note says; nothing when it is none of ours.
struct InstanceNote {
  std::int64_t change_table = 0;
  LSN start_lsn;
};
std::optional<InstanceNote> parse_note(const std::string& note);

// `[name]`, with ] doubled.
std::string quoted(const std::string& name);

}  // namespace headgate::source::sqlserver
