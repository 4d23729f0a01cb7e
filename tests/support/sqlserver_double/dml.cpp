#include <algorithm>

#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/row_maker.hpp"
#include "support/sqlserver_double/session.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

struct Target {
  Database* database = nullptr;
  TablePtr table;
};

Target writable_target(const SessionState& session, const Name& name) {
  Target target;
  target.database = resolve(session, name.back().starts_with("@") ? Name{"x"} : name).database;
  target.table = find_table(session, name);
  if (!target.table) {
    throw invalid_object(name.size() > 1 ? name[name.size() - 2] + "." + name.back() : name.back());
  }
  return target;
}

// The rows of an OUTPUT clause: over the row before and after the change.
class Output {
 public:
  Output(Context& context, const std::vector<SelectItem>& items, const Table& table) {
    if (items.empty()) {
      return;
    }
    for (const char* alias : {"inserted", "deleted"}) {
      Source source;
      source.alias = alias;
      for (const Column& column : table.shape->columns) {
        source.columns.push_back({column.name, column.type, true});
      }
      scope_.sources.push_back(std::move(source));
    }
    for (const SelectItem& item : items) {
      if (!item.expr) {
        const std::size_t source = same_name(item.star_qualifier.back(), "deleted") ? 1 : 0;
        for (std::size_t at = 0; at < scope_.sources[source].columns.size(); ++at) {
          Bound bound;
          bound.type = scope_.sources[source].columns[at].type;
          bound.eval = [source, at](const Frame& frame) -> Value {
            return frame.rows[source] == nullptr ? Value(Null{}) : (*frame.rows[source])[at];
          };
          columns_.push_back(scope_.sources[source].columns[at]);
          items_.push_back(std::move(bound));
        }
        continue;
      }
      items_.push_back(Binder(context, scope_).bind(*item.expr));
      const std::string name = !item.alias.empty()                    ? item.alias
                               : item.expr->kind == ExprKind::kColumn ? item.expr->name.back()
                                                                      : "";
      columns_.push_back({name, items_.back().type, true});
    }
  }

  void add(const Row* inserted, const Row* deleted) {
    if (items_.empty()) {
      return;
    }
    Frame frame;
    frame.rows = {inserted, deleted};
    auto row = std::make_shared<Row>();
    for (const Bound& item : items_) {
      row->push_back(item.eval(frame));
    }
    rows_.push_back(std::move(row));
  }

  bool any() const { return !items_.empty(); }
  std::vector<RowsetColumn> columns_;
  std::vector<RowPtr> rows_;

 private:
  Scope scope_;
  std::vector<Bound> items_;
};

// The rows that an UPDATE or DELETE means: its FROM clause, or its target alone.
class TargetRows {
 public:
  TargetRows(Context& context, const Name& target, const FromPtr& from, const ExprPtr& where)
      : context_(context) {
    if (!from) {
      own_item_.name = target;
    }
    from_ = std::make_unique<FromPlan>(context, from ? *from : own_item_, scope_);
    source_ = source_named(target);
    if (where) {
      where_ = Binder(context, scope_).bind(*where);
      from_->use_condition(*where);
    }
  }

  Scope& scope() { return scope_; }
  TablePtr table() const { return from_->table_of(source_); }

  // Each row once, even where a join meets it several times. `visit` returns false to end.
  void each(const std::function<bool(std::size_t slot, Frame&)>& visit) {
    std::set<std::size_t> met;
    from_->produce(nullptr, [&](Frame& frame) {
      if (frame.rows[source_] == nullptr || (where_ && !is_true(where_->eval(frame)))) {
        return true;
      }
      const std::size_t slot = from_->slot_of(source_);
      return !met.insert(slot).second || visit(slot, frame);
    });
  }

 private:
  std::size_t source_named(const Name& target) const {
    for (std::size_t at = 0; at < scope_.sources.size(); ++at) {
      const Source& source = scope_.sources[at];
      const bool by_alias = target.size() == 1 && same_name(source.alias, target[0]);
      const bool by_name = !source.name.empty() && same_name(source.name.back(), target.back());
      if ((by_alias || by_name) && from_->table_of(at)) {
        return at;
      }
    }
    throw invalid_object(target.back());
  }

  Context& context_;
  FromItem own_item_;
  Scope scope_;
  std::unique_ptr<FromPlan> from_;
  std::size_t source_ = 0;
  std::optional<Bound> where_;
};

std::int64_t limit_of(Context& context, const ExprPtr& top) {
  if (!top) {
    return std::numeric_limits<std::int64_t>::max();
  }
  const Scope scope;
  const Bound bound = Binder(context, scope).bind(*top);
  return integer_of(convert(bound.eval({}), bound.type, type_of(TypeKind::kBigInt)));
}

