#include <cmath>
#include <random>

#include "support/sqlserver_double/binder.hpp"
#include "support/sqlserver_double/convert.hpp"

namespace headgate::test::sqlserver {

namespace {

using Values = std::vector<Value>;

SqlType float_type() {
  return type_of(TypeKind::kFloat);
}

FunctionBinder approximate(double (*body)(double)) {
  return [body](Context&, std::vector<Bound> args) {
    args[0] = converted(std::move(args[0]), float_type());
    return strict_function(float_type(), args, [body](const Values& values) -> Value {
      return body(std::get<double>(values[0]));
    });
  };
}

// The type that the branches of ISNULL, COALESCE and IIF share.
SqlType type_over(const std::vector<Bound>& args) {
  SqlType type;
  bool typed = false;
  for (const Bound& arg : args) {
    if (!arg.is_literal_null) {
      type = typed ? common_type(type, arg.type) : arg.type;
      typed = true;
    }
  }
  return type;
}

Bound first_not_null(std::vector<Bound> args, const SqlType& type) {
  Bound bound;
  bound.type = type;
  for (Bound& arg : args) {
    merge_marks(bound, arg);
    bound.nullable = bound.nullable && arg.nullable;
    arg = converted(std::move(arg), type);
  }
  bound.eval = [args](const Frame& frame) -> Value {
    for (const Bound& arg : args) {
      Value value = arg.eval(frame);
      if (!is_null(value)) {
        return value;
      }
    }
    return Null{};
  };
  return bound;
}

Bound integral_part(std::vector<Bound> args, bool up) {
  if (args[0].type.is_integer()) {
    return args[0];
  }
  if (args[0].type.is_approximate()) {
    return strict_function(args[0].type, args, [up](const Values& values) -> Value {
      const double value = std::get<double>(values[0]);
      return up ? std::ceil(value) : std::floor(value);
    });
  }
  const SqlType type = args[0].type;
  SqlType result = type;
  result.scale =
      type.kind == TypeKind::kDecimal || type.kind == TypeKind::kNumeric ? 0 : type.scale;
  return strict_function(result, args, [up, type, result](const Values& values) -> Value {
    const Int128 units = std::get<Int128>(values[0]);
    const Int128 one = power_of_ten(type.scale);
    Int128 whole = units / one;
    whole += up && whole * one < units ? 1 : 0;
    whole -= !up && whole * one > units ? 1 : 0;
    return whole * power_of_ten(result.scale);
  });
}

FunctionTable make_functions() {
  FunctionTable table;
  table["abs"] = [](Context&, std::vector<Bound> args) {
    return strict_function(args[0].type, args, [](const Values& values) -> Value {
      switch (values[0].index()) {
        case 1:
          return std::abs(integer_of(values[0]));
        case 2:
          return std::fabs(std::get<double>(values[0]));
        default: {
          const Int128 units = std::get<Int128>(values[0]);
          return units < 0 ? -units : units;
        }
      }
    });
  };
  table["sign"] = [](Context&, std::vector<Bound> args) {
    args[0] = converted(std::move(args[0]), float_type());
    return strict_function(type_of(TypeKind::kInt), args, [](const Values& values) -> Value {
      const double value = std::get<double>(values[0]);
      return std::int64_t{value > 0} - std::int64_t{value < 0};
    });
  };
  table["floor"] = [](Context&, std::vector<Bound> args) { return integral_part(args, false); };
  table["ceiling"] = [](Context&, std::vector<Bound> args) { return integral_part(args, true); };
  table["round"] = [](Context&, std::vector<Bound> args) {
    const SqlType type = args[0].type;
    return strict_function(type, args, [type](const Values& values) -> Value {
      const int digits = static_cast<int>(integer_of(values[1]));
      if (values[0].index() == 3) {
        const Int128 units = std::get<Int128>(values[0]);
        return digits >= type.scale
                   ? units
                   : rescaled(rescaled(units, type.scale, digits).value_or(0), digits, type.scale)
                         .value_or(0);
      }
      if (values[0].index() == 2) {
        const double factor = std::pow(10.0, digits);
        return std::round(std::get<double>(values[0]) * factor) / factor;
      }
      return values[0];
    });
  };
  table["sqrt"] = approximate([](double value) { return std::sqrt(value); });
  table["exp"] = approximate([](double value) { return std::exp(value); });
  table["log"] = approximate([](double value) { return std::log(value); });
  table["power"] = [](Context&, std::vector<Bound> args) {
    const SqlType type = args[0].type;
    args[0] = converted(std::move(args[0]), float_type());
    args[1] = converted(std::move(args[1]), float_type());
    return converted(strict_function(float_type(), args,
                                     [](const Values& values) -> Value {
                                       return std::pow(std::get<double>(values[0]),
                                                       std::get<double>(values[1]));
                                     }),
                     type);
  };
  table["rand"] = [](Context&, std::vector<Bound>) {
    Bound bound = constant(float_type(), 0.0);
    bound.eval = [](const Frame&) -> Value {
      thread_local std::mt19937_64 generator{std::random_device{}()};
      return std::uniform_real_distribution<double>()(generator);
    };
    return bound;
  };
  table["isnull"] = [](Context&, std::vector<Bound> args) {
    const SqlType type = args[0].is_literal_null ? args[1].type : args[0].type;
    return first_not_null(args, type);
  };
  table["coalesce"] = [](Context&, std::vector<Bound> args) {
    const SqlType type = type_over(args);
    return first_not_null(args, type);
  };
  table["nullif"] = [](Context&, std::vector<Bound> args) {
    Bound bound = args[0];
    bound.nullable = true;
    merge_marks(bound, args[1]);
    bound.eval = [value = args[0].eval,
                  equal = comparison("=", args[0], args[1]).eval](const Frame& frame) {
      return is_true(equal(frame)) ? Value(Null{}) : value(frame);
    };
    return bound;
  };
  table["iif"] = [](Context&, std::vector<Bound> args) {
    const SqlType type = type_over({args[1], args[2]});
    Bound bound;
    bound.type = type;
    for (const Bound& arg : args) {
      merge_marks(bound, arg);
    }
    bound.eval = [condition = args[0].eval, then = converted(args[1], type).eval,
                  otherwise = converted(args[2], type).eval](const Frame& frame) {
      return is_true(condition(frame)) ? then(frame) : otherwise(frame);
    };
    return bound;
  };
  return table;
}

}  // namespace

const FunctionTable& number_functions() {
  static const FunctionTable table = make_functions();
  return table;
}

}  // namespace headgate::test::sqlserver
