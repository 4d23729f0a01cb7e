#include "support/sqlserver_double/parser.hpp"
#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

// WITH … in front of an INSERT, UPDATE or DELETE is only known for INSERT.
void give_with(Statement& statement, std::vector<CommonTable> with) {
  if (auto* insert = std::get_if<InsertStatement>(&statement.body)) {
    insert->with = std::move(with);
  } else {
    throw syntax_error("WITH before a statement other than SELECT or INSERT");
  }
}

}  // namespace

StatementPtr Parser::statement() {
  auto result = std::make_unique<Statement>();
  const std::size_t begin = peek().begin;
  statement_body(*result);
  const std::size_t end = at_ == 0 ? begin : tokens_[at_ - 1].end;
  result->text = std::string(sql_.substr(begin, end > begin ? end - begin : 0));
  while (take_symbol(";")) {
  }
  return result;
}

void Parser::statement_body(Statement& result) {
  if (is_word("select") || is_symbol("(")) {
    result.body = select();
  } else if (is_word("with")) {
    const std::size_t begin = at_;
    take();
    auto with = common_tables();
    if (is_word("insert")) {
      statement_body(result);
      give_with(result, std::move(with));
    } else {
      at_ = begin;
      result.body = select();
    }
  } else if (take_word("insert")) {
    result.body = insert_statement();
  } else if (take_word("update")) {
    result.body = update_statement();
  } else if (take_word("delete")) {
    result.body = delete_statement();
  } else if (take_word("merge")) {
    result.body = merge_statement();
  } else if (take_word("create")) {
    create_statement(result);
  } else if (take_word("alter")) {
    if (take_word("table")) {
      result.body = alter_table();
    } else {
      expect_word("database");
      result.body = alter_database();
    }
  } else if (take_word("drop")) {
    drop_statement(result);
  } else if (take_word("truncate")) {
    expect_word("table");
    result.body = TruncateStatement{qualified_name()};
  } else if (take_word("begin")) {
    begin_statement(result);
  } else if (take_word("commit") || is_word("rollback") || is_word("save")) {
    TransactionStatement transaction{TransactionStatement::Kind::kCommit, {}};
    if (take_word("rollback")) {
      transaction.kind = TransactionStatement::Kind::kRollback;
    } else if (take_word("save")) {
      transaction.kind = TransactionStatement::Kind::kSave;
    }
    const bool worded = take_word("transaction") || take_word("tran") || take_word("work");
    if (worded && !begins_statement() &&
        (peek().kind == TokenKind::kWord || peek().kind == TokenKind::kQuoted ||
         peek().kind == TokenKind::kVariable)) {
      transaction.name = take().text;
    }
    result.body = std::move(transaction);
  } else if (take_word("set")) {
    set_statement(result);
  } else if (take_word("declare")) {
    result.body = declare_statement();
  } else if (take_word("if")) {
    IfStatement branch;
    branch.condition = expression();
    branch.then = statement();
    if (take_word("else")) {
      branch.otherwise = statement();
    }
    result.body = std::move(branch);
  } else if (take_word("while")) {
    WhileStatement loop;
    loop.condition = expression();
    loop.body = statement();
    result.body = std::move(loop);
  } else if (is_word("break") || is_word("continue") || is_word("return")) {
    JumpStatement jump;
    jump.what = any_word();
    if (jump.what == "return" && !at_end() && !is_symbol(";") && !begins_statement()) {
      jump.value = expression();
    }
    result.body = std::move(jump);
  } else if (is_word("print") || is_word("raiserror") || is_word("throw")) {
    result.body = message_statement(any_word());
  } else if (take_word("waitfor")) {
    expect_word("delay");
    result.body = WaitStatement{primary()};
  } else if (take_word("use")) {
    result.body = UseStatement{identifier()};
  } else if (is_word("grant") || is_word("revoke") || is_word("deny")) {
    const bool grant = any_word() == "grant";
    result.body = grant_statement(grant);
  } else if (is_word("exec") || is_word("execute")) {
    StatementPtr exec = exec_statement();
    result.body = std::move(exec->body);
  } else if (at_ == 0 && (peek().kind == TokenKind::kWord || peek().kind == TokenKind::kQuoted) &&
             (lower(peek().text).starts_with("sp_") || is_symbol(".", 1))) {
    // The first statement of a batch may call a procedure without EXEC.
    StatementPtr exec = exec_statement();
    result.body = std::move(exec->body);
  } else {
    fail();
  }
}

