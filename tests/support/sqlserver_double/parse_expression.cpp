#include <cstdlib>

#include "support/sqlserver_double/parser.hpp"
#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

ExprPtr node(ExprKind kind, std::string text = {}) {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->text = std::move(text);
  return expr;
}

ExprPtr binary(std::string op, ExprPtr left, ExprPtr right) {
  auto expr = node(ExprKind::kBinary, std::move(op));
  expr->args.push_back(std::move(left));
  expr->args.push_back(std::move(right));
  return expr;
}

ExprPtr typed_literal(SqlType type, Value value) {
  auto expr = node(ExprKind::kLiteral);
  expr->type = type;
  expr->value = std::move(value);
  return expr;
}

ExprPtr number_literal(const std::string& text) {
  if (text.find_first_of("eE") != std::string::npos) {
    return typed_literal(type_of(TypeKind::kFloat), std::strtod(text.c_str(), nullptr));
  }
  const auto parsed = parse_decimal(text);
  if (!parsed) {
    throw SqlError(1007,
                   "The number '" + text + "' is out of the range for numeric representation.");
  }
  if (parsed->scale == 0 && text.find('.') == std::string::npos && parsed->digits < 10) {
    return typed_literal(type_of(TypeKind::kInt), static_cast<std::int64_t>(parsed->units));
  }
  if (parsed->scale == 0 && text.find('.') == std::string::npos && parsed->units <= 2147483647) {
    return typed_literal(type_of(TypeKind::kInt), static_cast<std::int64_t>(parsed->units));
  }
  return typed_literal(decimal_type(parsed->digits, parsed->scale), parsed->units);
}

std::string bytes_of_digits(std::string digits) {
  if (digits.size() % 2 != 0) {
    digits.insert(digits.begin(), '0');
  }
  std::string bytes;
  for (std::size_t at = 0; at < digits.size(); at += 2) {
    bytes.push_back(static_cast<char>(std::strtol(digits.substr(at, 2).c_str(), nullptr, 16)));
  }
  return bytes;
}

}  // namespace

ExprPtr Parser::expression() {
  ExprPtr left = and_expression();
  while (take_word("or")) {
    left = binary("OR", std::move(left), and_expression());
  }
  return left;
}

ExprPtr Parser::and_expression() {
  ExprPtr left = not_expression();
  while (take_word("and")) {
    left = binary("AND", std::move(left), not_expression());
  }
  return left;
}

ExprPtr Parser::not_expression() {
  if (take_word("not")) {
    auto expr = node(ExprKind::kUnary, "NOT");
    expr->args.push_back(not_expression());
    return expr;
  }
  return predicate();
}

ExprPtr Parser::predicate() {
  if (is_word("exists") && is_symbol("(", 1)) {
    at_ += 2;
    auto expr = node(ExprKind::kExists);
    expr->query = select();
    expect_symbol(")");
    return expr;
  }
  ExprPtr left = additive();
  while (true) {
    if (peek().kind == TokenKind::kSymbol) {
      const std::string& symbol = peek().text;
      if (symbol == "=" || symbol == "<>" || symbol == "!=" || symbol == "<" || symbol == ">" ||
          symbol == "<=" || symbol == ">=") {
        const std::string op = take().text;
        left = binary(op == "!=" ? "<>" : op, std::move(left), additive());
        continue;
      }
      return left;
    }
    if (take_word("is")) {
      auto expr = node(ExprKind::kIsNull);
      expr->negated = take_word("not");
      expect_word("null");
      expr->args.push_back(std::move(left));
      left = std::move(expr);
      continue;
    }
    const bool negated =
        is_word("not") && (is_word("in", 1) || is_word("like", 1) || is_word("between", 1));
    at_ += negated ? 1u : 0u;
    if (take_word("in")) {
      auto expr = node(ExprKind::kIn);
      expr->negated = negated;
      expr->args.push_back(std::move(left));
      expect_symbol("(");
      if (is_word("select") || is_word("with")) {
        expr->query = select();
      } else {
        do {
          expr->args.push_back(expression());
        } while (take_symbol(","));
      }
      expect_symbol(")");
      left = std::move(expr);
    } else if (take_word("like")) {
      auto expr = node(ExprKind::kLike);
      expr->negated = negated;
      expr->args.push_back(std::move(left));
      expr->args.push_back(additive());
      if (take_word("escape")) {
        expr->args.push_back(additive());
      }
      left = std::move(expr);
    } else if (take_word("between")) {
      auto expr = node(ExprKind::kBetween);
      expr->negated = negated;
      expr->args.push_back(std::move(left));
      expr->args.push_back(additive());
      expect_word("and");
      expr->args.push_back(additive());
      left = std::move(expr);
    } else {
      return left;
    }
  }
}

