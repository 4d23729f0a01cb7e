// From rows of change tables to changes: an update's two rows become one.

#pragma once

#include <optional>

#include "core/transaction.hpp"
#include "source/sqlserver/change_table_reader.hpp"

namespace headgate::source::sqlserver {

// Of one change table; rows come in its order. Not thread-safe.
class RowJoiner {
 public:
  // `instance` must outlive it; `schema` describes its changes.
  RowJoiner(const CaptureInstance& instance, TableSchemaPtr schema)
      : instance_(instance), schema_(std::move(schema)) {}

  const TableSchemaPtr& schema() const { return schema_; }

  // Appends the change that `row` completes to `transaction`. The row before an update completes
  // nothing; false then.
  //
  // Values of unlimited length that an update did not record become kUnchanged in the new row
  // (NULL with a clear bit in the update mask). Throws Error{kOperator} for rows that make no
  // sense: an unknown operation, half an update.
  bool add(ChangeRow row, Transaction& transaction);

 private:
  Row row_of(const ChangeRow& row, bool is_update, Transaction& transaction) const;

  const CaptureInstance& instance_;
  TableSchemaPtr schema_;
  std::optional<ChangeRow> before_;
};

}  // namespace headgate::source::sqlserver
