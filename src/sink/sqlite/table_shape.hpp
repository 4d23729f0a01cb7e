// Can this table hold what the source sends? Creates it when it is missing, checks it when it is
// not.

#pragma once

#include <string>
#include <vector>

#include "core/schema.hpp"
#include "db/sqlite/connection.hpp"
#include "pipeline/sink_driver.hpp"
#include "sink/sqlite/type_map.hpp"

namespace headgate::sink::sqlite {

// What a writer must know of a table that is fit for the source's rows.
struct TableShape {
  // Of each column of the source, in its order.
  std::vector<Storage> storage;

  // Rows must be written one by one in the source's order: the table has triggers, which see each
  // step; or unique indexes besides the key, which a later row may only satisfy after an earlier
  // one; or columns of its own, whose content would be lost if a row were deleted and inserted
  // anew.
  bool needs_source_order = false;
  bool has_triggers = false;
  bool has_own_columns = false;

  // A name for the row id that no column hides; empty when there is none.
  std::string row_id;
};

// Two names that are one to SQLite have the same folded form (it folds ASCII letters only).
std::string fold_case(const std::string& name);

// The statement that creates the table for `output`.
std::string create_table_sql(const TableSchema& output);

// Makes the table of `output` exist and returns its shape.
//
// Throws Error{kOperator} that names the table, the difference and the remedy when the table that
// is there cannot hold the source's rows faithfully, when SQLite could not have such a table, or
// when it is missing and `missing` is kRefuse.
TableShape ensure_table(db::sqlite::Connection& connection, const TableSchema& output,
                        MissingTable missing = MissingTable::kCreate);

}  // namespace headgate::sink::sqlite