StatementPtr Parser::exec_statement() {
  auto result = std::make_unique<Statement>();
  if (!take_word("exec")) {
    take_word("execute");
  }
  ExecStatement exec;
  if (take_symbol("(")) {
    exec.text = expression();
    expect_symbol(")");
    result->body = std::move(exec);
    return result;
  }
  if (peek().kind == TokenKind::kVariable && is_symbol("=", 1)) {
    exec.result_variable = take().text;
    take();
  }
  exec.procedure = qualified_name();
  while (!at_end() && !is_symbol(";") && !begins_statement()) {
    ExecStatement::Argument argument;
    if (peek().kind == TokenKind::kVariable && is_symbol("=", 1)) {
      argument.name = take().text;
      take();
    }
    if (!take_word("default")) {
      // A bare word is a string here, as in sp_helptext orders.
      if (peek().kind == TokenKind::kWord && !is_word("null") && !is_symbol("(", 1)) {
        argument.expr = std::make_unique<Expr>();
        const std::u16string text = utf16_of_utf8(take().text);
        argument.expr->type = text_type(static_cast<int>(text.size()), true);
        argument.expr->value = text;
      } else {
        argument.expr = unary();
      }
    }
    argument.output = take_word("output") || take_word("out");
    exec.args.push_back(std::move(argument));
    if (!take_symbol(",")) {
      break;
    }
  }
  result->body = std::move(exec);
  return result;
}

BlockStatement Parser::block_until_end() {
  BlockStatement block;
  while (!is_word("end")) {
    if (at_end()) {
      fail();
    }
    block.statements.push_back(statement());
  }
  take();
  return block;
}

void Parser::begin_statement(Statement& result) {
  if (take_word("tran") || take_word("transaction")) {
    TransactionStatement transaction;
    if ((peek().kind == TokenKind::kWord && !begins_statement()) ||
        peek().kind == TokenKind::kVariable || peek().kind == TokenKind::kQuoted) {
      transaction.name = take().text;
    }
    result.body = std::move(transaction);
  } else if (take_word("try")) {
    TryStatement attempt;
    attempt.body = block_until_end();
    expect_word("try");
    take_symbol(";");
    expect_word("begin");
    expect_word("catch");
    attempt.handler = block_until_end();
    expect_word("catch");
    result.body = std::move(attempt);
  } else {
    take_symbol(";");
    result.body = block_until_end();
  }
}

InsertStatement Parser::insert_statement() {
  InsertStatement insert;
  take_word("into");
  insert.table = peek().kind == TokenKind::kVariable ? Name{take().text} : qualified_name();
  if (take_word("with")) {
    FromItem ignored;
    table_hints(ignored);
  }
  if (is_symbol("(") && !is_word("select", 1)) {
    insert.columns = column_list();
  }
  insert.output = output_clause();
  if (take_words({"default", "values"})) {
    insert.default_values = true;
  } else if (take_word("values")) {
    insert.rows = value_rows();
  } else if (is_word("exec") || is_word("execute")) {
    insert.exec = exec_statement();
  } else {
    insert.query = select();
  }
  return insert;
}

Assignment Parser::assignment() {
  Assignment item;
  if (peek().kind == TokenKind::kVariable) {
    item.variable = take().text;
    expect_symbol("=");
    item.expr = expression();
    return item;
  }
  const Name column = qualified_name();
  item.column = column.back();
  if (take_symbol("=")) {
    item.expr = take_word("default") ? nullptr : expression();
    return item;
  }
  // a += b is a = a + b.
  const Token op = take();
  if (op.kind != TokenKind::kSymbol || op.text.size() != 2 || op.text[1] != '=') {
    fail();
  }
  auto old = std::make_unique<Expr>();
  old->kind = ExprKind::kColumn;
  old->name = column;
  item.expr = std::make_unique<Expr>();
  item.expr->kind = ExprKind::kBinary;
  item.expr->text = op.text.substr(0, 1);
  item.expr->args.push_back(std::move(old));
  item.expr->args.push_back(expression());
  return item;
}

