#include "source/sqlserver/row_joiner.hpp"

#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "source/sqlserver/update_mask.hpp"

namespace headgate::source::sqlserver {
namespace {

Error senseless(const CaptureInstance& instance, const ChangeKey& key, std::string_view what) {
  return Error{ErrorKind::kOperator,
               fmt::format("source: change table cdc.{}_CT holds {} at {}", instance.name, what,
                           key.commit_lsn.to_string()),
               "please report it, with the server's version"};
}

Error in_unknown_order(const CaptureInstance& instance, const ChangeKey& key,
                       std::string_view and_so, std::string hint) {
  return Error{ErrorKind::kOperator,
               fmt::format("source: in transaction {} rows of table {} got keys of one another{}",
                           key.commit_lsn.to_string(), instance.table.to_string(), and_so),
               std::move(hint)};
}

}  // namespace

bool RowJoiner::add(ChangeRow row, Transaction& transaction) {
  const auto operation = static_cast<Operation>(row.key.operation);
  if (before_ &&
      (operation != Operation::kUpdateAfter || before_->key.commit_lsn != row.key.commit_lsn ||
       before_->key.sequence != row.key.sequence)) {
    throw senseless(instance_, row.key, "the row before an update without the one after it");
  }
  switch (operation) {
    case Operation::kInsert:
    case Operation::kDelete:
      if (!in_command_order_ && !moves_.follow(row)) {
        throw in_unknown_order(
            instance_, row.key, ", and without __$command_id nobody can say in which order",
            "read the change tables themselves: source.query_mode: direct, after GRANT SELECT ON "
            "SCHEMA::[cdc]; where they lack the column, begin again with a new copy");
      }
      transaction.add_change(schema_, operation, row_of(row, false, transaction));
      return true;
    case Operation::kUpdateBefore:
      before_ = std::move(row);
      return false;
    case Operation::kUpdateAfter: {
      if (!before_) {
        throw senseless(instance_, row.key, "the row after an update without the one before it");
      }
      if (!moves_.follow(*before_, row)) {
        throw in_unknown_order(
            instance_, row.key,
            " by updates, of which nobody can say whether they were one statement",
            "begin again with a new copy");
      }
      const Row old_row = row_of(*before_, true, transaction);
      transaction.add_change(schema_, operation, row_of(row, true, transaction), old_row);
      before_.reset();
      return true;
    }
    case Operation::kTruncate:
      break;
  }
  throw senseless(instance_, row.key, fmt::format("operation {}", row.key.operation));
}

Row RowJoiner::row_of(const ChangeRow& row, bool is_update, Transaction& transaction) const {
  const auto values = transaction.arena().array<Value>(row.values.size());
  for (std::size_t i = 0; i < row.values.size(); ++i) {
    const CapturedColumn& column = instance_.columns[i];
    if (row.values[i]) {
      const std::string_view bytes = transaction.arena().copy(*row.values[i]);
      values[i] =
          column.mapping.fetch == odbc::FetchAs::kBytes ? Value::binary(bytes) : Value::text(bytes);
      continue;
    }
    // What a column held that the source has dropped since, its NULL does not say.
    const bool old_without = (column.mapping.no_old_value || column.dropped) &&
                             row.key.operation != static_cast<int>(Operation::kInsert) &&
                             row.key.operation != static_cast<int>(Operation::kUpdateAfter);
    const bool unrecorded =
        is_update && (column.dropped || (column.mapping.may_be_unrecorded &&
                                         !is_changed(row.update_mask, column.ordinal)));
    values[i] = unrecorded || old_without ? Value::unchanged() : Value::null();
  }
  return values;
}

}  // namespace headgate::source::sqlserver
