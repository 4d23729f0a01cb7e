#include "support/sqlserver_double/query.hpp"

#include <algorithm>
#include <set>
#include <unordered_map>

#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

std::int64_t row_count(const Bound& bound) {
  return integer_of(convert(bound.eval({}), bound.type, type_of(TypeKind::kBigInt)));
}

// Gathers the values of one aggregate in one group.
struct Accumulator {
  std::int64_t count = 0;
  std::vector<Value> values;
  std::set<std::string> seen;

  void add(const Aggregate& aggregate, const Frame& frame) {
    if (aggregate.star) {
      ++count;
      return;
    }
    Value value = aggregate.argument.eval(frame);
    if (is_null(value) ||
        (aggregate.distinct && !seen.insert(equality_key(value, aggregate.argument.type)).second)) {
      return;
    }
    ++count;
    const bool extreme = aggregate.function == "min" || aggregate.function == "max";
    if (extreme && !values.empty()) {
      const auto result = order(value, values[0], aggregate.argument.type);
      if (aggregate.function == "min" ? result < 0 : result > 0) {
        values[0] = std::move(value);
      }
    } else if (aggregate.function != "count" && aggregate.function != "count_big") {
      values.push_back(std::move(value));
    }
  }

  Value result(const Aggregate& aggregate) const {
    return aggregate.function == "count" || aggregate.function == "count_big"
               ? Value(count)
               : aggregate_result(aggregate, values);
  }
};

struct SortedRow {
  RowPtr row;
  std::vector<Value> keys;
};

struct SortKey {
  SqlType type;
  bool descending = false;
};

void sort_rows(std::vector<SortedRow>& rows, const std::vector<SortKey>& keys) {
  std::stable_sort(
      rows.begin(), rows.end(), [&keys](const SortedRow& left, const SortedRow& right) {
        for (std::size_t at = 0; at < keys.size(); ++at) {
          const auto result = order_nulls_first(left.keys[at], right.keys[at], keys[at].type);
          if (result != 0) {
            return keys[at].descending ? result > 0 : result < 0;
          }
        }
        return false;
      });
}

std::string row_key(const Row& row, const std::vector<RowsetColumn>& columns) {
  std::string key;
  for (std::size_t at = 0; at < row.size(); ++at) {
    const std::string part = equality_key(row[at], columns[at].type);
    key += std::to_string(part.size()) + ":" + part;
  }
  return key;
}

}  // namespace

// One SELECT … FROM … with the ORDER BY that applies to it.
class CorePlan {
 public:
  CorePlan(Context& context, const SelectCore& core, const Scope* outer,
           const std::vector<OrderItem>* order_by)
      : context_(context), core_(core), order_by_(order_by) {
    scope_.outer = outer;
    if (core.from) {
      from_ = std::make_unique<FromPlan>(context, *core.from, scope_);
      correlated_ = from_->correlated();
    }
    if (core.where) {
      where_ = noted(Binder(context, scope_).bind(*core.where));
      if (from_) {
        from_->use_condition(*core.where);
      }
    }
    for (const ExprPtr& expr : core.group_by) {
      group_by_.push_back(noted(Binder(context, scope_).bind(*expr)));
    }
    bind_items();
    if (core.having) {
      having_ = noted(Binder(context, scope_, &aggregates_).bind(*core.having));
    }
    if (core.top) {
      top_ = Binder(context, Scope()).bind(*core.top);
    }
    bind_order();
  }

  const std::vector<RowsetColumn>& columns() const { return columns_; }
  bool correlated() const { return correlated_; }
  bool assigns() const { return assigns_; }

  std::vector<RowPtr> rows(const Frame* outer, std::optional<std::int64_t> limit) {
    if (top_) {
      const std::int64_t top = row_count(*top_);
      limit = limit ? std::min(*limit, top) : top;
    }
    rows_.clear();
    seen_.clear();
    groups_.clear();
    group_order_.clear();
    const bool stops_early = limit && !sorts_ && !grouped();
    if (grouped()) {
      if (core_.group_by.empty()) {
        group_for("", {});
      }
      if (limit != 0) {
        produce(outer, [this](Frame& frame) { return add_to_group(frame); });
      }
      finish_groups(outer);
    } else if (!stops_early || *limit > 0) {
      produce(outer, [&](Frame& frame) {
        project(frame);
        return !stops_early || static_cast<std::int64_t>(rows_.size()) < *limit;
      });
    }
    if (sorts_) {
      sort_rows(rows_, sort_types_);
    }
    std::vector<RowPtr> result;
    for (SortedRow& row : rows_) {
      if (limit && static_cast<std::int64_t>(result.size()) >= *limit) {
        break;
      }
      result.push_back(std::move(row.row));
    }
    return result;
  }

