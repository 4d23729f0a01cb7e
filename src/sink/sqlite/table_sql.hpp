// The statements that write to one table.

#pragma once

#include <string>
#include <vector>

#include "core/schema.hpp"
#include "pipeline/sink_operation.hpp"

namespace headgate::sink::sqlite {

// Which columns a statement is about, by their place in the table's schema.
using ColumnMask = std::vector<bool>;

// Parameters: column i of the new row is ?i+1; column i of the old row, in a WHERE, is ?n+i+1 with
// n columns in all.
//
// Each says OR ABORT, which overrules an ON CONFLICT clause in the table's own definition: with
// IGNORE or REPLACE there, rows would vanish without an error.

std::string insert_sql(const TableSchema& output);

// Inserts, and does what `on_conflict` says with a row of the same key. REQUIRES: a key.
std::string upsert_sql(const TableSchema& output, OnConflict on_conflict);

// Sets `columns` of the row with the old row's key. REQUIRES: a key and at least one column.
std::string update_sql(const TableSchema& output, const ColumnMask& columns);

// Deletes the row with the old row's key. REQUIRES: a key.
std::string delete_sql(const TableSchema& output);

// The same for a table without a key: of exactly one row whose `match` columns all equal the old
// row's, NULL equal to NULL. Which of several equal rows makes no difference.
std::string update_one_sql(const TableSchema& output, const ColumnMask& columns,
                           const ColumnMask& match, const std::string& row_id);
std::string delete_one_sql(const TableSchema& output, const ColumnMask& match,
                           const std::string& row_id);

}  // namespace headgate::sink::sqlite
