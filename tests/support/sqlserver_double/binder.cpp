#include "support/sqlserver_double/binder.hpp"

#include <array>

#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/query.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

SqlType bit() {
  return type_of(TypeKind::kBit);
}

std::string joined(const Name& name) {
  std::string text;
  for (const std::string& part : name) {
    text += (text.empty() ? "" : ".") + part;
  }
  return text;
}

// Whether `qualifier` (all of a column's name but its last part) means this source.
bool qualifies(const Source& source, const Name& qualifier) {
  if (qualifier.size() == 1 && !source.alias.empty()) {
    return same_name(source.alias, qualifier[0]);
  }
  if (qualifier.size() > source.name.size()) {
    return false;
  }
  for (std::size_t at = 0; at < qualifier.size(); ++at) {
    if (!same_name(source.name[source.name.size() - qualifier.size() + at], qualifier[at])) {
      return false;
    }
  }
  return true;
}

struct ColumnPlace {
  std::size_t source = 0;
  std::size_t column = 0;
};

std::optional<ColumnPlace> find_column(const Scope& scope, const Name& name) {
  const Name qualifier(name.begin(), name.end() - 1);
  std::optional<ColumnPlace> found;
  for (std::size_t source = 0; source < scope.sources.size(); ++source) {
    if (!qualifier.empty() && !qualifies(scope.sources[source], qualifier)) {
      continue;
    }
    const auto& columns = scope.sources[source].columns;
    for (std::size_t column = 0; column < columns.size(); ++column) {
      if (same_name(columns[column].name, name.back())) {
        if (found) {
          throw SqlError(209, "Ambiguous column name '" + name.back() + "'.");
        }
        found = ColumnPlace{source, column};
      }
    }
  }
  return found;
}

// Words that stand where a column may, as the unit of DATEADD does.
Bound as_word(const std::string& word) {
  return constant(text_type(static_cast<int>(word.size()), false), text_value(word));
}

bool takes_word_first(const std::string& function) {
  static constexpr std::array<const char*, 6> kFunctions = {"dateadd",  "datediff", "datediff_big",
                                                            "datepart", "datename", "datetrunc"};
  for (const char* name : kFunctions) {
    if (function == name) {
      return true;
    }
  }
  return false;
}

}  // namespace

Bound constant(SqlType type, Value value) {
  Bound bound;
  bound.type = type;
  bound.nullable = is_null(value);
  bound.eval = [value = std::move(value)](const Frame&) { return value; };
  return bound;
}

void merge_marks(Bound& into, const Bound& from) {
  into.sources |= from.sources;
  into.outer = into.outer || from.outer;
}

Bound converted(Bound from, const SqlType& type, int style) {
  if (from.type == type) {
    return from;
  }
  Bound bound = from;
  bound.type = type;
  bound.eval = [eval = std::move(from.eval), from_type = from.type, type,
                style](const Frame& frame) { return convert(eval(frame), from_type, type, style); };
  return bound;
}

Bound strict_function(const SqlType& type, const std::vector<Bound>& args,
                      std::function<Value(const std::vector<Value>&)> body) {
  Bound bound;
  bound.type = type;
  std::vector<Evaluate> evals;
  for (const Bound& arg : args) {
    merge_marks(bound, arg);
    evals.push_back(arg.eval);
  }
  bound.eval = [evals = std::move(evals), body = std::move(body)](const Frame& frame) -> Value {
    std::vector<Value> values;
    values.reserve(evals.size());
    for (const Evaluate& eval : evals) {
      values.push_back(eval(frame));
      if (is_null(values.back())) {
        return Null{};
      }
    }
    return body(values);
  };
  return bound;
}