ExprPtr Parser::additive() {
  ExprPtr left = multiplicative();
  while (is_symbol("+") || is_symbol("-") || is_symbol("&") || is_symbol("|") || is_symbol("^")) {
    const std::string op = take().text;
    left = binary(op, std::move(left), multiplicative());
  }
  return left;
}

ExprPtr Parser::multiplicative() {
  ExprPtr left = unary();
  while (is_symbol("*") || is_symbol("/") || is_symbol("%")) {
    const std::string op = take().text;
    left = binary(op, std::move(left), unary());
  }
  return left;
}

ExprPtr Parser::unary() {
  if (is_symbol("-") || is_symbol("+") || is_symbol("~")) {
    auto expr = node(ExprKind::kUnary, take().text);
    expr->args.push_back(unary());
    return expr;
  }
  return postfix();
}

// What may stand behind a primary: COLLATE, AT TIME ZONE, .Method().
ExprPtr Parser::postfix() {
  ExprPtr expr = primary();
  while (true) {
    if (take_word("collate")) {
      auto collate = node(ExprKind::kCollate);
      collate->type = text_type(kMaxLength, true);
      set_collation(collate->type, identifier());
      collate->args.push_back(std::move(expr));
      expr = std::move(collate);
    } else if (is_word("at") && is_word("time", 1)) {
      take_words({"at", "time", "zone"});
      auto zone = node(ExprKind::kAtTimeZone);
      zone->args.push_back(std::move(expr));
      zone->args.push_back(primary());
      expr = std::move(zone);
    } else if (is_symbol(".") && peek(1).kind == TokenKind::kWord && is_symbol("(", 2)) {
      ++at_;
      auto method = node(ExprKind::kMethod, take().text);
      expect_symbol("(");
      expect_symbol(")");
      method->args.push_back(std::move(expr));
      expr = std::move(method);
    } else {
      return expr;
    }
  }
}

ExprPtr Parser::primary() {
  if (take_symbol("(")) {
    ExprPtr expr;
    if (is_word("select") || is_word("with")) {
      expr = node(ExprKind::kSubquery);
      expr->query = select();
    } else {
      expr = expression();
    }
    expect_symbol(")");
    return expr;
  }
  if (peek().kind == TokenKind::kVariable) {
    return node(ExprKind::kVariable, take().text);
  }
  if (peek().kind == TokenKind::kWord) {
    if (is_word("null")) {
      take();
      return typed_literal(type_of(TypeKind::kInt), Null{});
    }
    if (take_word("case")) {
      return case_expression();
    }
    for (const char* word : {"cast", "convert", "try_cast", "try_convert"}) {
      if (is_word(word) && is_symbol("(", 1)) {
        const std::string name = lower(take().text);
        return cast_expression(name.ends_with("convert"), name.starts_with("try"));
      }
    }
    if (take_words({"next", "value", "for"})) {
      auto expr = node(ExprKind::kNextValue);
      expr->name = qualified_name();
      return expr;
    }
    for (const char* word : {"current_timestamp", "current_user", "session_user", "system_user"}) {
      if (is_word(word)) {
        auto expr = node(ExprKind::kCall);
        expr->name = {lower(take().text)};
        return expr;
      }
    }
    if (begins_statement() && !is_symbol("(", 1)) {
      fail();
    }
  }
  if (peek().kind != TokenKind::kWord && peek().kind != TokenKind::kQuoted) {
    return literal();
  }
  Name name = qualified_name();
  // The last part of a.b.Method() belongs to what stands before it.
  if (is_symbol("(") && name.size() >= 2) {
    const std::string method = lower(name.back());
    if (method == "tostring" || method == "stasbinary" || method == "stastext" ||
        method == "stsrid") {
      auto expr = node(ExprKind::kMethod, name.back());
      name.pop_back();
      auto object = node(ExprKind::kColumn);
      object->name = std::move(name);
      expr->args.push_back(std::move(object));
      expect_symbol("(");
      expect_symbol(")");
      return expr;
    }
  }
  if (is_symbol("(")) {
    return call(std::move(name));
  }
  auto expr = node(ExprKind::kColumn);
  expr->name = std::move(name);
  return expr;
}

