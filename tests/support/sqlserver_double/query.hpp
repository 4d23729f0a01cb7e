// A SELECT, bound once and run as often as an enclosing query needs it.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/sqlserver_double/binder.hpp"
#include "support/sqlserver_double/scope.hpp"

namespace headgate::test::sqlserver {

class CorePlan;

// REQUIRES: the context, the Select and the outer scope outlive it, and the engine's mutex is held
// from its construction to its last use.
class Plan {
 public:
  // Throws SqlError: 208 for an object that is not there, 229 for one that may not be read.
  Plan(Context& context, const Select& select, const Scope* outer = nullptr);
  ~Plan();
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  const std::vector<RowsetColumn>& columns() const { return columns_; }
  // Whether it reads an enclosing query; if not, it runs once.
  bool correlated() const { return correlated_; }
  // Whether it assigns to variables instead of giving rows.
  bool assigns() const;
  const std::vector<RowPtr>& rows(const Frame* outer = nullptr);

 private:
  void run(const Frame* outer);

  Context& context_;
  Scope scope_;  // of its common tables only
  std::vector<std::unique_ptr<CorePlan>> cores_;
  std::vector<bool> union_all_;
  std::vector<RowsetColumn> columns_;
  std::vector<std::pair<std::size_t, bool>> union_order_;  // column, descending
  std::optional<Bound> offset_;
  std::optional<Bound> fetch_;
  bool correlated_ = false;
  bool ran_ = false;
  std::vector<RowPtr> rows_;
};

// The FROM clause of a statement, bound; what SELECT, UPDATE and DELETE have in common.
class FromPlan {
 public:
  // Adds the sources to `scope`. `where` helps to find the rows by an index.
  FromPlan(Context& context, const FromItem& from, Scope& scope);
  ~FromPlan();
  FromPlan(const FromPlan&) = delete;
  FromPlan& operator=(const FromPlan&) = delete;

  // REQUIRES: called once, after construction.
  void use_condition(const Expr& where);
  // Asks for the rows in the order of these columns of the first source; false when they may come
  // in any other.
  bool use_order(const std::vector<OrderItem>& order);

  // Calls `emit` with every combination of rows, until it returns false.
  void produce(const Frame* outer, const std::function<bool(Frame&)>& emit);

  bool correlated() const { return correlated_; }
  // For a row that the query keeps: locks it where UPDLOCK or XLOCK asks for that.
  void lock_rows();
  // The base table of a source, with the slot of the row that a frame of produce() holds for it;
  // for UPDATE and DELETE.
  TablePtr table_of(std::size_t source) const;
  std::size_t slot_of(std::size_t source) const;

 private:
  struct Node;
  std::unique_ptr<Node> build(const FromItem& item);
  std::unique_ptr<Node> build_leaf(const FromItem& item);
  std::unique_ptr<Node> build_join(const FromItem& item);
  void find_hash_keys(Node& join, const Expr& condition);
  bool produce_node(Node& node, Frame& frame, const std::function<bool(Frame&)>& emit);
  bool produce_table(Node& node, Frame& frame, const std::function<bool(Frame&)>& emit);
  bool produce_join(Node& node, Frame& frame, const std::function<bool(Frame&)>& emit);
  bool produce_right_of(Node& join, Frame& frame, const std::function<bool(Frame&)>& emit,
                        bool& met);
  Node* leaf_of(std::size_t source) const;

  Context& context_;
  Scope& scope_;
  std::unique_ptr<Node> root_;
  std::vector<Node*> leaves_;
  bool correlated_ = false;
};

// The rows of a catalog view or management view. None when there is no such view.
std::optional<Rowset> catalog_view(Context& context, Database& database, const std::string& schema,
                                   const std::string& name);

// A function that stands in a FROM clause.
struct TableFunction {
  std::vector<RowsetColumn> columns;
  std::function<std::vector<RowPtr>(const std::vector<TypedValue>&)> run;
};
std::optional<TableFunction> table_function(Context& context, const Name& name);

// A database and what stands in it: resolves [database.][schema.]object.
struct ObjectName {
  Database* database = nullptr;
  std::string schema;
  std::string object;
};
ObjectName resolve(const SessionState& session, const Name& name);
// The table, whether permanent, temporary or a variable. None when there is none.
TablePtr find_table(const SessionState& session, const Name& name);
void require_select(const SessionState& session, const ObjectName& name);

}  // namespace headgate::test::sqlserver