Bound Binder::bind(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kLiteral: {
      Bound bound = constant(expr.type, expr.value);
      bound.is_literal_null = is_null(expr.value);
      return bound;
    }
    case ExprKind::kColumn:
      return bind_column(expr);
    case ExprKind::kVariable:
      return bind_variable(expr);
    case ExprKind::kUnary:
      return bind_unary(expr);
    case ExprKind::kBinary:
      return bind_binary(expr);
    case ExprKind::kCall:
      return bind_call(expr);
    case ExprKind::kMethod:
      return bind_method(expr);
    case ExprKind::kCase:
      return bind_case(expr);
    case ExprKind::kCast:
      return bind_cast(expr);
    case ExprKind::kIn:
      return bind_in(expr);
    case ExprKind::kBetween:
      return bind_between(expr);
    case ExprKind::kLike:
      return bind_like(expr);
    case ExprKind::kIsNull: {
      Bound operand = bind(*expr.args[0]);
      operand.eval = [eval = std::move(operand.eval), negated = expr.negated](const Frame& frame) {
        return truth(is_null(eval(frame)) != negated);
      };
      operand.type = bit();
      return operand;
    }
    case ExprKind::kExists:
    case ExprKind::kSubquery:
      return bind_subquery(expr);
    case ExprKind::kAtTimeZone:
      return bind_at_time_zone(expr);
    case ExprKind::kCollate: {
      Bound operand = bind(*expr.args[0]);
      operand.type.text_order = expr.type.text_order;
      return operand;
    }
    case ExprKind::kNextValue:
      return bind_next_value(expr);
  }
  throw syntax_error(expr.text);
}

Bound Binder::bind_column(const Expr& expr) {
  std::size_t depth = 0;
  for (const Scope* scope = &scope_; scope != nullptr; scope = scope->outer, ++depth) {
    const auto place = find_column(*scope, expr.name);
    if (!place) {
      continue;
    }
    const RowsetColumn& column = scope->sources[place->source].columns[place->column];
    Bound bound;
    bound.type = column.type;
    bound.nullable = column.nullable;
    bound.sources = depth == 0 ? std::uint64_t{1} << place->source : 0;
    bound.outer = depth > 0;
    bound.eval = [depth, at = *place](const Frame& frame) -> Value {
      const Frame* holder = &frame;
      for (std::size_t up = 0; up < depth; ++up) {
        holder = holder->outer;
      }
      const Row* row = holder->rows[at.source];
      return row == nullptr ? Value(Null{}) : (*row)[at.column];
    };
    return bound;
  }
  throw expr.name.size() == 1 ? invalid_column(expr.name.back())
                              : SqlError(4104, "The multi-part identifier \"" + joined(expr.name) +
                                                   "\" could not be bound.");
}

Bound Binder::bind_variable(const Expr& expr) {
  SessionState& session = context_.session;
  if (expr.text.starts_with("@@")) {
    const TypedValue value = system_variable(session, lower(expr.text));
    return constant(value.type, value.value);
  }
  const auto found = session.variables.find(lower(expr.text));
  if (found == session.variables.end()) {
    throw SqlError(137, "Must declare the scalar variable \"" + expr.text + "\".", 15, 2);
  }
  // Read when evaluated: SELECT @x = @x + … changes it from row to row.
  Bound bound;
  bound.type = found->second.type;
  bound.eval = [value = &found->second](const Frame&) { return value->value; };
  return bound;
}

Bound Binder::bind_unary(const Expr& expr) {
  Bound operand = bind(*expr.args[0]);
  if (expr.text == "+") {
    return operand;
  }
  if (expr.text == "NOT") {
    operand.eval = [eval = std::move(operand.eval)](const Frame& frame) -> Value {
      const Value value = eval(frame);
      return is_null(value) ? value : truth(!is_true(value));
    };
    return operand;
  }
  if (expr.text == "~") {
    return strict_function(operand.type, {operand}, [](const std::vector<Value>& args) -> Value {
      return ~integer_of(args[0]);
    });
  }
  // -2147483648 is written as a minus before a number that is no int.
  if (expr.args[0]->kind == ExprKind::kLiteral && operand.type.is_exact_scaled()) {
    return constant(operand.type, -std::get<Int128>(expr.args[0]->value));
  }
  const SqlType type = operand.type;
  return arithmetic("-",
                    constant(type.is_integer() ? type_of(TypeKind::kInt) : type,
                             convert(std::int64_t{0}, type_of(TypeKind::kInt), type)),
                    std::move(operand));
}

Bound Binder::bind_binary(const Expr& expr) {
  Bound left = bind(*expr.args[0]);
  Bound right = bind(*expr.args[1]);
  if (expr.text == "AND" || expr.text == "OR") {
    return logical(expr.text, std::move(left), std::move(right));
  }
  const char first = expr.text[0];
  return first == '=' || first == '<' || first == '>'
             ? comparison(expr.text, std::move(left), std::move(right))
             : arithmetic(expr.text, std::move(left), std::move(right));
}

