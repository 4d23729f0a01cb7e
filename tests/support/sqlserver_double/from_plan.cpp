#include <algorithm>
#include <unordered_map>

#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/query.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

// column op value, where the value reads nothing of the FROM clause.
struct Seek {
  std::size_t place = 0;
  std::string op;
  Bound value;
  SqlType column_type;
};

std::vector<RowsetColumn> columns_of(const Table& table) {
  std::vector<RowsetColumn> columns;
  for (const Column& column : table.shape->columns) {
    columns.push_back({column.name, column.type, column.nullable});
  }
  return columns;
}

void flatten_and(const Expr& expr, std::vector<const Expr*>& parts) {
  if (expr.kind == ExprKind::kBinary && expr.text == "AND") {
    flatten_and(*expr.args[0], parts);
    flatten_and(*expr.args[1], parts);
  } else {
    parts.push_back(&expr);
  }
}

std::string mirrored(const std::string& op) {
  return op == "<" ? ">" : op == "<=" ? ">=" : op == ">" ? "<" : op == ">=" ? "<=" : op;
}

bool has_hint(const FromItem& item, const char* hint) {
  return std::find(item.hints.begin(), item.hints.end(), hint) != item.hints.end();
}

}  // namespace

struct FromPlan::Node {
  const FromItem* item = nullptr;
  // a leaf
  std::size_t source = 0;
  TablePtr table;
  ReadView view;
  std::vector<Seek> seeks;
  std::optional<std::size_t> ordered_by;  // place of the column whose index gives the order
  std::function<std::vector<RowPtr>(const Frame*)> load;
  std::vector<RowPtr> held;
  std::vector<std::vector<RowPtr>> retired;  // groups may still point at their rows
  bool once = true;                          // `load` gives the same rows each time
  bool loaded = false;
  std::size_t slot = 0;  // of the row that is being produced
  // a join
  JoinKind join = JoinKind::kCross;
  std::unique_ptr<Node> left;
  std::unique_ptr<Node> right;
  std::optional<Bound> on;
  std::vector<std::pair<Bound, Bound>> hash_keys;  // left, right, of one type
  bool right_collected = false;
  std::vector<std::vector<const Row*>> right_rows;
  std::unordered_multimap<std::string, std::size_t> right_by_key;
  std::vector<bool> right_met;

  bool is_join() const { return left != nullptr; }
  void sources(std::vector<std::size_t>& into) const {
    if (is_join()) {
      left->sources(into);
      right->sources(into);
    } else {
      into.push_back(source);
    }
  }
  std::uint64_t mask() const {
    std::vector<std::size_t> all;
    sources(all);
    std::uint64_t bits = 0;
    for (const std::size_t one : all) {
      bits |= std::uint64_t{1} << one;
    }
    return bits;
  }
};

FromPlan::FromPlan(Context& context, const FromItem& from, Scope& scope)
    : context_(context), scope_(scope) {
  root_ = build(from);
}

FromPlan::~FromPlan() = default;

std::unique_ptr<FromPlan::Node> FromPlan::build(const FromItem& item) {
  return item.kind == FromItem::Kind::kJoin ? build_join(item) : build_leaf(item);
}