UpdateStatement Parser::update_statement() {
  UpdateStatement update;
  if (take_word("top")) {
    expect_symbol("(");
    update.top = expression();
    expect_symbol(")");
  }
  update.target = qualified_name();
  if (take_word("with")) {
    FromItem ignored;
    table_hints(ignored);
  }
  expect_word("set");
  do {
    update.set.push_back(assignment());
  } while (take_symbol(","));
  update.output = output_clause();
  if (take_word("from")) {
    update.from = from_clause();
  }
  if (take_word("where")) {
    update.where = expression();
  }
  option_clause();
  return update;
}

DeleteStatement Parser::delete_statement() {
  DeleteStatement result;
  if (take_word("top")) {
    expect_symbol("(");
    result.top = expression();
    expect_symbol(")");
  }
  take_word("from");
  result.target = qualified_name();
  if (take_word("with")) {
    FromItem ignored;
    table_hints(ignored);
  }
  result.output = output_clause();
  if (take_word("from")) {
    result.from = from_clause();
  }
  if (take_word("where")) {
    result.where = expression();
  }
  option_clause();
  return result;
}

MergeStatement Parser::merge_statement() {
  MergeStatement merge;
  take_word("into");
  merge.target = qualified_name();
  if (take_word("with")) {
    FromItem ignored;
    table_hints(ignored);
  }
  if (take_word("as") || !is_word("using")) {
    merge.target_alias = identifier();
  }
  expect_word("using");
  merge.source = from_source();
  expect_word("on");
  merge.on = expression();
  while (take_word("when")) {
    MergeStatement::Branch branch;
    branch.matched = !take_word("not");
    expect_word("matched");
    if (take_word("by")) {
      branch.by_source = take_word("source");
      if (!branch.by_source) {
        expect_word("target");
      }
    }
    if (take_word("and")) {
      branch.condition = expression();
    }
    expect_word("then");
    branch.action = any_word();
    if (branch.action == "update") {
      expect_word("set");
      do {
        branch.set.push_back(assignment());
      } while (take_symbol(","));
    } else if (branch.action == "insert") {
      if (is_symbol("(")) {
        branch.columns = column_list();
      }
      expect_word("values");
      auto rows = value_rows();
      branch.values = std::move(rows.front());
    } else if (branch.action != "delete") {
      fail();
    }
    merge.branches.push_back(std::move(branch));
  }
  return merge;
}

void Parser::set_statement(Statement& result) {
  if (peek().kind == TokenKind::kVariable) {
    SetVariableStatement set;
    set.variable = take().text;
    set.op = take().text;
    set.expr = expression();
    result.body = std::move(set);
    return;
  }
  SetOptionStatement set;
  if (take_words({"transaction", "isolation", "level"})) {
    set.option = "transaction isolation level";
    set.value = any_word();
    if (set.value == "read" || set.value == "repeatable") {
      set.value += " " + any_word();
    }
  } else if (take_word("identity_insert")) {
    set.option = "identity_insert";
    set.table = qualified_name();
    set.value = any_word();
  } else {
    set.option = any_word();
    while (take_symbol(",")) {
      set.option += " " + any_word();
    }
    while (!at_end() && !is_symbol(";") &&
           (set.value.empty() || (set.value == "-" && peek().kind == TokenKind::kNumber))) {
      set.value += lower(take().text);
    }
  }
  result.body = std::move(set);
}

DeclareStatement Parser::declare_statement() {
  DeclareStatement declare;
  do {
    DeclareStatement::Item item;
    item.variable = take().text;
    take_word("as");
    if (take_word("table")) {
      expect_symbol("(");
      do {
        item.table.push_back(column_def());
      } while (take_symbol(","));
      expect_symbol(")");
    } else {
      item.type = data_type();
      if (take_symbol("=")) {
        item.value = expression();
      }
    }
    declare.items.push_back(std::move(item));
  } while (take_symbol(","));
  return declare;
}

MessageStatement Parser::message_statement(std::string what) {
  MessageStatement message;
  message.what = std::move(what);
  if (message.what == "print") {
    message.args.push_back(expression());
  } else if (message.what == "raiserror") {
    expect_symbol("(");
    do {
      message.args.push_back(expression());
    } while (take_symbol(","));
    expect_symbol(")");
    if (take_word("with")) {
      do {
        any_word();
      } while (take_symbol(","));
    }
  } else if (!at_end() && !is_symbol(";") && !begins_statement()) {
    do {
      message.args.push_back(expression());
    } while (take_symbol(","));
  }
  return message;
}

}  // namespace headgate::test::sqlserver