Bound Binder::bind_aggregate(const std::string& function, const Expr& expr) {
  if (aggregates_ == nullptr) {
    throw SqlError(147, "An aggregate may not appear here: " + function + ".", 15);
  }
  Aggregate aggregate;
  aggregate.function = function;
  aggregate.star = expr.star;
  aggregate.distinct = expr.distinct;
  if (!expr.star) {
    aggregate.argument = Binder(context_, scope_).bind(*expr.args[0]);
  }
  const SqlType argument = aggregate.argument.type;
  aggregate.type = argument;
  if (function == "count" || function == "count_big") {
    aggregate.type = type_of(function == "count" ? TypeKind::kInt : TypeKind::kBigInt);
  } else if (function == "string_agg") {
    aggregate.type = text_type(kMaxLength, argument.is_unicode());
    aggregate.separator = text_of(
        convert(bind(*expr.args[1]).eval({}), bind(*expr.args[1]).type, text_type(4000, true)));
  } else if (function == "sum" || function == "avg") {
    if (argument.is_integer() && argument.kind != TypeKind::kBigInt) {
      aggregate.type = type_of(TypeKind::kInt);
    } else if (argument.kind == TypeKind::kDecimal || argument.kind == TypeKind::kNumeric) {
      aggregate.type =
          decimal_type(38, function == "avg" ? std::max(6, argument.scale) : argument.scale);
    } else if (argument.kind == TypeKind::kSmallMoney) {
      aggregate.type = type_of(TypeKind::kMoney);
    } else if (argument.is_approximate()) {
      aggregate.type = type_of(TypeKind::kFloat);
    }
  }
  aggregates_->push_back(aggregate);
  Bound bound;
  bound.type = aggregate.type;
  bound.eval = [at = aggregates_->size() - 1](const Frame& frame) {
    return (*frame.aggregates)[at];
  };
  return bound;
}

Bound Binder::bind_call(const Expr& expr) {
  const std::string function = lower(expr.name.back());
  if (expr.over) {
    throw syntax_error(function + " OVER");
  }
  if (is_aggregate(function) && expr.name.size() == 1) {
    return bind_aggregate(function, expr);
  }
  std::vector<Bound> args;
  for (std::size_t at = 0; at < expr.args.size(); ++at) {
    const Expr& arg = *expr.args[at];
    args.push_back(at == 0 && takes_word_first(function) && arg.kind == ExprKind::kColumn
                       ? as_word(lower(arg.name.back()))
                       : bind(arg));
  }
  for (const auto* table : {&text_functions(), &number_functions(), &time_functions(),
                            &system_functions(), &cdc_functions()}) {
    if (const auto found = table->find(function); found != table->end()) {
      const bool qualified_name = function.starts_with("fn_");
      if (qualified_name == (expr.name.size() > 1)) {
        return found->second(context_, std::move(args));
      }
    }
  }
  throw expr.name.size() == 1
      ? SqlError(195, "'" + expr.name[0] + "' is not a recognized built-in function name.", 15, 10)
      : SqlError(4121, "Cannot find either column \"" + expr.name[0] +
                           "\" or the user-defined function or aggregate \"" + joined(expr.name) +
                           "\", or the name is ambiguous.");
}

Bound Binder::bind_method(const Expr& expr) {
  Bound object = bind(*expr.args[0]);
  const std::string method = lower(expr.text);
  if (method == "stasbinary") {
    object.type = binary_type(kMaxLength);
    object.type.length = kMaxLength;
    return object;
  }
  if (method == "tostring" || method == "stastext") {
    return converted(std::move(object), text_type(kMaxLength, true));
  }
  throw SqlError(
      6506, "Could not find method '" + expr.text + "' for type '" + name_of(object.type) + "'.");
}

Bound Binder::bind_case(const Expr& expr) {
  std::vector<Bound> conditions;
  std::vector<Bound> results;
  for (std::size_t at = 0; at + 1 < expr.args.size(); at += 2) {
    Bound condition = bind(*expr.args[at]);
    conditions.push_back(expr.operand ? comparison("=", bind(*expr.operand), std::move(condition))
                                      : std::move(condition));
    results.push_back(bind(*expr.args[at + 1]));
  }
  if (expr.has_else) {
    results.push_back(bind(*expr.args.back()));
  }
  Bound bound;
  bool typed = false;
  for (const Bound& result : results) {
    merge_marks(bound, result);
    if (!result.is_literal_null) {
      bound.type = typed ? common_type(bound.type, result.type) : result.type;
      typed = true;
    }
  }
  for (const Bound& condition : conditions) {
    merge_marks(bound, condition);
  }
  for (Bound& result : results) {
    result = converted(std::move(result), bound.type);
  }
  bound.eval = [conditions, results](const Frame& frame) -> Value {
    for (std::size_t at = 0; at < conditions.size(); ++at) {
      if (is_true(conditions[at].eval(frame))) {
        return results[at].eval(frame);
      }
    }
    return results.size() > conditions.size() ? results.back().eval(frame) : Value(Null{});
  };
  return bound;
}