std::unique_ptr<FromPlan::Node> FromPlan::build_leaf(const FromItem& item) {
  auto node = std::make_unique<Node>();
  node->item = &item;
  Source source;
  source.name = item.name;
  source.alias = item.alias;
  SessionState& session = context_.session;

  const auto from_rowset = [&](Rowset rowset) {
    source.columns = std::move(rowset.columns);
    node->load = [rows = std::move(rowset.rows)](const Frame*) { return rows; };
  };
  const CommonTablePlan* common = nullptr;
  if (item.kind == FromItem::Kind::kTable && item.name.size() == 1) {
    for (const Scope* scope = &scope_; scope != nullptr && common == nullptr;
         scope = scope->outer) {
      for (const CommonTablePlan& candidate : scope->common_tables) {
        common = same_name(candidate.name, item.name[0]) ? &candidate : common;
      }
    }
  }
  if (common != nullptr) {
    source.columns = common->columns;
    node->load = [plan = common->plan](const Frame*) { return plan->rows(nullptr); };
  } else if (item.kind == FromItem::Kind::kDerived) {
    auto plan = std::make_shared<Plan>(context_, *item.query, &scope_);
    source.columns = plan->columns();
    node->once = !plan->correlated();
    correlated_ = correlated_ || plan->correlated();
    node->load = [plan](const Frame* frame) { return plan->rows(frame); };
  } else if (item.kind == FromItem::Kind::kValues) {
    Rowset rowset;
    for (const auto& values : item.rows) {
      auto row = std::make_shared<Row>();
      for (std::size_t at = 0; at < values.size(); ++at) {
        const Bound bound = Binder(context_, scope_).bind(*values[at]);
        if (rowset.rows.empty()) {
          rowset.columns.push_back({"", bound.type, true});
        } else if (!bound.is_literal_null) {
          rowset.columns[at].type = common_type(rowset.columns[at].type, bound.type);
        }
        row->push_back(convert(bound.eval({}), bound.type, rowset.columns[at].type));
      }
      rowset.rows.push_back(std::move(row));
    }
    from_rowset(std::move(rowset));
  } else if (item.kind == FromItem::Kind::kFunction) {
    auto function = table_function(context_, item.name);
    if (!function) {
      throw invalid_object(item.name.size() > 1
                               ? item.name[item.name.size() - 2] + "." + item.name.back()
                               : item.name.back());
    }
    source.columns = function->columns;
    if (source.alias.empty()) {
      source.alias = item.name.back();
    }
    std::vector<Bound> args;
    for (const ExprPtr& arg : item.args) {
      args.push_back(Binder(context_, scope_).bind(*arg));
      node->once = node->once && args.back().sources == 0;
      correlated_ = correlated_ || args.back().outer;
    }
    node->load = [args, run = function->run](const Frame* frame) {
      std::vector<TypedValue> values;
      for (const Bound& arg : args) {
        values.push_back({arg.type, arg.eval(*frame)});
      }
      return run(values);
    };
  } else if (const TablePtr table = find_table(session, item.name)) {
    const bool temporary = item.name.back().starts_with("@") || item.name.back().starts_with("#");
    if (!temporary) {
      require_select(session, resolve(session, item.name));
      source.name = {table->schema, table->name};
    }
    node->table = table;
    node->view = context_.view;
    if (has_hint(item, "nolock") || has_hint(item, "readuncommitted")) {
      node->view.dirty = true;
      node->view.blocking = false;
    }
    const bool keeps = has_hint(item, "holdlock") || has_hint(item, "serializable");
    if (keeps && (has_hint(item, "tablock") || has_hint(item, "tablockx")) &&
        session.transaction != nullptr) {
      session.engine.lock_shared(*session.transaction, table);
    }
    source.columns = columns_of(*table);
  } else {
    const ObjectName name = resolve(session, item.name);
    auto rowset = catalog_view(context_, *name.database, name.schema, name.object);
    if (!rowset) {
      throw invalid_object(item.name.size() > 1
                               ? item.name[item.name.size() - 2] + "." + item.name.back()
                               : item.name.back());
    }
    source.name = {name.schema, name.object};
    from_rowset(std::move(*rowset));
  }
  for (std::size_t at = 0; at < item.columns.size() && at < source.columns.size(); ++at) {
    source.columns[at].name = item.columns[at];
  }
  node->source = scope_.sources.size();
  scope_.sources.push_back(std::move(source));
  leaves_.push_back(node.get());
  return node;
}

std::unique_ptr<FromPlan::Node> FromPlan::build_join(const FromItem& item) {
  auto node = std::make_unique<Node>();
  node->item = &item;
  node->join = item.join;
  node->left = build(*item.left);
  node->right = build(*item.right);
  if (item.on) {
    node->on = Binder(context_, scope_).bind(*item.on);
    correlated_ = correlated_ || node->on->outer;
    find_hash_keys(*node, *item.on);
  }
  return node;
}