 private:
  struct Group {
    std::vector<const Row*> rows;  // of the first combination
    std::vector<Accumulator> accumulators;
  };

  struct Item {
    Bound bound;
    TypedValue* variable = nullptr;
  };

  bool grouped() const { return !aggregates_.empty() || !core_.group_by.empty(); }

  Bound noted(Bound bound) {
    correlated_ = correlated_ || bound.outer;
    return bound;
  }

  void bind_items() {
    for (const SelectItem& item : core_.items) {
      if (!item.expr) {
        expand_star(item.star_qualifier);
        continue;
      }
      Bound bound = noted(Binder(context_, scope_, &aggregates_).bind(*item.expr));
      std::string name = item.alias;
      if (name.empty() && item.expr->kind == ExprKind::kColumn) {
        name = item.expr->name.back();
      }
      Item bound_item;
      if (!item.variable.empty()) {
        assigns_ = true;
        auto& variables = context_.session.variables;
        const auto found = variables.find(lower(item.variable));
        if (found == variables.end()) {
          throw SqlError(137, "Must declare the scalar variable \"" + item.variable + "\".", 15, 2);
        }
        bound_item.variable = &found->second;
        bound = converted(std::move(bound), found->second.type);
      }
      columns_.push_back({name, bound.type, bound.nullable});
      bound_item.bound = std::move(bound);
      items_.push_back(std::move(bound_item));
    }
  }

  void expand_star(const Name& qualifier) {
    bool found = false;
    for (const Source& source : scope_.sources) {
      const std::string& alias = !source.alias.empty() ? source.alias
                                 : source.name.empty() ? source.alias
                                                       : source.name.back();
      if (!qualifier.empty() && !same_name(alias, qualifier.back())) {
        continue;
      }
      found = true;
      for (std::size_t at = 0; at < source.columns.size(); ++at) {
        Bound bound;
        const auto index = static_cast<std::size_t>(&source - scope_.sources.data());
        bound.type = source.columns[at].type;
        bound.sources = std::uint64_t{1} << index;
        bound.nullable = source.columns[at].nullable;
        bound.eval = [index, at](const Frame& frame) -> Value {
          return frame.rows[index] == nullptr ? Value(Null{}) : (*frame.rows[index])[at];
        };
        columns_.push_back(source.columns[at]);
        items_.push_back({std::move(bound), nullptr});
      }
    }
    if (!found) {
      throw SqlError(107,
                     "The column prefix '" + (qualifier.empty() ? "*" : qualifier.back()) +
                         "' does not match with a table name or alias name used in the query.",
                     15);
    }
  }

  // An ORDER BY names an output column, counts them, or is an expression over the sources.
  void bind_order() {
    if (order_by_ == nullptr || order_by_->empty()) {
      return;
    }
    const bool over_sources =
        std::all_of(order_by_->begin(), order_by_->end(), [this](const auto& item) {
          return item.expr->kind == ExprKind::kColumn && !output_column(*item.expr);
        });
    if (from_ && !grouped() && !core_.distinct && (over_sources || plain_columns()) &&
        from_->use_order(*order_by_)) {
      return;
    }
    sorts_ = true;
    for (const OrderItem& item : *order_by_) {
      if (const auto output = output_column(*item.expr)) {
        sort_keys_.push_back(items_[*output].bound);
      } else {
        sort_keys_.push_back(noted(Binder(context_, scope_, &aggregates_).bind(*item.expr)));
      }
      sort_types_.push_back({sort_keys_.back().type, item.descending});
    }
  }

  // Whether no output column hides another column of its name.
  bool plain_columns() const {
    return std::all_of(core_.items.begin(), core_.items.end(),
                       [](const SelectItem& item) {
                         return !item.expr || item.expr->kind != ExprKind::kColumn ||
                                item.alias.empty() || same_name(item.alias, item.expr->name.back());
                       }) &&
           std::all_of(core_.items.begin(), core_.items.end(), [this](const SelectItem& item) {
             return !item.expr || item.expr->kind == ExprKind::kColumn ||
                    std::none_of(order_by_->begin(), order_by_->end(), [&](const OrderItem& by) {
                      return by.expr->kind == ExprKind::kColumn &&
                             same_name(by.expr->name.back(), item.alias);
                    });
           });
  }