Bound Binder::bind_cast(const Expr& expr) {
  Bound operand = bind(*expr.args[0]);
  int style = 0;
  if (expr.args.size() > 1) {
    const Bound bound_style = bind(*expr.args[1]);
    style = static_cast<int>(
        integer_of(convert(bound_style.eval({}), bound_style.type, type_of(TypeKind::kInt))));
  }
  SqlType type = expr.type;
  if (type.is_text() && operand.type.is_text()) {
    type.text_order = operand.type.text_order;
  }
  Bound result = converted(std::move(operand), type, style);
  if (!expr.text.empty()) {
    result.eval = [eval = std::move(result.eval)](const Frame& frame) -> Value {
      try {
        return eval(frame);
      } catch (const SqlError&) {
        return Null{};
      }
    };
  }
  return result;
}

Bound Binder::bind_in(const Expr& expr) {
  Bound bound;
  bound.type = bit();
  Bound left = bind(*expr.args[0]);
  merge_marks(bound, left);
  if (expr.query) {
    auto plan = std::make_shared<Plan>(context_, *expr.query, &scope_);
    bound.outer = bound.outer || plan->correlated();
    bound.sources |= plan->correlated() ? ~std::uint64_t{0} : 0;
    const SqlType type = common_type(left.type, plan->columns()[0].type);
    bound.eval = [left, plan, type, negated = expr.negated](const Frame& frame) -> Value {
      const Value wanted = convert(left.eval(frame), left.type, type);
      if (is_null(wanted)) {
        return Null{};
      }
      bool unknown = false;
      for (const RowPtr& row : plan->rows(&frame)) {
        const Value value = convert((*row)[0], plan->columns()[0].type, type);
        unknown = unknown || is_null(value);
        if (!is_null(value) && order(wanted, value, type) == 0) {
          return truth(!negated);
        }
      }
      return unknown ? Value(Null{}) : truth(negated);
    };
    return bound;
  }
  Bound any = constant(bit(), truth(false));
  for (std::size_t at = 1; at < expr.args.size(); ++at) {
    any = logical("OR", std::move(any), comparison("=", left, bind(*expr.args[at])));
  }
  if (expr.negated) {
    any.eval = [eval = std::move(any.eval)](const Frame& frame) -> Value {
      const Value value = eval(frame);
      return is_null(value) ? value : truth(!is_true(value));
    };
  }
  return any;
}

Bound Binder::bind_between(const Expr& expr) {
  const Bound operand = bind(*expr.args[0]);
  Bound both = logical("AND", comparison(">=", operand, bind(*expr.args[1])),
                       comparison("<=", operand, bind(*expr.args[2])));
  if (expr.negated) {
    both.eval = [eval = std::move(both.eval)](const Frame& frame) -> Value {
      const Value value = eval(frame);
      return is_null(value) ? value : truth(!is_true(value));
    };
  }
  return both;
}

namespace {

// The pattern language of LIKE: %, _, [set], [^set].
bool matches_like(std::u16string_view text, std::u16string_view pattern, char16_t escape) {
  if (pattern.empty()) {
    return text.empty();
  }
  const char16_t c = pattern[0];
  if (c == u'%') {
    for (std::size_t skip = 0; skip <= text.size(); ++skip) {
      if (matches_like(text.substr(skip), pattern.substr(1), escape)) {
        return true;
      }
    }
    return false;
  }
  if (text.empty()) {
    return false;
  }
  if (escape != 0 && c == escape && pattern.size() > 1) {
    return lower(text[0]) == lower(pattern[1]) &&
           matches_like(text.substr(1), pattern.substr(2), escape);
  }
  if (c == u'[') {
    const std::size_t end = pattern.find(u']', 1);
    if (end != std::u16string_view::npos) {
      std::u16string_view set = pattern.substr(1, end - 1);
      const bool negated = !set.empty() && set[0] == u'^';
      set.remove_prefix(negated ? 1 : 0);
      bool found = false;
      for (std::size_t at = 0; at < set.size(); ++at) {
        const bool range = at + 2 < set.size() && set[at + 1] == u'-';
        found = found ||
                (range ? lower(text[0]) >= lower(set[at]) && lower(text[0]) <= lower(set[at + 2])
                       : lower(text[0]) == lower(set[at]));
        at += range ? 2u : 0u;
      }
      return found != negated && matches_like(text.substr(1), pattern.substr(end + 1), escape);
    }
  }
  return (c == u'_' || lower(c) == lower(text[0])) &&
         matches_like(text.substr(1), pattern.substr(1), escape);
}

}  // namespace