// Of a condition with a = b, where the two sides read one side of the join each.
void FromPlan::find_hash_keys(Node& join, const Expr& condition) {
  std::vector<const Expr*> parts;
  flatten_and(condition, parts);
  const std::uint64_t left_mask = join.left->mask();
  const std::uint64_t right_mask = join.right->mask();
  const auto reads_only = [](const Bound& bound, std::uint64_t mask) {
    return bound.sources != 0 && (bound.sources & ~mask) == 0;
  };
  for (const Expr* part : parts) {
    if (part->kind != ExprKind::kBinary || part->text != "=") {
      continue;
    }
    Bound first = Binder(context_, scope_).bind(*part->args[0]);
    Bound second = Binder(context_, scope_).bind(*part->args[1]);
    if (reads_only(first, right_mask)) {
      std::swap(first, second);
    }
    if (!reads_only(first, left_mask) || !reads_only(second, right_mask)) {
      continue;
    }
    const SqlType type = common_type(first.type, second.type);
    join.hash_keys.emplace_back(converted(std::move(first), type),
                                converted(std::move(second), type));
  }
}

FromPlan::Node* FromPlan::leaf_of(std::size_t source) const {
  const auto found = std::find_if(leaves_.begin(), leaves_.end(),
                                  [source](const Node* leaf) { return leaf->source == source; });
  return found == leaves_.end() ? nullptr : *found;
}

void FromPlan::lock_rows() {
  if (context_.session.transaction == nullptr) {
    return;
  }
  for (const Node* leaf : leaves_) {
    if (leaf->table && (has_hint(*leaf->item, "updlock") || has_hint(*leaf->item, "xlock"))) {
      context_.engine().lock_row(*context_.session.transaction, leaf->table, leaf->slot);
    }
  }
}

TablePtr FromPlan::table_of(std::size_t source) const {
  return leaf_of(source)->table;
}
std::size_t FromPlan::slot_of(std::size_t source) const {
  return leaf_of(source)->slot;
}

void FromPlan::use_condition(const Expr& where) {
  // Under an outer join a condition on the inner table must not be used before the join.
  const bool single = !root_->is_join();
  std::vector<const Expr*> parts;
  flatten_and(where, parts);
  for (const Expr* part : parts) {
    std::vector<std::pair<std::string, const Expr*>> bounds;
    const Expr* column = nullptr;
    if (part->kind == ExprKind::kBetween && !part->negated) {
      column = part->args[0].get();
      bounds = {{">=", part->args[1].get()}, {"<=", part->args[2].get()}};
    } else if (part->kind == ExprKind::kBinary && part->text != "OR" && part->text != "AND" &&
               part->text != "<>") {
      const bool column_first = part->args[0]->kind == ExprKind::kColumn;
      column = part->args[column_first ? 0 : 1].get();
      bounds = {{column_first ? part->text : mirrored(part->text),
                 part->args[column_first ? 1 : 0].get()}};
    }
    if (column == nullptr || column->kind != ExprKind::kColumn || !single) {
      continue;
    }
    Node& leaf = *root_;
    if (!leaf.table || Binder(context_, scope_).bind(*column).sources == 0) {
      continue;
    }
    const std::size_t place = leaf.table->shape->place_of(column->name.back()).value_or(0);
    const SqlType column_type = leaf.table->shape->columns[place].type;
    for (const auto& [op, expr] : bounds) {
      Bound value = Binder(context_, scope_).bind(*expr);
      const bool strings = (value.type.is_text() && column_type.is_text() &&
                            (column_type.is_unicode() || !value.type.is_unicode()) &&
                            (value.type.text_order == TextOrder::kDatabase ||
                             value.type.text_order == column_type.text_order)) ||
                           (value.type.is_bytes() && column_type.is_bytes());
      const bool convertible = !column_type.is_text() && !column_type.is_bytes() &&
                               !column_type.is_exact_scaled() &&
                               common_type(value.type, column_type).kind == column_type.kind &&
                               value.type.kind != TypeKind::kVariant;
      if (value.sources == 0 && leaf.table->seekable(place) && (strings || convertible)) {
        if (!strings) {
          value = converted(std::move(value), column_type);
        }
        leaf.seeks.push_back({place, op, std::move(value), column_type});
      }
    }
  }
}