void refuse_shipped(const Table& table) {
  if (table.shipped) {
    throw SqlError(259, "Ad hoc updates to system catalogs are not allowed: " + table.schema + "." +
                            table.name + ".");
  }
}

}  // namespace

void Session::finish_change(std::int64_t count, std::vector<RowsetColumn> columns,
                            std::vector<RowPtr> output, bool has_output) {
  state_.rowcount = count;
  if (has_output) {
    sink_->rows(std::move(columns), std::move(output), !state_.nocount);
  } else {
    sink_->done(state_.nocount ? std::nullopt : std::optional<std::int64_t>(count));
  }
}

void Session::select(const Select& select) {
  std::vector<RowsetColumn> columns;
  std::vector<RowPtr> rows;
  bool assigns = false;
  const Name& into = select.cores[0].into;
  with_locks(!into.empty(), [&] {
    Context context{state_, read_view(false)};
    Plan plan(context, select);
    rows = plan.rows();
    columns = plan.columns();
    assigns = plan.assigns();
  });
  state_.rowcount = static_cast<std::int64_t>(rows.size());
  if (assigns) {
    return;
  }
  if (into.empty()) {
    sink_->rows(std::move(columns), std::move(rows), !state_.nocount);
    return;
  }
  CreateTableStatement create;
  create.table = into;
  for (const RowsetColumn& column : columns) {
    ColumnDef definition;
    definition.name = column.name;
    definition.type = column.type;
    definition.nullable = column.nullable;
    create.columns.push_back(std::move(definition));
  }
  create_table(create);
  with_locks(true, [&] {
    const Target target = writable_target(state_, into);
    const std::uint64_t statement = state_.engine.next_statement();
    for (const RowPtr& row : rows) {
      state_.engine.insert_row(transaction(), *target.database, target.table, row, statement);
    }
  });
  finish_change(state_.rowcount, {}, {}, false);
}

namespace {

// What INSERT … EXEC and INSERT … SELECT give, or VALUES.
std::vector<std::vector<std::optional<TypedValue>>> given_rows(Context& context,
                                                               const InsertStatement& insert,
                                                               std::size_t width) {
  std::vector<std::vector<std::optional<TypedValue>>> rows;
  const auto check_width = [width](std::size_t given) {
    if (given != width) {
      throw given < width ? SqlError(109,
                                     "There are more columns in the INSERT statement than values "
                                     "specified in the VALUES "
                                     "clause.",
                                     15)
                          : SqlError(110,
                                     "There are fewer columns in the INSERT statement than values "
                                     "specified in the VALUES "
                                     "clause.",
                                     15);
    }
  };
  if (insert.query) {
    Plan plan(context, *insert.query);
    check_width(plan.columns().size());
    for (const RowPtr& row : plan.rows()) {
      std::vector<std::optional<TypedValue>> values;
      for (std::size_t at = 0; at < row->size(); ++at) {
        values.push_back(TypedValue{plan.columns()[at].type, (*row)[at]});
      }
      rows.push_back(std::move(values));
    }
    return rows;
  }
  const Scope scope;
  for (const auto& exprs : insert.rows) {
    check_width(exprs.size());
    std::vector<std::optional<TypedValue>> values;
    for (const ExprPtr& expr : exprs) {
      if (!expr) {
        values.emplace_back();
        continue;
      }
      const Bound bound = Binder(context, scope).bind(*expr);
      values.push_back(TypedValue{bound.type, bound.eval({})});
    }
    rows.push_back(std::move(values));
  }
  if (insert.default_values) {
    rows.emplace_back();
  }
  return rows;
}

std::vector<std::size_t> insert_places(const InsertStatement& insert, const Table& table,
                                       const RowMaker& maker, const SessionState& session) {
  std::vector<std::size_t> places;
  if (insert.default_values) {
    return places;
  }
  if (!insert.columns.empty()) {
    for (const std::string& column : insert.columns) {
      places.push_back(maker.writable_place(column));
    }
    return places;
  }
  for (std::size_t at = 0; at < table.shape->columns.size(); ++at) {
    const Column& column = table.shape->columns[at];
    const bool automatic = column.computed || column.type.kind == TypeKind::kRowVersion ||
                           (column.identity && session.identity_insert != table.object_id);
    if (!automatic) {
      places.push_back(at);
    }
  }
  return places;
}

}  // namespace

