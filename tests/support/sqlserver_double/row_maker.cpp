#include "support/sqlserver_double/row_maker.hpp"

#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

SqlError constraint_conflict(const std::string& statement, const std::string& kind,
                             const std::string& name, const Database& database,
                             const Table& table) {
  return SqlError(547, "The " + statement + " statement conflicted with the " + kind +
                           " constraint \"" + name + "\". The conflict occurred in database \"" +
                           database.name + "\", table \"" + table.schema + "." + table.name +
                           "\".");
}

}  // namespace

RowMaker::RowMaker(Context& context, Database& database, TablePtr table)
    : context_(context), database_(database), table_(std::move(table)) {
  Source source;
  source.name = {table_->schema, table_->name};
  for (const Column& column : table_->shape->columns) {
    source.columns.push_back({column.name, column.type, column.nullable});
  }
  scope_.sources.push_back(std::move(source));
  Binder binder(context_, scope_);
  for (const Column& column : table_->shape->columns) {
    defaults_.push_back(column.default_value
                            ? std::optional<Bound>(binder.bind(*column.default_value))
                            : std::nullopt);
    computed_.push_back(column.computed ? std::optional<Bound>(binder.bind(*column.computed))
                                        : std::nullopt);
  }
  for (const auto& check : table_->checks) {
    checks_.push_back(binder.bind(*check));
  }
}

std::size_t RowMaker::writable_place(const std::string& name) const {
  const auto place = table_->shape->place_of(name);
  if (!place) {
    throw invalid_column(name);
  }
  const Column& column = table_->shape->columns[*place];
  if (column.computed) {
    throw SqlError(
        271, "The column \"" + column.name +
                 "\" cannot be modified because it is either a computed column or is the result of "
                 "a UNION operator.");
  }
  if (column.type.kind == TypeKind::kRowVersion) {
    throw SqlError(273, "Cannot insert an explicit value into a timestamp column.");
  }
  return *place;
}

void RowMaker::store(Row& row, std::size_t place, const std::optional<TypedValue>& value) {
  const Column& column = table_->shape->columns[place];
  if (value) {
    row[place] = converted_for_storage(value->value, value->type, column.type, column.name);
  } else if (defaults_[place]) {
    const Bound& bound = *defaults_[place];
    row[place] = converted_for_storage(bound.eval({}), bound.type, column.type, column.name);
  } else {
    row[place] = Null{};
  }
}

void RowMaker::give_identity(Row& row, std::size_t place, bool given) {
  const Column& column = table_->shape->columns[place];
  SessionState& session = context_.session;
  const bool explicit_values = session.identity_insert == table_->object_id;
  if (given && !explicit_values) {
    throw SqlError(544, "Cannot insert explicit value for identity column in table '" +
                            table_->name + "' when IDENTITY_INSERT is set to OFF.");
  }
  const SqlType number = type_of(TypeKind::kBigInt);
  if (given) {
    table_->identity_last =
        std::max(table_->identity_last, integer_of(convert(row[place], column.type, number)));
  } else {
    table_->identity_last += table_->identity_used ? column.identity_step : 0;
    row[place] = convert(table_->identity_last, number, column.type);
  }
  table_->identity_used = true;
  session.identity = table_->identity_last;
}

RowPtr RowMaker::inserted(const std::vector<std::size_t>& places,
                          const std::vector<std::optional<TypedValue>>& values) {
  const auto& columns = table_->shape->columns;
  Row row(columns.size());
  std::vector<bool> given(columns.size(), false);
  for (std::size_t at = 0; at < places.size(); ++at) {
    given[places[at]] = true;
    store(row, places[at], values[at]);
  }
  for (std::size_t place = 0; place < columns.size(); ++place) {
    if (columns[place].identity) {
      give_identity(row, place, given[place]);
    } else if (!given[place]) {
      store(row, place, std::nullopt);
    }
  }
  return finished(std::move(row));
}

RowPtr RowMaker::updated(const Row& old, const std::vector<std::size_t>& places,
                         const std::vector<std::optional<TypedValue>>& values) {
  Row row = old;
  for (std::size_t at = 0; at < places.size(); ++at) {
    if (table_->shape->columns[places[at]].identity) {
      throw SqlError(
          8102, "Cannot update identity column '" + table_->shape->columns[places[at]].name + "'.");
    }
    store(row, places[at], values[at]);
  }
  return finished(std::move(row));
}

RowPtr RowMaker::finished(Row row) {
  const auto& columns = table_->shape->columns;
  Frame frame;
  frame.rows = {&row};
  for (std::size_t place = 0; place < columns.size(); ++place) {
    if (columns[place].type.kind == TypeKind::kRowVersion) {
      row[place] = context_.engine().next_rowversion();
    } else if (computed_[place]) {
      row[place] =
          convert(computed_[place]->eval(frame), computed_[place]->type, columns[place].type);
    }
    if (!columns[place].nullable && is_null(row[place])) {
      throw SqlError(515,
                     "Cannot insert the value NULL into column '" + columns[place].name +
                         "', table '" + database_.name + "." + table_->schema + "." + table_->name +
                         "'; column does not allow nulls. INSERT fails.",
                     16, 2);
    }
  }
  for (const Bound& check : checks_) {
    const Value value = check.eval(frame);
    if (!is_null(value) && !is_true(value)) {
      throw constraint_conflict("INSERT", "CHECK", "CK_" + table_->name, database_, *table_);
    }
  }
  return std::make_shared<const Row>(std::move(row));
}

void RowMaker::check_parents(const Row& row, TransactionId own) const {
  for (const ForeignKey& key : table_->foreign_keys) {
    std::vector<Value> values;
    bool any_null = false;
    for (const std::size_t place : table_->places_of(key.column_ids)) {
      values.push_back(row[place]);
      any_null = any_null || is_null(row[place]);
    }
    const TablePtr parent = database_.table(key.parent_id);
    if (any_null || !parent) {
      continue;
    }
    const auto slots = parent->matching(parent->places_of(key.parent_column_ids), values, own);
    if (slots.empty()) {
      throw constraint_conflict("INSERT", "FOREIGN KEY", key.name, database_, *parent);
    }
    // A parent that somebody is about to remove, or has not committed yet, is waited for.
    const Table::Version& version = parent->version(slots.front());
    for (const Stamp stamp : {version.begin, version.end}) {
      if (stamp.is_pending() && stamp != Stamp::pending(own)) {
        throw LockedBy{stamp.transaction()};
      }
    }
  }
}

void RowMaker::check_children(const Row& row, Transaction& transaction, std::uint64_t statement) {
  for (const auto& [id, child] : database_.tables()) {
    for (const ForeignKey& key : child->foreign_keys) {
      if (key.parent_id != table_->object_id) {
        continue;
      }
      std::vector<Value> values;
      for (const std::size_t place : table_->places_of(key.parent_column_ids)) {
        values.push_back(row[place]);
      }
      const auto slots = child->matching(child->places_of(key.column_ids), values, transaction.id);
      if (!slots.empty() && !key.cascade) {
        throw constraint_conflict("DELETE", "REFERENCE", key.name, database_, *child);
      }
      RowMaker children(context_, database_, child);
      for (const std::size_t slot : slots) {
        const RowPtr removed = child->version(slot).row;
        context_.engine().delete_row(transaction, database_, child, slot, statement);
        children.check_children(*removed, transaction, statement);
      }
    }
  }
}

}  // namespace headgate::test::sqlserver
