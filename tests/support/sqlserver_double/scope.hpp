// How names find their values while a query runs.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/sqlserver_double/database.hpp"
#include "support/sqlserver_double/session_state.hpp"

namespace headgate::test::sqlserver {

// One table, view or subquery of a FROM clause.
struct Source {
  std::string alias;  // what qualifies its columns
  Name name;          // of a table
  std::vector<RowsetColumn> columns;
};

class Plan;

struct CommonTablePlan {
  std::string name;
  std::shared_ptr<Plan> plan;
  std::vector<RowsetColumn> columns;
};

struct Scope {
  const Scope* outer = nullptr;
  std::vector<Source> sources;
  std::vector<CommonTablePlan> common_tables;
};

// The rows that stand for a scope's sources at one moment. A missing row (of an outer join) is
// null.
struct Frame {
  const Frame* outer = nullptr;
  std::vector<const Row*> rows;
  const std::vector<Value>* aggregates = nullptr;
};

using Evaluate = std::function<Value(const Frame&)>;

// An expression whose names are resolved.
struct Bound {
  SqlType type;
  Evaluate eval;
  std::uint64_t sources = 0;  // bit i: reads source i of its scope
  bool outer = false;         // reads an enclosing scope
  bool nullable = true;
  bool is_literal_null = false;
};

// What a statement needs to bind and run its expressions.
struct Context {
  SessionState& session;
  ReadView view;

  Engine& engine() const { return session.engine; }
};

// Conditions are bits, NULL for unknown.
inline bool is_true(const Value& condition) {
  return !is_null(condition) && integer_of(condition) != 0;
}
inline Value truth(bool value) {
  return std::int64_t{value};
}

}  // namespace headgate::test::sqlserver