  std::optional<std::size_t> output_column(const Expr& expr) const {
    if (expr.kind == ExprKind::kLiteral && expr.value.index() == 1) {
      const auto place = static_cast<std::size_t>(integer_of(expr.value));
      if (place < 1 || place > items_.size()) {
        throw SqlError(108,
                       "The ORDER BY position number " + std::to_string(place) +
                           " is out of range of the number of items in the select list.",
                       15);
      }
      return place - 1;
    }
    if (expr.kind == ExprKind::kColumn && expr.name.size() == 1) {
      for (std::size_t at = 0; at < columns_.size(); ++at) {
        if (same_name(columns_[at].name, expr.name[0])) {
          return at;
        }
      }
    }
    return std::nullopt;
  }

  void produce(const Frame* outer, const std::function<bool(Frame&)>& emit) {
    const auto filtered = [&](Frame& frame) {
      if (where_ && !is_true(where_->eval(frame))) {
        return true;
      }
      if (from_) {
        from_->lock_rows();
      }
      return emit(frame);
    };
    if (from_) {
      from_->produce(outer, filtered);
    } else {
      Frame frame;
      frame.outer = outer;
      filtered(frame);
    }
  }

  void project(const Frame& frame) {
    auto row = std::make_shared<Row>();
    row->reserve(items_.size());
    for (const Item& item : items_) {
      row->push_back(item.bound.eval(frame));
      if (item.variable != nullptr) {
        item.variable->value = row->back();
      }
    }
    if (core_.distinct && !seen_.insert(row_key(*row, columns_)).second) {
      return;
    }
    SortedRow sorted{std::move(row), {}};
    for (const Bound& key : sort_keys_) {
      sorted.keys.push_back(key.eval(frame));
    }
    rows_.push_back(std::move(sorted));
  }

  Group& group_for(const std::string& key, const std::vector<const Row*>& rows) {
    auto [entry, is_new] = groups_.try_emplace(key);
    if (is_new) {
      entry->second.rows = rows;
      if (rows.empty()) {
        entry->second.rows.assign(scope_.sources.size(), nullptr);
      }
      entry->second.accumulators.resize(aggregates_.size());
      group_order_.push_back(&entry->second);
    }
    return entry->second;
  }

  bool add_to_group(const Frame& frame) {
    std::string key;
    for (const Bound& part : group_by_) {
      const std::string text = equality_key(part.eval(frame), part.type);
      key += std::to_string(text.size()) + ":" + text;
    }
    Group& group = group_for(key, frame.rows);
    for (std::size_t at = 0; at < aggregates_.size(); ++at) {
      group.accumulators[at].add(aggregates_[at], frame);
    }
    return true;
  }

  void finish_groups(const Frame* outer) {
    for (const Group* group : group_order_) {
      std::vector<Value> results;
      for (std::size_t at = 0; at < aggregates_.size(); ++at) {
        results.push_back(group->accumulators[at].result(aggregates_[at]));
      }
      Frame frame;
      frame.outer = outer;
      frame.rows = group->rows;
      frame.aggregates = &results;
      if (!having_ || is_true(having_->eval(frame))) {
        project(frame);
      }
    }
  }

  Context& context_;
  const SelectCore& core_;
  const std::vector<OrderItem>* order_by_;
  Scope scope_;
  std::unique_ptr<FromPlan> from_;
  std::optional<Bound> where_;
  std::vector<Bound> group_by_;
  std::vector<Item> items_;
  std::vector<RowsetColumn> columns_;
  std::optional<Bound> having_;
  std::optional<Bound> top_;
  std::vector<Aggregate> aggregates_;
  std::vector<Bound> sort_keys_;
  std::vector<SortKey> sort_types_;
  bool sorts_ = false;
  bool correlated_ = false;
  bool assigns_ = false;
  std::vector<SortedRow> rows_;
  std::set<std::string> seen_;
  std::unordered_map<std::string, Group> groups_;
  std::vector<const Group*> group_order_;
};