bool FromPlan::use_order(const std::vector<OrderItem>& order) {
  if (root_->is_join() || !root_->table) {
    return false;
  }
  Node& leaf = *root_;
  std::vector<std::size_t> places;
  for (const OrderItem& item : order) {
    const auto place = item.expr->kind == ExprKind::kColumn && !item.descending
                           ? leaf.table->shape->place_of(item.expr->name.back())
                           : std::nullopt;
    if (!place) {
      return false;
    }
    places.push_back(*place);
  }
  if (leaf.table->append_ordered) {
    // As the clustered index of a change table has it; lsn_time_mapping has its first column.
    static const std::vector<std::string> natural = {"__$start_lsn", "__$command_id", "__$seqval",
                                                     "__$operation"};
    for (std::size_t at = 0; at < places.size(); ++at) {
      const std::string& name = leaf.table->shape->columns[places[at]].name;
      const bool first = at == 0 && places[at] == 0;
      if (!first && (at >= natural.size() || name != natural[at])) {
        return false;
      }
    }
    return true;
  }
  for (const Key& key : leaf.table->keys()) {
    const auto key_places = leaf.table->places_of(key.column_ids);
    if (key_places.front() != places.front()) {
      continue;
    }
    const bool prefix = places.size() <= key_places.size() &&
                        std::equal(places.begin(), places.end(), key_places.begin());
    const bool other_seek =
        std::any_of(leaf.seeks.begin(), leaf.seeks.end(),
                    [&](const Seek& seek) { return seek.place != places.front(); });
    // candidates() takes the first index on a column, so only that one's order is known.
    if (!prefix || other_seek) {
      return false;
    }
    leaf.ordered_by = places.front();
    return true;
  }
  return false;
}

void FromPlan::produce(const Frame* outer, const std::function<bool(Frame&)>& emit) {
  for (Node* leaf : leaves_) {
    leaf->loaded = false;
    leaf->retired.clear();
  }
  Frame frame;
  frame.outer = outer;
  frame.rows.assign(scope_.sources.size(), nullptr);
  produce_node(*root_, frame, emit);
}

bool FromPlan::produce_node(Node& node, Frame& frame, const std::function<bool(Frame&)>& emit) {
  if (node.is_join()) {
    node.right_collected = false;
    return produce_join(node, frame, emit);
  }
  if (node.table) {
    return produce_table(node, frame, emit);
  }
  if (!node.loaded || !node.once) {
    node.retired.push_back(std::move(node.held));
    node.held = node.load(&frame);
    node.loaded = true;
  }
  for (const RowPtr& row : node.held) {
    frame.rows[node.source] = row.get();
    if (!emit(frame)) {
      return false;
    }
  }
  return true;
}

bool FromPlan::produce_table(Node& node, Frame& frame, const std::function<bool(Frame&)>& emit) {
  std::optional<ColumnRange> range;
  if (node.ordered_by) {
    range = ColumnRange{*node.ordered_by, std::nullopt, std::nullopt};
  }
  for (const Seek& seek : node.seeks) {
    if (!range) {
      range = ColumnRange{seek.place, std::nullopt, std::nullopt};
    }
    if (range->place != seek.place) {
      continue;
    }
    const Value value = seek.value.eval(frame);
    if (is_null(value)) {
      return true;
    }
    if ((seek.op[0] == '>' || seek.op == "=") &&
        (!range->least || order(*range->least, value, seek.column_type) < 0)) {
      range->least = value;
    }
    if ((seek.op[0] == '<' || seek.op == "=") &&
        (!range->most || order(value, *range->most, seek.column_type) < 0)) {
      range->most = value;
    }
  }
  const bool reads_past = has_hint(*node.item, "readpast");
  for (const std::size_t slot : node.table->candidates(range)) {
    if (reads_past && node.table->held_by_other(slot, node.view.own) != 0) {
      continue;
    }
    if (!node.table->visible(slot, node.view)) {
      continue;
    }
    const RowPtr row = node.table->version(slot).row;
    frame.rows[node.source] = row.get();
    node.slot = slot;
    if (!emit(frame)) {
      return false;
    }
  }
  return true;
}