ExprPtr Parser::literal() {
  const Token token = peek();
  switch (token.kind) {
    case TokenKind::kNumber:
      take();
      return number_literal(token.text);
    case TokenKind::kString: {
      take();
      std::u16string text = utf16_of_utf8(token.text);
      const int length = std::max<int>(1, static_cast<int>(text.size()));
      if (!token.unicode) {
        text = utf16_of_cp1252(cp1252_of_utf16(text));
      }
      return typed_literal(text_type(length, token.unicode), std::move(text));
    }
    case TokenKind::kBinary: {
      take();
      std::string bytes = bytes_of_digits(token.text);
      return typed_literal(binary_type(std::max<int>(1, static_cast<int>(bytes.size()))), bytes);
    }
    default:
      if (token.kind == TokenKind::kSymbol && token.text == "$" &&
          peek(1).kind == TokenKind::kNumber) {
        take();
        const auto parsed = parse_decimal(take().text);
        return typed_literal(type_of(TypeKind::kMoney),
                             rescaled(parsed->units, parsed->scale, 4).value_or(0));
      }
      fail();
  }
}

ExprPtr Parser::case_expression() {
  auto expr = node(ExprKind::kCase);
  if (!is_word("when")) {
    expr->operand = expression();
  }
  while (take_word("when")) {
    expr->args.push_back(expression());
    expect_word("then");
    expr->args.push_back(expression());
  }
  if (take_word("else")) {
    expr->has_else = true;
    expr->args.push_back(expression());
  }
  expect_word("end");
  return expr;
}

ExprPtr Parser::cast_expression(bool convert, bool try_it) {
  auto expr = node(ExprKind::kCast, try_it ? "TRY" : "");
  expect_symbol("(");
  const auto wide_default = [](SqlType type, bool length_given) {
    // varchar and the like without a length are 30 long here, and 1 in a declaration.
    if (!length_given && (type.is_text() || type.is_bytes()) && type.length == 1) {
      type.length = 30;
    }
    return type;
  };
  const auto type = [this, &wide_default] {
    const std::size_t begin = at_;
    const SqlType parsed = data_type();
    bool length_given = false;
    for (std::size_t at = begin; at < at_; ++at) {
      length_given = length_given || tokens_[at].text == "(";
    }
    return wide_default(parsed, length_given);
  };
  if (convert) {
    expr->type = type();
    expect_symbol(",");
    expr->args.push_back(expression());
    if (take_symbol(",")) {
      expr->args.push_back(expression());
    }
  } else {
    expr->args.push_back(expression());
    expect_word("as");
    expr->type = type();
  }
  expect_symbol(")");
  return expr;
}

ExprPtr Parser::call(Name name) {
  auto expr = node(ExprKind::kCall);
  expr->name = std::move(name);
  expect_symbol("(");
  if (take_symbol("*")) {
    expr->star = true;
  } else if (!is_symbol(")")) {
    expr->distinct = take_word("distinct");
    do {
      expr->args.push_back(expression());
    } while (take_symbol(","));
  }
  expect_symbol(")");
  if (take_words({"within", "group"})) {
    expect_symbol("(");
    expect_word("order");
    expect_word("by");
    expr->window_order = order_items();
    expect_symbol(")");
  }
  if (take_word("over")) {
    over_clause(*expr);
  }
  return expr;
}

void Parser::over_clause(Expr& call) {
  call.over = true;
  expect_symbol("(");
  if (take_words({"partition", "by"})) {
    do {
      call.partition.push_back(expression());
    } while (take_symbol(","));
  }
  if (take_words({"order", "by"})) {
    call.window_order = order_items();
  }
  expect_symbol(")");
}

std::vector<OrderItem> Parser::order_items() {
  std::vector<OrderItem> items;
  do {
    OrderItem item;
    item.expr = expression();
    item.descending = !take_word("asc") && take_word("desc");
    items.push_back(std::move(item));
  } while (take_symbol(","));
  return items;
}

}  // namespace headgate::test::sqlserver
