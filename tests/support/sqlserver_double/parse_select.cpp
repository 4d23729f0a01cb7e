#include "support/sqlserver_double/parser.hpp"
#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

SelectPtr Parser::select() {
  auto whole = std::make_unique<Select>();
  if (take_word("with")) {
    whole->with = common_tables();
  }
  whole->cores.push_back(select_operand(*whole));
  while (take_word("union")) {
    whole->union_all.push_back(take_word("all"));
    whole->cores.push_back(select_operand(*whole));
  }
  if (take_words({"order", "by"})) {
    whole->order_by = order_items();
  }
  if (take_word("offset")) {
    whole->offset = additive();
    if (!take_word("rows")) {
      expect_word("row");
    }
  }
  if (take_word("fetch")) {
    if (!take_word("next")) {
      expect_word("first");
    }
    whole->fetch = additive();
    if (!take_word("rows")) {
      expect_word("row");
    }
    expect_word("only");
  }
  option_clause();
  return whole;
}

// A SELECT, or one in parentheses.
SelectCore Parser::select_operand(Select& whole) {
  if (take_symbol("(")) {
    SelectCore core = select_operand(whole);
    expect_symbol(")");
    return core;
  }
  return select_core();
}

SelectCore Parser::select_core() {
  SelectCore core;
  expect_word("select");
  core.distinct = !take_word("all") && take_word("distinct");
  if (take_word("top")) {
    if (take_symbol("(")) {
      core.top = expression();
      expect_symbol(")");
    } else {
      core.top = literal();
    }
  }
  do {
    core.items.push_back(select_item());
  } while (take_symbol(","));
  if (take_word("into")) {
    core.into = qualified_name();
  }
  if (take_word("from")) {
    core.from = from_clause();
  }
  if (take_word("where")) {
    core.where = expression();
  }
  if (take_words({"group", "by"})) {
    do {
      core.group_by.push_back(expression());
    } while (take_symbol(","));
  }
  if (take_word("having")) {
    core.having = expression();
  }
  return core;
}

std::vector<CommonTable> Parser::common_tables() {
  std::vector<CommonTable> tables;
  do {
    CommonTable table;
    table.name = identifier();
    if (is_symbol("(")) {
      table.columns = column_list();
    }
    expect_word("as");
    expect_symbol("(");
    table.query = select();
    expect_symbol(")");
    tables.push_back(std::move(table));
  } while (take_symbol(","));
  return tables;
}

SelectItem Parser::select_item() {
  SelectItem item;
  if (take_symbol("*")) {
    return item;
  }
  if (peek().kind == TokenKind::kVariable && is_symbol("=", 1)) {
    item.variable = take().text;
    take();
    item.expr = expression();
    return item;
  }
  // alias = expression
  if ((peek().kind == TokenKind::kWord || peek().kind == TokenKind::kQuoted) && is_symbol("=", 1)) {
    item.alias = identifier();
    take();
    item.expr = expression();
    return item;
  }
  // t.*
  if (peek().kind == TokenKind::kWord || peek().kind == TokenKind::kQuoted) {
    const std::size_t begin = at_;
    const Name name = qualified_name();
    if (is_symbol(".") && is_symbol("*", 1)) {
      at_ += 2;
      item.star_qualifier = name;
      return item;
    }
    at_ = begin;
  }
  item.expr = expression();
  if (take_word("as")) {
    item.alias = peek().kind == TokenKind::kString ? take().text : identifier();
  } else if (peek().kind == TokenKind::kQuoted ||
             (peek().kind == TokenKind::kWord && !begins_statement() && !is_word("from") &&
              !is_word("into") && !is_word("where") && !is_word("group") && !is_word("having") &&
              !is_word("order") && !is_word("union") && !is_word("option") && !is_word("offset") &&
              !is_word("values"))) {
    item.alias = identifier();
  }
  return item;
}

// OUTPUT inserted.a, deleted.*
std::vector<SelectItem> Parser::output_clause() {
  std::vector<SelectItem> items;
  if (take_word("output")) {
    do {
      items.push_back(select_item());
    } while (take_symbol(","));
  }
  return items;
}

FromPtr Parser::from_clause() {
  FromPtr left = from_joined();
  while (take_symbol(",")) {
    auto join = std::make_unique<FromItem>();
    join->kind = FromItem::Kind::kJoin;
    join->join = JoinKind::kCross;
    join->left = std::move(left);
    join->right = from_joined();
    left = std::move(join);
  }
  return left;
}