void Session::insert(const InsertStatement& insert) {
  if (insert.exec) {
    throw syntax_error("INSERT … EXEC");
  }
  std::int64_t count = 0;
  std::vector<RowsetColumn> columns;
  std::vector<RowPtr> output_rows;
  with_locks(true, [&] {
    Context context{state_, read_view(true)};
    const Target target = writable_target(state_, insert.table);
    refuse_shipped(*target.table);
    RowMaker maker(context, *target.database, target.table);
    Output output(context, insert.output, *target.table);
    const auto places = insert_places(insert, *target.table, maker, state_);
    const auto rows = given_rows(context, insert, places.size());
    const std::uint64_t statement = state_.engine.next_statement();
    for (const auto& values : rows) {
      const RowPtr row = maker.inserted(places, values);
      state_.engine.insert_row(transaction(), *target.database, target.table, row, statement);
      maker.check_parents(*row, transaction().id);
      output.add(row.get(), nullptr);
    }
    count = static_cast<std::int64_t>(rows.size());
    columns = output.columns_;
    output_rows = output.rows_;
  });
  finish_change(count, std::move(columns), std::move(output_rows), !insert.output.empty());
}

void Session::update(const UpdateStatement& update) {
  std::int64_t count = 0;
  std::vector<RowsetColumn> columns;
  std::vector<RowPtr> output_rows;
  with_locks(true, [&] {
    Context context{state_, read_view(true)};
    TargetRows rows(context, update.target, update.from, update.where);
    const TablePtr table = rows.table();
    refuse_shipped(*table);
    Database& database = *resolve(state_, update.from ? Name{"x"} : update.target).database;
    RowMaker maker(context, database, table);
    Output output(context, update.output, *table);
    std::vector<std::size_t> places;
    std::vector<std::optional<Bound>> values;
    std::vector<std::pair<TypedValue*, Bound>> variables;
    for (const Assignment& item : update.set) {
      std::optional<Bound> bound;
      if (item.expr) {
        bound = Binder(context, rows.scope()).bind(*item.expr);
      }
      if (!item.variable.empty()) {
        variables.emplace_back(&state_.variables.at(lower(item.variable)), *bound);
        continue;
      }
      places.push_back(maker.writable_place(item.column));
      values.push_back(bound);
    }
    std::vector<std::pair<std::size_t, RowPtr>> changed;
    std::vector<RowPtr> before;
    const std::int64_t limit = limit_of(context, update.top);
    rows.each([&](std::size_t slot, Frame& frame) {
      if (std::ssize(changed) >= limit) {
        return false;
      }
      std::vector<std::optional<TypedValue>> given;
      for (const auto& value : values) {
        given.push_back(value
                            ? std::optional<TypedValue>(TypedValue{value->type, value->eval(frame)})
                            : std::nullopt);
      }
      for (auto& [variable, bound] : variables) {
        variable->value = convert(bound.eval(frame), bound.type, variable->type);
      }
      before.push_back(table->version(slot).row);
      changed.emplace_back(slot, maker.updated(*before.back(), places, given));
      return true;
    });
    state_.engine.update_rows(transaction(), database, table, changed,
                              state_.engine.next_statement());
    for (std::size_t at = 0; at < changed.size(); ++at) {
      maker.check_parents(*changed[at].second, transaction().id);
      output.add(changed[at].second.get(), before[at].get());
    }
    count = std::ssize(changed);
    columns = output.columns_;
    output_rows = output.rows_;
  });
  finish_change(count, std::move(columns), std::move(output_rows), !update.output.empty());
}

void Session::remove(const DeleteStatement& statement) {
  std::int64_t count = 0;
  std::vector<RowsetColumn> columns;
  std::vector<RowPtr> output_rows;
  with_locks(true, [&] {
    Context context{state_, read_view(true)};
    TargetRows rows(context, statement.target, statement.from, statement.where);
    const TablePtr table = rows.table();
    refuse_shipped(*table);
    Database& database = *resolve(state_, statement.from ? Name{"x"} : statement.target).database;
    RowMaker maker(context, database, table);
    Output output(context, statement.output, *table);
    std::vector<std::size_t> slots;
    const std::int64_t limit = limit_of(context, statement.top);
    rows.each([&](std::size_t slot, Frame&) {
      if (std::ssize(slots) >= limit) {
        return false;
      }
      slots.push_back(slot);
      return true;
    });
    const std::uint64_t number = state_.engine.next_statement();
    for (const std::size_t slot : slots) {
      const RowPtr row = table->version(slot).row;
      state_.engine.delete_row(transaction(), database, table, slot, number);
      maker.check_children(*row, transaction(), number);
      output.add(nullptr, row.get());
    }
    count = std::ssize(slots);
    columns = output.columns_;
    output_rows = output.rows_;
  });
  finish_change(count, std::move(columns), std::move(output_rows), !statement.output.empty());
}

