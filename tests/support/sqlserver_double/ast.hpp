// What the parser makes of a batch: statements and expressions, with names as they were written.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "support/sqlserver_double/sql_value.hpp"

namespace headgate::test::sqlserver {

struct Expr;
struct Select;
struct Statement;
using ExprPtr = std::unique_ptr<Expr>;
using SharedExpr = std::shared_ptr<const Expr>;  // that a table keeps
using SelectPtr = std::unique_ptr<Select>;
using StatementPtr = std::unique_ptr<Statement>;

// [server.][database.]schema.object, with what was left out missing in front.
using Name = std::vector<std::string>;

enum class ExprKind {
  kLiteral,     // value, type
  kColumn,      // name
  kVariable,    // text: with its @
  kUnary,       // text: - + ~ NOT; args[0]
  kBinary,      // text: operator in upper case; args[0], args[1]
  kCall,        // name; args; star for COUNT(*); distinct
  kMethod,      // text: method of a CLR type; args[0] the object
  kCase,        // args: WHEN, THEN pairs, then ELSE if has_else; operand in `operand`
  kCast,        // args[0] to type, args[1] style if any; text "TRY" when failure gives NULL
  kIn,          // args[0] among args[1…] or in query
  kBetween,     // args[0] between args[1] and args[2]
  kLike,        // args[0] like args[1] escape args[2]
  kIsNull,      // args[0]
  kExists,      // query
  kSubquery,    // query: one column, at most one row
  kAtTimeZone,  // args[0] at time zone args[1]
  kCollate,     // args[0] in the collation of `type`
  kNextValue,   // name: of a sequence
};

struct OrderItem {
  ExprPtr expr;
  bool descending = false;
};

struct Expr {
  ExprKind kind = ExprKind::kLiteral;
  std::string text;
  Name name;
  Value value;
  SqlType type;
  std::vector<ExprPtr> args;
  ExprPtr operand;
  SelectPtr query;
  bool negated = false;  // NOT IN, NOT LIKE, IS NOT NULL, NOT BETWEEN
  bool star = false;
  bool distinct = false;
  bool has_else = false;
  bool over = false;  // OVER (…), with its order in `window_order` and `partition`
  std::vector<ExprPtr> partition;
  std::vector<OrderItem> window_order;
};

struct SelectItem {
  ExprPtr expr;          // none for a star
  std::string alias;     // empty when none was given
  Name star_qualifier;   // of t.*
  std::string variable;  // of SELECT @x = …
};

enum class JoinKind { kInner, kLeft, kRight, kFull, kCross, kCrossApply, kOuterApply };

struct FromItem {
  enum class Kind { kTable, kFunction, kDerived, kValues, kJoin };
  Kind kind = Kind::kTable;
  Name name;  // kTable, kFunction
  std::string alias;
  std::vector<std::string> columns;        // names given behind the alias
  std::vector<std::string> hints;          // lower case: nolock, tablock, holdlock…
  std::vector<ExprPtr> args;               // kFunction
  SelectPtr query;                         // kDerived
  std::vector<std::vector<ExprPtr>> rows;  // kValues
  JoinKind join = JoinKind::kCross;        // kJoin
  std::unique_ptr<FromItem> left;
  std::unique_ptr<FromItem> right;
  ExprPtr on;
};
using FromPtr = std::unique_ptr<FromItem>;

// One SELECT … FROM … of what UNION may join.
struct SelectCore {
  bool distinct = false;
  ExprPtr top;
  std::vector<SelectItem> items;
  Name into;
  FromPtr from;  // none when there is no FROM
  ExprPtr where;
  std::vector<ExprPtr> group_by;
  ExprPtr having;
};

struct CommonTable {
  std::string name;
  std::vector<std::string> columns;
  SelectPtr query;
};

struct Select {
  std::vector<CommonTable> with;
  std::vector<SelectCore> cores;
  std::vector<bool> union_all;  // between cores[i] and cores[i + 1]
  std::vector<OrderItem> order_by;
  ExprPtr offset;
  ExprPtr fetch;
};

struct ColumnDef {
  std::string name;
  SqlType type;
  bool nullable = true;
  bool primary_key = false;
  bool unique = false;
  bool identity = false;
  std::int64_t identity_seed = 1;
  std::int64_t identity_step = 1;
  SharedExpr default_value;
  SharedExpr computed;  // AS (…)
  bool persisted = false;
  Name references;  // FOREIGN KEY of one column
  std::vector<std::string> referenced_columns;
  bool cascade = false;
  SharedExpr check;
};

struct ConstraintDef {
  enum class Kind { kPrimaryKey, kUnique, kForeignKey, kCheck, kDefault };
  Kind kind = Kind::kPrimaryKey;
  std::string name;
  std::vector<std::string> columns;
  Name references;
  std::vector<std::string> referenced_columns;
  bool cascade = false;
  SharedExpr expr;  // kCheck, kDefault
};

struct InsertStatement {
  Name table;
  std::vector<std::string> columns;  // empty: all
  std::vector<CommonTable> with;
  std::vector<std::vector<ExprPtr>> rows;  // a missing expression is DEFAULT
  SelectPtr query;
  StatementPtr exec;
  bool default_values = false;
  std::vector<SelectItem> output;
};

struct Assignment {
  std::string column;
  std::string variable;
  ExprPtr expr;  // none for DEFAULT
};

struct UpdateStatement {
  Name target;  // a table, or an alias of the FROM clause
  ExprPtr top;
  std::vector<Assignment> set;
  FromPtr from;
  ExprPtr where;
  std::vector<SelectItem> output;
};

struct DeleteStatement {
  Name target;
  ExprPtr top;
  FromPtr from;
  ExprPtr where;
  std::vector<SelectItem> output;
};

struct CreateTableStatement {
  Name table;
  std::vector<ColumnDef> columns;
  std::vector<ConstraintDef> constraints;
};

struct AlterTableStatement {
  Name table;
  std::vector<ColumnDef> add_columns;
  std::vector<ConstraintDef> add_constraints;
  std::vector<std::string> drop_columns;
  std::vector<std::string> drop_constraints;
  std::optional<ColumnDef> alter_column;
};

struct DropStatement {
  std::string what;  // "table", "index", "schema", "database", "login", "user", …
  std::vector<Name> names;
  Name on;  // of DROP INDEX i ON t
  bool if_exists = false;
};

struct CreateIndexStatement {
  std::string name;
  Name table;
  std::vector<std::string> columns;
  bool unique = false;
};

// CREATE SCHEMA, DATABASE, LOGIN, USER, ROLE: a kind of thing and its name.
struct CreateStatement {
  std::string what;
  std::string name;
  std::string option;  // the password of a login, the login of a user
};

struct CreateSequenceStatement {
  Name name;
  SqlType type = type_of(TypeKind::kBigInt);
  std::int64_t start = 1;
  std::int64_t step = 1;
};

struct AlterDatabaseStatement {
  std::string database;  // empty for CURRENT
  std::string option;    // lower case: allow_snapshot_isolation, read_committed_snapshot, recovery
  std::string value;     // lower case
};

struct GrantStatement {
  bool grant = true;                     // else REVOKE or DENY
  std::vector<std::string> permissions;  // lower case: "select", "view server state"
  std::string scope;  // "object", "schema", "database" or empty for the current database or server
  Name on;
  std::vector<std::string> to;
};

struct TransactionStatement {
  enum class Kind { kBegin, kCommit, kRollback, kSave };
  Kind kind = Kind::kBegin;
  std::string name;
};

// SET option value: NOCOUNT, LOCK_TIMEOUT, XACT_ABORT, TRANSACTION ISOLATION LEVEL…
struct SetOptionStatement {
  std::string option;  // lower case, words joined by a blank
  std::string value;   // lower case
  Name table;          // of SET IDENTITY_INSERT
};

struct SetVariableStatement {
  std::string variable;
  std::string op = "=";
  ExprPtr expr;
};

struct DeclareStatement {
  struct Item {
    std::string variable;
    SqlType type;
    ExprPtr value;
    std::vector<ColumnDef> table;  // of a table variable
  };
  std::vector<Item> items;
};

struct BlockStatement {
  std::vector<StatementPtr> statements;
};

struct IfStatement {
  ExprPtr condition;
  StatementPtr then;
  StatementPtr otherwise;
};

struct WhileStatement {
  ExprPtr condition;
  StatementPtr body;
};

// BREAK, CONTINUE, RETURN.
struct JumpStatement {
  std::string what;  // lower case
  ExprPtr value;
};

struct TryStatement {
  BlockStatement body;
  BlockStatement handler;
};

struct MessageStatement {
  std::string what;  // "print", "raiserror", "throw"
  std::vector<ExprPtr> args;
};

struct WaitStatement {
  ExprPtr delay;
};

struct UseStatement {
  std::string database;
};

struct TruncateStatement {
  Name table;
};

struct ExecStatement {
  struct Argument {
    std::string name;  // with its @; empty for a positional one
    ExprPtr expr;      // none for DEFAULT
    bool output = false;
  };
  Name procedure;
  std::string result_variable;
  std::vector<Argument> args;
  ExprPtr text;  // of EXEC ('…')
};

struct MergeStatement {
  struct Branch {
    bool matched = true;
    bool by_source = false;
    ExprPtr condition;
    std::string action;  // "update", "delete", "insert"
    std::vector<Assignment> set;
    std::vector<std::string> columns;
    std::vector<ExprPtr> values;
  };
  Name target;
  std::string target_alias;
  FromPtr source;
  ExprPtr on;
  std::vector<Branch> branches;
};

struct Statement {
  std::variant<SelectPtr, InsertStatement, UpdateStatement, DeleteStatement, MergeStatement,
               CreateTableStatement, AlterTableStatement, DropStatement, CreateIndexStatement,
               CreateStatement, CreateSequenceStatement, AlterDatabaseStatement, GrantStatement,
               TransactionStatement, SetOptionStatement, SetVariableStatement, DeclareStatement,
               BlockStatement, IfStatement, WhileStatement, JumpStatement, TryStatement,
               MessageStatement, WaitStatement, UseStatement, TruncateStatement, ExecStatement>
      body;
  std::string text;  // as it was written
};

}  // namespace headgate::test::sqlserver
