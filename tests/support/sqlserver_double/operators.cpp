#include <cmath>

#include "support/sqlserver_double/binder.hpp"
#include "support/sqlserver_double/convert.hpp"

namespace headgate::test::sqlserver {

namespace {

// The types of two operands made one; a literal NULL takes the other's.
void bring_together(Bound& left, Bound& right) {
  const SqlType type = left.is_literal_null    ? right.type
                       : right.is_literal_null ? left.type
                                               : common_type(left.type, right.type);
  left = converted(std::move(left), type);
  right = converted(std::move(right), type);
}

Value integer_result(const std::string& op, std::int64_t left, std::int64_t right,
                     const SqlType& type) {
  std::int64_t result = 0;
  bool overflow = false;
  switch (op[0]) {
    case '+':
      overflow = __builtin_add_overflow(left, right, &result);
      break;
    case '-':
      overflow = __builtin_sub_overflow(left, right, &result);
      break;
    case '*':
      overflow = __builtin_mul_overflow(left, right, &result);
      break;
    case '&':
      return left & right;
    case '|':
      return left | right;
    case '^':
      return left ^ right;
    default:
      if (right == 0) {
        throw SqlError(8134, "Divide by zero error encountered.");
      }
      result = op[0] == '/' ? left / right : left % right;
      break;
  }
  if (overflow) {
    throw arithmetic_overflow(name_of(type));
  }
  return convert(result, type_of(TypeKind::kBigInt), type);
}

Value approximate_result(const std::string& op, double left, double right, const SqlType& type) {
  double result = 0;
  switch (op[0]) {
    case '+':
      result = left + right;
      break;
    case '-':
      result = left - right;
      break;
    case '*':
      result = left * right;
      break;
    default:
      if (right == 0) {
        throw SqlError(8134, "Divide by zero error encountered.");
      }
      result = left / right;
      break;
  }
  if (!std::isfinite(result)) {
    throw arithmetic_overflow(name_of(type));
  }
  return convert(result, type_of(TypeKind::kFloat), type);
}

// What T-SQL's rules give for the result of an operation on two decimals.
SqlType decimal_result_type(char op, const SqlType& left, const SqlType& right) {
  int precision = 0;
  int scale = 0;
  switch (op) {
    case '*':
      precision = left.precision + right.precision + 1;
      scale = left.scale + right.scale;
      break;
    case '/':
      scale = std::max(6, left.scale + right.precision + 1);
      precision = left.precision - left.scale + right.scale + scale;
      break;
    default:
      scale = std::max(left.scale, right.scale);
      precision = std::max(left.precision - left.scale, right.precision - right.scale) + scale + 1;
      break;
  }
  if (precision > 38) {
    scale = std::max(std::min(scale, 6), scale - (precision - 38));
    precision = 38;
  }
  return decimal_type(precision, scale);
}

Value decimal_result(char op, Int128 left, const SqlType& left_type, Int128 right,
                     const SqlType& right_type, const SqlType& type) {
  std::optional<Int128> result;
  Int128 raw = 0;
  const int common = std::max(left_type.scale, right_type.scale);
  const auto l = rescaled(left, left_type.scale, common);
  const auto r = rescaled(right, right_type.scale, common);
  switch (op) {
    case '*':
      if (!__builtin_mul_overflow(left, right, &raw)) {
        result = rescaled(raw, left_type.scale + right_type.scale, type.scale);
      }
      break;
    case '/': {
      if (right == 0) {
        throw SqlError(8134, "Divide by zero error encountered.");
      }
      const auto scaled = rescaled(left, left_type.scale, type.scale + right_type.scale);
      if (scaled) {
        result = *scaled / right;
      }
      break;
    }
    case '%':
      if (l && r && *r != 0) {
        result = rescaled(*l % *r, common, type.scale);
      }
      break;
    default:
      if (l && r &&
          !(op == '+' ? __builtin_add_overflow(*l, *r, &raw)
                      : __builtin_sub_overflow(*l, *r, &raw))) {
        result = rescaled(raw, common, type.scale);
      }
      break;
  }
  if (!result || !fits(*result, type.precision)) {
    throw arithmetic_overflow("numeric");
  }
  return *result;
}

Bound concatenation(Bound left, Bound right) {
  SqlType type = common_type(left.type, right.type);
  const bool fits_in = !left.type.is_max() && !right.type.is_max();
  const int most = type.is_unicode() ? 4000 : 8000;
  const int length = fits_in ? std::min(most, left.type.length + right.type.length) : kMaxLength;
  if (type.is_text()) {
    type = text_type(length, type.is_unicode());
  } else {
    type = binary_type(length);
  }
  left = converted(std::move(left), left.type.is_text() == type.is_text() ? left.type : type);
  right = converted(std::move(right), right.type.is_text() == type.is_text() ? right.type : type);
  return strict_function(type, {std::move(left), std::move(right)},
                         [type](const std::vector<Value>& args) -> Value {
                           if (type.is_text()) {
                             return text_of(args[0]) + text_of(args[1]);
                           }
                           return bytes_of(args[0]) + bytes_of(args[1]);
                         });
}

SqlType as_decimal(const SqlType& type) {
  return type.is_integer() ? decimal_type(type.catalog_precision(), 0) : type;
}

Bound decimal_arithmetic(char op, Bound left, Bound right) {
  left = converted(left, as_decimal(left.type));
  right = converted(right, as_decimal(right.type));
  const SqlType type = decimal_result_type(op, left.type, right.type);
  return strict_function(type, {left, right},
                         [op, type, l = left.type, r = right.type](const std::vector<Value>& args) {
                           return decimal_result(op, std::get<Int128>(args[0]), l,
                                                 std::get<Int128>(args[1]), r, type);
                         });
}

}  // namespace

Bound comparison(const std::string& op, Bound left, Bound right) {
  Bound bound;
  merge_marks(bound, left);
  merge_marks(bound, right);
  bound.type = type_of(TypeKind::kBit);
  bring_together(left, right);
  const int code = op == "="    ? 0
                   : op == "<>" ? 1
                   : op == "<"  ? 2
                   : op == "<=" ? 3
                   : op == ">"  ? 4
                                : 5;
  bound.eval = [code, l = std::move(left.eval), r = std::move(right.eval),
                type = left.type](const Frame& frame) -> Value {
    const Value a = l(frame);
    const Value b = r(frame);
    if (is_null(a) || is_null(b)) {
      return Null{};
    }
    const auto result = order(a, b, type);
    switch (code) {
      case 0:
        return truth(result == 0);
      case 1:
        return truth(result != 0);
      case 2:
        return truth(result < 0);
      case 3:
        return truth(result <= 0);
      case 4:
        return truth(result > 0);
      default:
        return truth(result >= 0);
    }
  };
  return bound;
}

Bound logical(const std::string& op, Bound left, Bound right) {
  Bound bound;
  merge_marks(bound, left);
  merge_marks(bound, right);
  bound.type = type_of(TypeKind::kBit);
  bound.eval = [decides = op == "OR", l = std::move(left.eval),
                r = std::move(right.eval)](const Frame& frame) -> Value {
    const Value a = l(frame);
    if (!is_null(a) && is_true(a) == decides) {
      return truth(decides);
    }
    const Value b = r(frame);
    if (!is_null(b) && is_true(b) == decides) {
      return truth(decides);
    }
    return is_null(a) || is_null(b) ? Value(Null{}) : truth(!decides);
  };
  return bound;
}

Bound arithmetic(const std::string& op, Bound left, Bound right) {
  if (left.is_literal_null) {
    left = converted(std::move(left), right.type);
  } else if (right.is_literal_null) {
    right = converted(std::move(right), left.type);
  }
  const bool strings = (left.type.is_text() || left.type.is_bytes()) &&
                       (right.type.is_text() || right.type.is_bytes());
  if (op == "+" && strings) {
    return concatenation(std::move(left), std::move(right));
  }
  SqlType type = common_type(left.type, right.type);
  if ((type.kind == TypeKind::kDateTime || type.kind == TypeKind::kSmallDateTime) &&
      (left.type.is_integer() || right.type.is_integer())) {
    const bool minus = op == "-";
    return strict_function(
        type, {left, right}, [minus, type](const std::vector<Value>& args) -> Value {
          const bool moment_first = args[0].index() == 6;
          Moment moment = std::get<Moment>(args[moment_first ? 0 : 1]);
          const auto days = static_cast<std::int32_t>(integer_of(args[moment_first ? 1 : 0]));
          moment.day += minus ? -days : days;
          return rounded(moment, type);
        });
  }
  if (type.kind == TypeKind::kDecimal || type.kind == TypeKind::kNumeric) {
    return decimal_arithmetic(op[0], std::move(left), std::move(right));
  }
  if (type.kind == TypeKind::kBit) {
    type = type_of(TypeKind::kInt);
  }
  if (!type.is_integer() && !type.is_exact_scaled() && !type.is_approximate()) {
    throw SqlError(8117,
                   "Operand data type " + name_of(type) + " is invalid for operator '" + op + "'.");
  }
  left = converted(std::move(left), type);
  right = converted(std::move(right), type);
  return strict_function(
      type, {std::move(left), std::move(right)}, [op, type](const std::vector<Value>& args) {
        if (type.is_integer()) {
          return integer_result(op, integer_of(args[0]), integer_of(args[1]), type);
        }
        if (type.is_approximate()) {
          return approximate_result(op, std::get<double>(args[0]), std::get<double>(args[1]), type);
        }
        SqlType wide = type;
        wide.precision = 38;
        return convert(decimal_result(op[0], std::get<Int128>(args[0]), type,
                                      std::get<Int128>(args[1]), type, wide),
                       decimal_type(38, 4), type);
      });
}

bool is_aggregate(const std::string& function) {
  for (const char* name : {"count", "count_big", "sum", "min", "max", "avg", "string_agg"}) {
    if (function == name) {
      return true;
    }
  }
  return false;
}

Value aggregate_result(const Aggregate& aggregate, const std::vector<Value>& values) {
  const SqlType& from = aggregate.argument.type;
  const std::string& function = aggregate.function;
  if (function == "count" || function == "count_big") {
    return static_cast<std::int64_t>(values.size());
  }
  if (values.empty()) {
    return Null{};
  }
  if (function == "min" || function == "max") {
    const Value* best = &values[0];
    for (const Value& value : values) {
      const auto result = order(value, *best, from);
      best = (function == "min" ? result < 0 : result > 0) ? &value : best;
    }
    return *best;
  }
  if (function == "string_agg") {
    std::u16string text;
    for (const Value& value : values) {
      text += (&value == &values[0] ? std::u16string() : aggregate.separator) +
              text_of(convert(value, from, text_type(kMaxLength, true)));
    }
    return text;
  }
  Bound sum = constant(aggregate.type, convert(values[0], from, aggregate.type));
  Value total = sum.eval({});
  for (std::size_t at = 1; at < values.size(); ++at) {
    const Value next = convert(values[at], from, aggregate.type);
    if (aggregate.type.is_exact_scaled()) {
      total = decimal_result('+', std::get<Int128>(total), aggregate.type, std::get<Int128>(next),
                             aggregate.type, decimal_type(38, aggregate.type.scale));
    } else if (aggregate.type.is_approximate()) {
      total = std::get<double>(total) + std::get<double>(next);
    } else {
      total = integer_result("+", integer_of(total), integer_of(next), aggregate.type);
    }
  }
  if (function == "avg") {
    const Value count = static_cast<std::int64_t>(values.size());
    const Bound mean =
        arithmetic("/", constant(aggregate.type, total), constant(type_of(TypeKind::kInt), count));
    return convert(mean.eval({}), mean.type, aggregate.type);
  }
  return total;
}

}  // namespace headgate::test::sqlserver