bool FromPlan::produce_right_of(Node& join, Frame& frame, const std::function<bool(Frame&)>& emit,
                                bool& met) {
  std::vector<std::size_t> sources;
  join.right->sources(sources);
  const auto try_one = [&](std::size_t at) {
    for (std::size_t i = 0; i < sources.size(); ++i) {
      frame.rows[sources[i]] = join.right_rows[at][i];
    }
    if (join.on && !is_true(join.on->eval(frame))) {
      return true;
    }
    met = true;
    join.right_met[at] = true;
    return emit(frame);
  };
  if (join.hash_keys.empty()) {
    for (std::size_t at = 0; at < join.right_rows.size(); ++at) {
      if (!try_one(at)) {
        return false;
      }
    }
    return true;
  }
  std::string key;
  for (const auto& [left, right] : join.hash_keys) {
    const Value value = left.eval(frame);
    if (is_null(value)) {
      return true;
    }
    key += equality_key(value, left.type) + '\0';
  }
  std::vector<std::size_t> matches;
  const auto [begin, end] = join.right_by_key.equal_range(key);
  for (auto at = begin; at != end; ++at) {
    matches.push_back(at->second);
  }
  std::sort(matches.begin(), matches.end());
  return std::all_of(matches.begin(), matches.end(), try_one);
}

bool FromPlan::produce_join(Node& node, Frame& frame, const std::function<bool(Frame&)>& emit) {
  const bool apply = node.join == JoinKind::kCrossApply || node.join == JoinKind::kOuterApply;
  const bool left_outer = node.join == JoinKind::kLeft || node.join == JoinKind::kFull ||
                          node.join == JoinKind::kOuterApply;
  const bool right_outer = node.join == JoinKind::kRight || node.join == JoinKind::kFull;
  std::vector<std::size_t> right_sources;
  std::vector<std::size_t> left_sources;
  node.right->sources(right_sources);
  node.left->sources(left_sources);
  const auto clear = [&frame](const std::vector<std::size_t>& sources) {
    for (const std::size_t source : sources) {
      frame.rows[source] = nullptr;
    }
  };
  if (!apply) {
    node.right_rows.clear();
    node.right_by_key.clear();
    produce_node(*node.right, frame, [&](Frame& with_right) {
      std::vector<const Row*> rows;
      for (const std::size_t source : right_sources) {
        rows.push_back(with_right.rows[source]);
      }
      std::string key;
      for (const auto& [left, right] : node.hash_keys) {
        key += equality_key(right.eval(with_right), right.type) + '\0';
      }
      node.right_by_key.emplace(std::move(key), node.right_rows.size());
      node.right_rows.push_back(std::move(rows));
      return true;
    });
    node.right_met.assign(node.right_rows.size(), false);
    clear(right_sources);
  }
  const bool more = produce_node(*node.left, frame, [&](Frame& with_left) {
    bool met = false;
    const bool go_on = apply ? produce_node(*node.right, with_left,
                                            [&](Frame& both) {
                                              met = true;
                                              return emit(both);
                                            })
                             : produce_right_of(node, with_left, emit, met);
    clear(right_sources);
    return go_on && (met || !left_outer || emit(with_left));
  });
  if (!more || !right_outer) {
    return more;
  }
  clear(left_sources);
  for (std::size_t at = 0; at < node.right_rows.size(); ++at) {
    if (node.right_met[at]) {
      continue;
    }
    for (std::size_t i = 0; i < right_sources.size(); ++i) {
      frame.rows[right_sources[i]] = node.right_rows[at][i];
    }
    if (!emit(frame)) {
      return false;
    }
  }
  return true;
}

}  // namespace headgate::test::sqlserver