void Session::truncate(const TruncateStatement& truncate) {
  with_locks(true, [&] {
    const Target target = writable_target(state_, truncate.table);
    if (target.table->tracked_by_cdc) {
      throw SqlError(
          4711,
          "Cannot truncate table '" + target.table->name +
              "' because it is published for replication or enabled for Change Data Capture.");
    }
    const ReadView view = read_view(true);
    const std::uint64_t number = state_.engine.next_statement();
    for (std::size_t slot = 0; slot < target.table->slots(); ++slot) {
      if (target.table->visible(slot, view)) {
        state_.engine.delete_row(transaction(), *target.database, target.table, slot, number);
      }
    }
  });
  sink_->done(std::nullopt);
}

void Session::merge(const MergeStatement& merge) {
  std::int64_t count = 0;
  with_locks(true, [&] {
    Context context{state_, read_view(true)};
    const Target target = writable_target(state_, merge.target);
    refuse_shipped(*target.table);
    RowMaker maker(context, *target.database, target.table);
    // Source 0 is the target, found per row of the source.
    Scope scope;
    Source target_source;
    target_source.alias = merge.target_alias;
    target_source.name = {target.table->schema, target.table->name};
    for (const Column& column : target.table->shape->columns) {
      target_source.columns.push_back({column.name, column.type, column.nullable});
    }
    scope.sources.push_back(std::move(target_source));
    FromPlan source(context, *merge.source, scope);
    const Bound on = Binder(context, scope).bind(*merge.on);
    const std::uint64_t number = state_.engine.next_statement();
    const ReadView view = context.view;
    std::set<std::size_t> met;
    std::vector<std::pair<std::size_t, RowPtr>> updates;
    std::vector<std::size_t> deletes;
    std::vector<RowPtr> inserts;
    const auto values_of = [&](const std::vector<const Expr*>& exprs, const Frame& frame) {
      std::vector<std::optional<TypedValue>> values;
      for (const Expr* expr : exprs) {
        if (expr == nullptr) {
          values.emplace_back();
          continue;
        }
        const Bound bound = Binder(context, scope).bind(*expr);
        values.push_back(TypedValue{bound.type, bound.eval(frame)});
      }
      return values;
    };
    const auto apply = [&](bool matched, bool by_source, std::size_t slot, const Frame& frame) {
      for (const auto& branch : merge.branches) {
        if (branch.matched != matched || branch.by_source != by_source ||
            (branch.condition &&
             !is_true(Binder(context, scope).bind(*branch.condition).eval(frame)))) {
          continue;
        }
        std::vector<std::size_t> places;
        std::vector<const Expr*> exprs;
        if (branch.action == "delete") {
          deletes.push_back(slot);
        } else if (branch.action == "update") {
          for (const Assignment& item : branch.set) {
            places.push_back(maker.writable_place(item.column));
            exprs.push_back(item.expr.get());
          }
          updates.emplace_back(slot,
                               maker.updated(*frame.rows[0], places, values_of(exprs, frame)));
        } else {
          InsertStatement shape;
          shape.columns = branch.columns;
          places = insert_places(shape, *target.table, maker, state_);
          for (const ExprPtr& expr : branch.values) {
            exprs.push_back(expr.get());
          }
          inserts.push_back(maker.inserted(places, values_of(exprs, frame)));
        }
        ++count;
        return;
      }
    };
    count = 0;
    source.produce(nullptr, [&](Frame& frame) {
      bool matched = false;
      for (std::size_t slot = 0; slot < target.table->slots(); ++slot) {
        if (!target.table->visible(slot, view)) {
          continue;
        }
        frame.rows[0] = target.table->version(slot).row.get();
        if (is_true(on.eval(frame))) {
          matched = true;
          if (!met.insert(slot).second) {
            throw SqlError(
                8672,
                "The MERGE statement attempted to UPDATE or DELETE the same row more than once.");
          }
          apply(true, false, slot, frame);
        }
      }
      frame.rows[0] = nullptr;
      if (!matched) {
        apply(false, false, 0, frame);
      }
      return true;
    });
    for (std::size_t slot = 0; slot < target.table->slots(); ++slot) {
      if (target.table->visible(slot, view) && !met.contains(slot)) {
        Frame frame;
        frame.rows.assign(scope.sources.size(), nullptr);
        frame.rows[0] = target.table->version(slot).row.get();
        apply(false, true, slot, frame);
      }
    }
    for (const std::size_t slot : deletes) {
      const RowPtr row = target.table->version(slot).row;
      state_.engine.delete_row(transaction(), *target.database, target.table, slot, number);
      maker.check_children(*row, transaction(), number);
    }
    state_.engine.update_rows(transaction(), *target.database, target.table, updates, number);
    for (const RowPtr& row : inserts) {
      state_.engine.insert_row(transaction(), *target.database, target.table, row, number);
      maker.check_parents(*row, transaction().id);
    }
  });
  finish_change(count, {}, {}, false);
}

}  // namespace headgate::test::sqlserver
