// A table of the sink as it is: created when missing, checked when it was there.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "db/pq/connection.hpp"
#include "pipeline/sink_driver.hpp"
#include "pipeline/sink_operation.hpp"

namespace headgate::sink::postgres {

// Constant after open().
struct TargetTable {
  std::string quoted_name;  // "schema"."table"
  // The same, but without the rows of tables that inherit from it: those are others' rows.
  std::string own_rows;

  struct TargetColumn {
    std::string quoted_name;
    std::uint32_t type_oid = 0;
    std::string type;  // for casts: without a length, which would cut values silently
    // That of the type's indexes. An extension's stands outside of the search path.
    std::string equals = "=";
  };
  std::vector<TargetColumn> columns;  // one per column of the operations' rows

  // Foreign keys, further unique indexes, exclusion constraints or triggers: what is written in
  // between shows, so that changes must be made one after the other.
  bool needs_source_order = false;

  // By open_target_table(): nobody else sees it before the transaction's end.
  bool created = false;

  // Rewrite rules, which COPY does not follow.
  bool has_rules = false;
};

// `"schema"."table"`.
std::string quoted_table(const TableName& name);

// The type that holds a column of the source: its own where the sink knows it, text otherwise (a
// user's enum, an extension).
std::string sink_type(pq::Connection& connection, const Column& column);

// Looks `config`'s table up and checks that it can hold the rows faithfully; creates it (and its
// schema) where it is missing and `missing` allows.
//
// Throws Error{kOperator} that names the first difference and the statement that mends it.
TargetTable open_target_table(pq::Connection& connection, const SinkConfig& config,
                              MissingTable missing);

}  // namespace headgate::sink::postgres
