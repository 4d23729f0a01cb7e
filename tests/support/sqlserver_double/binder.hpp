// Expressions of a query into functions over its rows.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "support/sqlserver_double/ast.hpp"
#include "support/sqlserver_double/scope.hpp"

namespace headgate::test::sqlserver {

// One aggregate of a grouped query.
struct Aggregate {
  std::string function;  // lower case
  Bound argument;        // none for COUNT(*)
  bool star = false;
  bool distinct = false;
  std::u16string separator;  // STRING_AGG
  SqlType type;
};

class Binder {
 public:
  // `aggregates` collects those that are met; null where none is allowed.
  Binder(Context& context, const Scope& scope, std::vector<Aggregate>* aggregates = nullptr)
      : context_(context), scope_(scope), aggregates_(aggregates) {}

  // Throws SqlError: 207, 209, 4104 for names, 195 and 4121 for functions.
  Bound bind(const Expr& expr);

  Context& context() { return context_; }

 private:
  Bound bind_column(const Expr& expr);
  Bound bind_variable(const Expr& expr);
  Bound bind_unary(const Expr& expr);
  Bound bind_binary(const Expr& expr);
  Bound bind_call(const Expr& expr);
  Bound bind_aggregate(const std::string& function, const Expr& expr);
  Bound bind_method(const Expr& expr);
  Bound bind_case(const Expr& expr);
  Bound bind_cast(const Expr& expr);
  Bound bind_in(const Expr& expr);
  Bound bind_between(const Expr& expr);
  Bound bind_like(const Expr& expr);
  Bound bind_subquery(const Expr& expr);
  Bound bind_at_time_zone(const Expr& expr);
  Bound bind_next_value(const Expr& expr);

  Context& context_;
  const Scope& scope_;
  std::vector<Aggregate>* aggregates_;
};

// `from` brought to `type`.
Bound converted(Bound from, const SqlType& type, int style = 0);
Bound constant(SqlType type, Value value);
// The marks of several operands together.
void merge_marks(Bound& into, const Bound& from);

// operators.cpp
Bound comparison(const std::string& op, Bound left, Bound right);
Bound arithmetic(const std::string& op, Bound left, Bound right);
Bound logical(const std::string& op, Bound left, Bound right);

bool is_aggregate(const std::string& function);
Value aggregate_result(const Aggregate& aggregate, const std::vector<Value>& values);

// functions_*.cpp: built-in functions by lower-case name; their arguments are bound already.
using FunctionBinder = std::function<Bound(Context&, std::vector<Bound>)>;
using FunctionTable = std::map<std::string, FunctionBinder>;
const FunctionTable& text_functions();
const FunctionTable& number_functions();
const FunctionTable& time_functions();
const FunctionTable& system_functions();
const FunctionTable& cdc_functions();

// For the tables of functions: a function of plain values. NULL among the arguments gives NULL.
Bound strict_function(const SqlType& type, const std::vector<Bound>& args,
                      std::function<Value(const std::vector<Value>&)> body);

// @@NAME of a session. Throws SqlError 137 for one that the double does not know.
TypedValue system_variable(const SessionState& session, const std::string& name);

}  // namespace headgate::test::sqlserver
