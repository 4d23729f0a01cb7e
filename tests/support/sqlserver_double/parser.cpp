#include "support/sqlserver_double/parser.hpp"

#include <array>
#include <cstdlib>

#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

std::vector<StatementPtr> parse_batch(std::string_view sql) {
  return Parser(sql).batch();
}

std::vector<ParameterDef> parse_parameters(std::string_view definitions) {
  return Parser(definitions).parameters();
}

std::vector<StatementPtr> Parser::batch() {
  std::vector<StatementPtr> statements;
  while (true) {
    while (take_symbol(";")) {
    }
    if (at_end()) {
      return statements;
    }
    statements.push_back(statement());
  }
}

std::vector<ParameterDef> Parser::parameters() {
  std::vector<ParameterDef> parameters;
  while (!at_end()) {
    ParameterDef parameter;
    parameter.name = take().text;
    take_word("as");
    parameter.type = data_type();
    if (!take_word("output")) {
      take_word("out");
    }
    parameters.push_back(std::move(parameter));
    if (!take_symbol(",")) {
      break;
    }
  }
  return parameters;
}

const Token& Parser::peek(std::size_t ahead) const {
  return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
}

bool Parser::is_word(std::string_view word, std::size_t ahead) const {
  return peek(ahead).kind == TokenKind::kWord && same_name(peek(ahead).text, word);
}

bool Parser::is_symbol(std::string_view symbol, std::size_t ahead) const {
  return peek(ahead).kind == TokenKind::kSymbol && peek(ahead).text == symbol;
}

bool Parser::take_word(std::string_view word) {
  const bool found = is_word(word);
  at_ += found ? 1u : 0u;
  return found;
}

bool Parser::take_words(std::initializer_list<std::string_view> words) {
  std::size_t ahead = 0;
  for (const std::string_view word : words) {
    if (!is_word(word, ahead++)) {
      return false;
    }
  }
  at_ += words.size();
  return true;
}

bool Parser::take_symbol(std::string_view symbol) {
  const bool found = is_symbol(symbol);
  at_ += found ? 1u : 0u;
  return found;
}

void Parser::expect_word(std::string_view word) {
  if (!take_word(word)) {
    fail();
  }
}

void Parser::expect_symbol(std::string_view symbol) {
  if (!take_symbol(symbol)) {
    fail();
  }
}

Token Parser::take() {
  Token token = peek();
  at_ += at_ + 1 < tokens_.size() ? 1u : 0u;
  return token;
}

void Parser::fail() const {
  const std::size_t begin = peek().begin;
  throw syntax_error(begin >= sql_.size() ? "the end of: " + std::string(sql_.substr(0, 200))
                                          : std::string(sql_.substr(begin, 200)));
}

std::string Parser::identifier() {
  if (peek().kind != TokenKind::kWord && peek().kind != TokenKind::kQuoted) {
    fail();
  }
  return take().text;
}

std::string Parser::any_word() {
  if (peek().kind != TokenKind::kWord) {
    fail();
  }
  return lower(take().text);
}

// db..object has an empty schema.
Name Parser::qualified_name() {
  Name name = {identifier()};
  while (take_symbol(".")) {
    if (is_symbol(".")) {
      name.emplace_back();
    } else if (is_symbol("*")) {
      --at_;
      return name;
    } else {
      name.push_back(identifier());
    }
  }
  return name;
}

std::vector<std::string> Parser::column_list() {
  std::vector<std::string> columns;
  expect_symbol("(");
  do {
    columns.push_back(identifier());
    if (!take_word("asc")) {
      take_word("desc");
    }
  } while (take_symbol(","));
  expect_symbol(")");
  return columns;
}

SqlType Parser::data_type() {
  Name name = qualified_name();
  if (same_name(name.back(), "national") && (is_word("char") || is_word("character"))) {
    name.back() = take_word("char") || take_word("character") ? "nchar" : "";
    if (take_word("varying")) {
      name.back() = "nvarchar";
    }
  }
  if (same_name(name.back(), "double")) {
    take_word("precision");
  }
  auto type = type_named(name.back());
  if (!type) {
    throw SqlError(2715, "Cannot find data type " + name.back() + ".");
  }
  if (take_symbol("(")) {
    if (take_word("max")) {
      type->length = kMaxLength;
    } else {
      const int first = std::atoi(take().text.c_str());
      const int second = take_symbol(",") ? std::atoi(take().text.c_str()) : 0;
      if (type->kind == TypeKind::kDecimal || type->kind == TypeKind::kNumeric) {
        type->precision = first;
        type->scale = second;
      } else if (type->is_moment()) {
        type->scale = first;
      } else if (type->kind == TypeKind::kFloat) {
        type->kind = first <= 24 ? TypeKind::kReal : TypeKind::kFloat;
      } else {
        type->length = first;
      }
    }
    expect_symbol(")");
  }
  if (take_word("collate")) {
    set_collation(*type, identifier());
  }
  return *type;
}

// Whether a statement may begin here: where a statement ends without a semicolon.
bool Parser::begins_statement() const {
  static constexpr std::array<const char*, 34> kBeginnings = {
      "select",  "insert",   "update",   "delete",   "merge",  "create",    "alter",
      "drop",    "begin",    "commit",   "rollback", "save",   "set",       "declare",
      "if",      "while",    "exec",     "execute",  "print",  "raiserror", "throw",
      "waitfor", "use",      "truncate", "grant",    "revoke", "deny",      "return",
      "break",   "continue", "with",     "end",      "else",   "go"};
  for (const char* word : kBeginnings) {
    if (is_word(word)) {
      return true;
    }
  }
  return false;
}

}  // namespace headgate::test::sqlserver
