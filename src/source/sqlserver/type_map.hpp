// SQL Server's column types: how they are selected, fetched, and what they are called in sinks.
// README.md has the table.

#pragma once

#include <cstdint>
#include <string>

#include "core/schema.hpp"
#include "db/odbc/row_buffer.hpp"

namespace headgate::source::sqlserver {

// A column's declared type, from sys.columns and sys.types: never from the driver, which tells
// money from smallmoney, decimal from numeric and datetime from smalldatetime as little as one CLR
// type from the other.
struct DeclaredType {
  std::string name;             // of the system type: `nvarchar`, `decimal`, `hierarchyid`
  std::int32_t max_length = 0;  // bytes; -1: max
  int precision = 0;
  int scale = 0;
  bool clr = false;  // sys.types.is_assembly_type: hierarchyid, geometry, geography, a user's
};

// How the changes of a column travel. A plain value.
struct TypeMapping {
  TypeFamily family = TypeFamily::kOther;

  // The type with its modifiers as PostgreSQL would write it, with its OID there: what a PostgreSQL
  // sink creates. A type that none of PostgreSQL's holds without loss is text there: datetime2(7)
  // and time(7) have a digit more, datetimeoffset keeps its offset.
  std::string postgres_type;
  std::uint32_t postgres_oid = 0;

  // What is read in place of the column, with {} for the quoted name; "{}" for most.
  std::string expression = "{}";
  odbc::FetchAs fetch = odbc::FetchAs::kText;

  // A value of unlimited length: in the rows of an update, NULL with a clear bit in the update mask
  // means that it was not recorded (sqlserver-cdc 2.6).
  bool may_be_unrecorded = false;

  // text, ntext and image: the old rows never have them.
  bool no_old_value = false;
};

// Any type has a mapping: what is not known by name is read as text.
TypeMapping map_type(const DeclaredType& type);

// For people: `nvarchar(50)`, `decimal(38,10)`, `varbinary(max)`.
std::string describe(const DeclaredType& type);

// What the driver printed for a value of `mapping`, in the form that sinks expect: a zero before a
// leading point, `t` and `f` for bit.
std::string normalised(const TypeMapping& mapping, std::string printed);

}  // namespace headgate::source::sqlserver
