// A batch of T-SQL into statements.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "support/sqlserver_double/ast.hpp"
#include "support/sqlserver_double/lexer.hpp"

namespace headgate::test::sqlserver {

// Throws SqlError 102 that shows the text from which on the double does not understand; the batch
// is then not run at all, as on a server.
std::vector<StatementPtr> parse_batch(std::string_view sql);

// "@P1 int, @P2 nvarchar(20) OUTPUT", as sp_executesql takes it.
struct ParameterDef {
  std::string name;
  SqlType type;
};
std::vector<ParameterDef> parse_parameters(std::string_view definitions);

// The parser proper: recursive descent, one public function per level that others need.
class Parser {
 public:
  explicit Parser(std::string_view sql) : sql_(sql), tokens_(tokens_of(sql)) {}

  std::vector<StatementPtr> batch();
  std::vector<ParameterDef> parameters();

 private:
  // parser.cpp: tokens
  const Token& peek(std::size_t ahead = 0) const;
  bool at_end() const { return peek().kind == TokenKind::kEnd; }
  bool is_word(std::string_view word, std::size_t ahead = 0) const;
  bool is_symbol(std::string_view symbol, std::size_t ahead = 0) const;
  bool take_word(std::string_view word);
  bool take_words(std::initializer_list<std::string_view> words);
  bool take_symbol(std::string_view symbol);
  void expect_word(std::string_view word);
  void expect_symbol(std::string_view symbol);
  Token take();
  [[noreturn]] void fail() const;
  std::string identifier();
  std::string any_word();
  Name qualified_name();
  std::vector<std::string> column_list();
  SqlType data_type();
  bool begins_statement() const;

  // parse_expression.cpp
  ExprPtr expression();
  ExprPtr and_expression();
  ExprPtr not_expression();
  ExprPtr predicate();
  ExprPtr additive();
  ExprPtr multiplicative();
  ExprPtr unary();
  ExprPtr postfix();
  ExprPtr primary();
  ExprPtr literal();
  ExprPtr case_expression();
  ExprPtr cast_expression(bool convert, bool try_it);
  ExprPtr call(Name name);
  void over_clause(Expr& call);
  std::vector<OrderItem> order_items();

  // parse_select.cpp
  SelectPtr select();
  SelectCore select_core();
  SelectCore select_operand(Select& whole);
  std::vector<CommonTable> common_tables();
  SelectItem select_item();
  std::vector<SelectItem> output_clause();
  FromPtr from_clause();
  FromPtr from_source();
  FromPtr from_joined();
  std::vector<std::vector<ExprPtr>> value_rows();
  void table_alias(FromItem& item);
  void table_hints(FromItem& item);
  void option_clause();

  // parse_statement.cpp
  StatementPtr statement();
  void statement_body(Statement& result);
  StatementPtr exec_statement();
  BlockStatement block_until_end();
  InsertStatement insert_statement();
  UpdateStatement update_statement();
  DeleteStatement delete_statement();
  MergeStatement merge_statement();
  Assignment assignment();
  void set_statement(Statement& result);
  void begin_statement(Statement& result);
  DeclareStatement declare_statement();
  MessageStatement message_statement(std::string what);

  // parse_ddl.cpp
  void create_statement(Statement& result);
  CreateTableStatement create_table();
  CreateIndexStatement create_index(bool unique);
  CreateSequenceStatement create_sequence();
  AlterTableStatement alter_table();
  AlterDatabaseStatement alter_database();
  void drop_statement(Statement& result);
  GrantStatement grant_statement(bool grant);
  ColumnDef column_def();
  bool at_constraint() const;
  ConstraintDef constraint_def();
  void references_clause(Name& table, std::vector<std::string>& columns, bool& cascade);
  void index_options();

  std::string_view sql_;
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
};

}  // namespace headgate::test::sqlserver