Bound Binder::bind_like(const Expr& expr) {
  const SqlType text = text_type(kMaxLength, true);
  std::vector<Bound> args;
  for (const ExprPtr& arg : expr.args) {
    args.push_back(converted(bind(*arg), text));
  }
  return strict_function(bit(), args, [negated = expr.negated](const std::vector<Value>& values) {
    const char16_t escape =
        values.size() > 2 && !text_of(values[2]).empty() ? text_of(values[2])[0] : u'\0';
    return truth(matches_like(text_of(values[0]), text_of(values[1]), escape) != negated);
  });
}

Bound Binder::bind_subquery(const Expr& expr) {
  auto plan = std::make_shared<Plan>(context_, *expr.query, &scope_);
  Bound bound;
  // Which source a correlated subquery reads is not looked into: it is taken to read all of them.
  bound.outer = plan->correlated();
  bound.sources = plan->correlated() ? ~std::uint64_t{0} : 0;
  if (expr.kind == ExprKind::kExists) {
    bound.type = bit();
    bound.eval = [plan](const Frame& frame) { return truth(!plan->rows(&frame).empty()); };
    return bound;
  }
  bound.type = plan->columns()[0].type;
  bound.eval = [plan](const Frame& frame) -> Value {
    const auto& rows = plan->rows(&frame);
    if (rows.size() > 1) {
      throw SqlError(512, "Subquery returned more than 1 value.");
    }
    return rows.empty() ? Value(Null{}) : (*rows[0])[0];
  };
  return bound;
}

Bound Binder::bind_next_value(const Expr& expr) {
  const ObjectName name = resolve(context_.session, expr.name);
  const auto found = name.database->sequences.find(lower(name.schema) + "." + lower(name.object));
  if (found == name.database->sequences.end()) {
    throw invalid_object(joined(expr.name));
  }
  Bound bound;
  bound.type = found->second.type;
  // What is taken stays taken, also when the transaction is rolled back.
  bound.eval = [sequence = &found->second](const Frame&) -> Value {
    const std::int64_t value = sequence->next;
    sequence->next += sequence->step;
    return convert(value, type_of(TypeKind::kBigInt), sequence->type);
  };
  return bound;
}

Bound Binder::bind_at_time_zone(const Expr& expr) {
  Bound moment = bind(*expr.args[0]);
  Bound zone_name = converted(bind(*expr.args[1]), text_type(128, true));
  SqlType type = type_of(TypeKind::kDateTimeOffset);
  const bool has_offset = moment.type.kind == TypeKind::kDateTimeOffset;
  type.scale = moment.type.kind == TypeKind::kDateTime        ? 3
               : moment.type.kind == TypeKind::kSmallDateTime ? 0
                                                              : moment.type.scale;
  return strict_function(
      type, {std::move(moment), std::move(zone_name)},
      [type, has_offset](const std::vector<Value>& args) -> Value {
        const auto zone = time_zone_named(utf8_of(args[1]));
        if (!zone) {
          throw SqlError(9820, "The time zone parameter '" + utf8_of(args[1]) +
                                   "' provided to AT TIME ZONE clause is invalid.");
        }
        Moment value = std::get<Moment>(args[0]);
        const int offset = has_offset ? zone->offset_at_utc(value) : zone->offset_at_local(value);
        if (!has_offset) {
          value = shifted(value, -offset * 60 * kTicksPerSecond);
        }
        value.offset = static_cast<std::int16_t>(offset);
        return rounded(value, type);
      });
}

}  // namespace headgate::test::sqlserver