Plan::Plan(Context& context, const Select& select, const Scope* outer) : context_(context) {
  scope_.outer = outer;
  for (const CommonTable& table : select.with) {
    CommonTablePlan common{table.name, std::make_shared<Plan>(context, *table.query, &scope_), {}};
    common.columns = common.plan->columns();
    for (std::size_t at = 0; at < table.columns.size() && at < common.columns.size(); ++at) {
      common.columns[at].name = table.columns[at];
    }
    scope_.common_tables.push_back(std::move(common));
  }
  // Only a query with WITH needs a scope of its own; for others one level less has to be climbed.
  const Scope* enclosing = select.with.empty() ? outer : &scope_;
  const bool single = select.cores.size() == 1;
  for (const SelectCore& core : select.cores) {
    cores_.push_back(
        std::make_unique<CorePlan>(context, core, enclosing, single ? &select.order_by : nullptr));
    correlated_ = correlated_ || cores_.back()->correlated();
  }
  union_all_ = select.union_all;
  columns_ = cores_[0]->columns();
  for (const auto& core : cores_) {
    if (core->columns().size() != columns_.size()) {
      throw SqlError(
          205,
          "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an "
          "equal number of expressions in their target lists.");
    }
    for (std::size_t at = 0; core != cores_[0] && at < columns_.size(); ++at) {
      columns_[at].type = common_type(columns_[at].type, core->columns()[at].type);
      columns_[at].nullable = columns_[at].nullable || core->columns()[at].nullable;
    }
  }
  for (const OrderItem& item : select.order_by) {
    if (single) {
      break;
    }
    std::optional<std::size_t> place;
    for (std::size_t at = 0; at < columns_.size(); ++at) {
      const bool by_name = item.expr->kind == ExprKind::kColumn &&
                           same_name(columns_[at].name, item.expr->name.back());
      const bool by_number = item.expr->kind == ExprKind::kLiteral &&
                             item.expr->value.index() == 1 &&
                             integer_of(item.expr->value) == static_cast<std::int64_t>(at) + 1;
      place = by_name || by_number ? at : place;
    }
    if (!place) {
      throw SqlError(
          104,
          "ORDER BY items must appear in the select list if the statement contains a UNION, "
          "INTERSECT or EXCEPT operator.",
          15);
    }
    union_order_.emplace_back(*place, item.descending);
  }
  if (select.offset) {
    offset_ = Binder(context, Scope()).bind(*select.offset);
  }
  if (select.fetch) {
    fetch_ = Binder(context, Scope()).bind(*select.fetch);
  }
}

Plan::~Plan() = default;

bool Plan::assigns() const {
  return cores_[0]->assigns();
}

const std::vector<RowPtr>& Plan::rows(const Frame* outer) {
  if (!ran_ || correlated_) {
    run(outer);
    ran_ = true;
  }
  return rows_;
}

void Plan::run(const Frame* outer) {
  // A scope with common tables stands between its query and the enclosing one.
  Frame between;
  between.outer = outer;
  const Frame* enclosing = scope_.common_tables.empty() ? outer : &between;
  const std::int64_t skip = offset_ ? row_count(*offset_) : 0;
  std::optional<std::int64_t> limit;
  if (fetch_) {
    limit = skip + row_count(*fetch_);
  }
  if (cores_.size() == 1) {
    rows_ = cores_[0]->rows(enclosing, limit);
  } else {
    std::vector<SortedRow> all;
    for (std::size_t at = 0; at < cores_.size(); ++at) {
      for (const RowPtr& row : cores_[at]->rows(enclosing, std::nullopt)) {
        auto brought = std::make_shared<Row>();
        for (std::size_t column = 0; column < columns_.size(); ++column) {
          brought->push_back(
              convert((*row)[column], cores_[at]->columns()[column].type, columns_[column].type));
        }
        all.push_back({std::move(brought), {}});
      }
      if (at > 0 && !union_all_[at - 1]) {
        std::set<std::string> seen;
        std::erase_if(all, [&](const SortedRow& row) {
          return !seen.insert(row_key(*row.row, columns_)).second;
        });
      }
    }
    std::vector<SortKey> keys;
    for (const auto& [column, descending] : union_order_) {
      keys.push_back({columns_[column].type, descending});
      for (SortedRow& row : all) {
        row.keys.push_back((*row.row)[column]);
      }
    }
    sort_rows(all, keys);
    rows_.clear();
    for (SortedRow& row : all) {
      rows_.push_back(std::move(row.row));
    }
    if (limit && static_cast<std::int64_t>(rows_.size()) > *limit) {
      rows_.resize(static_cast<std::size_t>(*limit));
    }
  }
  rows_.erase(rows_.begin(), rows_.begin() + std::min<std::int64_t>(skip, std::ssize(rows_)));
}

}  // namespace headgate::test::sqlserver