FromPtr Parser::from_joined() {
  FromPtr left = from_source();
  while (true) {
    JoinKind kind = JoinKind::kInner;
    bool needs_on = true;
    if (take_words({"cross", "join"})) {
      kind = JoinKind::kCross;
      needs_on = false;
    } else if (take_words({"cross", "apply"})) {
      kind = JoinKind::kCrossApply;
      needs_on = false;
    } else if (take_words({"outer", "apply"})) {
      kind = JoinKind::kOuterApply;
      needs_on = false;
    } else if (take_words({"inner", "join"}) || take_words({"inner", "loop", "join"}) ||
               take_words({"inner", "hash", "join"}) || take_word("join")) {
      kind = JoinKind::kInner;
    } else if (take_words({"left", "outer", "join"}) || take_words({"left", "join"})) {
      kind = JoinKind::kLeft;
    } else if (take_words({"right", "outer", "join"}) || take_words({"right", "join"})) {
      kind = JoinKind::kRight;
    } else if (take_words({"full", "outer", "join"}) || take_words({"full", "join"})) {
      kind = JoinKind::kFull;
    } else {
      return left;
    }
    auto join = std::make_unique<FromItem>();
    join->kind = FromItem::Kind::kJoin;
    join->join = kind;
    join->left = std::move(left);
    join->right = from_source();
    if (needs_on) {
      expect_word("on");
      join->on = expression();
    }
    left = std::move(join);
  }
}

FromPtr Parser::from_source() {
  auto item = std::make_unique<FromItem>();
  if (take_symbol("(")) {
    if (take_word("values")) {
      item->kind = FromItem::Kind::kValues;
      item->rows = value_rows();
    } else if (is_word("select") || is_word("with") || is_symbol("(")) {
      item->kind = FromItem::Kind::kDerived;
      item->query = select();
    } else {
      FromPtr inner = from_clause();
      expect_symbol(")");
      return inner;
    }
    expect_symbol(")");
    table_alias(*item);
    return item;
  }
  if (peek().kind == TokenKind::kVariable) {
    item->name = {take().text};
    table_alias(*item);
    return item;
  }
  item->name = qualified_name();
  if (is_symbol("(")) {
    // A function, or hints of the old form: t (NOLOCK).
    item->kind = FromItem::Kind::kFunction;
    if (item->name.size() <= 3 && (is_word("nolock", 1) || is_word("tablock", 1) ||
                                   is_word("holdlock", 1) || is_word("readpast", 1))) {
      item->kind = FromItem::Kind::kTable;
      table_hints(*item);
    } else {
      take_symbol("(");
      if (!is_symbol(")")) {
        do {
          item->args.push_back(expression());
        } while (take_symbol(","));
      }
      expect_symbol(")");
    }
  }
  if (take_words({"with"})) {
    table_hints(*item);
  }
  table_alias(*item);
  if (take_word("with")) {
    table_hints(*item);
  }
  return item;
}

void Parser::table_alias(FromItem& item) {
  if (take_word("as")) {
    item.alias = identifier();
  } else if (peek().kind == TokenKind::kQuoted) {
    item.alias = identifier();
  } else if (peek().kind == TokenKind::kWord && !begins_statement()) {
    for (const char* word : {"where", "group", "order", "having", "union",  "on",     "inner",
                             "left",  "right", "full",  "cross",  "outer",  "join",   "option",
                             "with",  "using", "when",  "offset", "output", "values", "for"}) {
      if (is_word(word)) {
        return;
      }
    }
    item.alias = identifier();
  }
  if (!item.alias.empty() && is_symbol("(") && !is_word("nolock", 1)) {
    item.columns = column_list();
  }
}

void Parser::table_hints(FromItem& item) {
  expect_symbol("(");
  int depth = 1;
  while (depth > 0) {
    if (at_end()) {
      fail();
    }
    const Token token = take();
    depth += token.text == "(" ? 1 : token.text == ")" ? -1 : 0;
    if (token.kind == TokenKind::kWord && depth == 1) {
      item.hints.push_back(lower(token.text));
    }
  }
}

std::vector<std::vector<ExprPtr>> Parser::value_rows() {
  std::vector<std::vector<ExprPtr>> rows;
  do {
    std::vector<ExprPtr> row;
    expect_symbol("(");
    do {
      row.push_back(take_word("default") ? nullptr : expression());
    } while (take_symbol(","));
    expect_symbol(")");
    rows.push_back(std::move(row));
  } while (take_symbol(","));
  return rows;
}

// Hints to the optimiser change no answer.
void Parser::option_clause() {
  if (!take_word("option")) {
    return;
  }
  FromItem ignored;
  table_hints(ignored);
}

}  // namespace headgate::test::sqlserver
