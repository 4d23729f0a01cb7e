// From rows of change tables to changes: an update's two rows become one.

#pragma once

#include <optional>
#include <string_view>

#include "core/transaction.hpp"
#include "source/sqlserver/capture_instances.hpp"
#include "source/sqlserver/key_moves.hpp"
#include "source/sqlserver/page_readers.hpp"

namespace headgate::source::sqlserver {

// Of one change table; rows come in its order. Not thread-safe.
class RowJoiner {
 public:
  // `instance` must outlive it; `schema` describes its changes. `in_command_order`: rows come with
  // their __$command_id.
  RowJoiner(const CaptureInstance& instance, TableSchemaPtr schema, bool in_command_order)
      : instance_(instance),
        schema_(std::move(schema)),
        in_command_order_(in_command_order),
        moves_(instance) {}

  const TableSchemaPtr& schema() const { return schema_; }

  // Appends the change that `row` completes to `transaction`. The row before an update completes
  // nothing; false then.
  //
  // Values of unlimited length that an update did not record become kUnchanged in the new row
  // (NULL with a clear bit in the update mask), and so does the NULL of a column that the source
  // has dropped: it must not overwrite what a sink has there. Throws Error{kOperator} for rows that
  // make no sense (an unknown operation, half an update), and for keys moved in an order that is
  // not known (see KeyMoves).
  bool add(ChangeRow row, Transaction& transaction);

 private:
  Row row_of(const ChangeRow& row, bool is_update, Transaction& transaction) const;

  const CaptureInstance& instance_;
  TableSchemaPtr schema_;
  bool in_command_order_;
  std::optional<ChangeRow> before_;
  KeyMoves moves_;
};

}  // namespace headgate::source::sqlserver
