#include "support/sqlserver_double/lexer.hpp"

#include <array>

#include "support/sqlserver_double/sql_error.hpp"

namespace headgate::test::sqlserver {

namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool begins_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '#' ||
         (static_cast<unsigned char>(c) & 0x80) != 0;
}

bool in_word(char c) {
  return begins_word(c) || is_digit(c) || c == '$' || c == '@';
}

class Lexer {
 public:
  explicit Lexer(std::string_view sql) : sql_(sql) {}

  std::vector<Token> run() {
    std::vector<Token> tokens;
    do {
      skip_space();
      const std::size_t begin = at_;
      tokens.push_back(next());
      tokens.back().begin = begin;
      tokens.back().end = at_;
    } while (tokens.back().kind != TokenKind::kEnd);
    return tokens;
  }

 private:
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0';
  }

  void skip_space() {
    while (at_ < sql_.size()) {
      if (peek() == '-' && peek(1) == '-') {
        while (at_ < sql_.size() && peek() != '\n') {
          ++at_;
        }
      } else if (peek() == '/' && peek(1) == '*') {
        skip_comment();
      } else if (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n') {
        ++at_;
      } else {
        return;
      }
    }
  }

  // Comments nest.
  void skip_comment() {
    int depth = 0;
    do {
      if (at_ >= sql_.size()) {
        throw SqlError(113, "Missing end comment mark '*/'.", 15);
      }
      if (peek() == '/' && peek(1) == '*') {
        ++depth;
        at_ += 2;
      } else if (peek() == '*' && peek(1) == '/') {
        --depth;
        at_ += 2;
      } else {
        ++at_;
      }
    } while (depth > 0);
  }

  Token next() {
    const char c = peek();
    if (at_ >= sql_.size()) {
      return {};
    }
    if ((c == 'N' || c == 'n') && peek(1) == '\'') {
      ++at_;
      Token token = delimited(TokenKind::kString, '\'');
      token.unicode = true;
      return token;
    }
    if (c == '\'') {
      return delimited(TokenKind::kString, '\'');
    }
    if (c == '[') {
      return delimited(TokenKind::kQuoted, ']');
    }
    if (c == '"') {
      return delimited(TokenKind::kQuoted, '"');
    }
    if (c == '0' && (peek(1) == 'x' || peek(1) == 'X')) {
      at_ += 2;
      return taken(TokenKind::kBinary, [this] { return in_word(peek()); });
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      return number();
    }
    if (c == '@' || begins_word(c)) {
      return taken(c == '@' ? TokenKind::kVariable : TokenKind::kWord,
                   [this] { return in_word(peek()); });
    }
    return symbol();
  }

  template <typename Condition>
  Token taken(TokenKind kind, Condition condition) {
    const std::size_t begin = at_;
    while (condition()) {
      ++at_;
    }
    return {kind, std::string(sql_.substr(begin, at_ - begin))};
  }

  Token delimited(TokenKind kind, char end) {
    Token token{kind, {}};
    ++at_;
    while (true) {
      if (at_ >= sql_.size()) {
        throw SqlError(
            105, "Unclosed quotation mark after the character string '" + token.text + "'.", 15);
      }
      if (peek() == end) {
        if (peek(1) != end) {
          ++at_;
          return token;
        }
        ++at_;
      }
      token.text.push_back(sql_[at_++]);
    }
  }

  Token number() {
    Token token = taken(TokenKind::kNumber, [this] { return is_digit(peek()) || peek() == '.'; });
    const bool sign = peek(1) == '+' || peek(1) == '-';
    if ((peek() == 'e' || peek() == 'E') && is_digit(peek(sign ? 2 : 1))) {
      token.text += sql_.substr(at_, sign ? 2 : 1);
      at_ += sign ? 2 : 1;
      token.text += taken(TokenKind::kNumber, [this] { return is_digit(peek()); }).text;
    }
    return token;
  }

  Token symbol() {
    static constexpr std::array<const char*, 13> kPairs = {
        "<>", "<=", ">=", "!=", "!<", "!>", "+=", "-=", "*=", "/=", "%=", "::", "||"};
    for (const char* pair : kPairs) {
      if (sql_.substr(at_, 2) == pair) {
        at_ += 2;
        return {TokenKind::kSymbol, pair};
      }
    }
    return {TokenKind::kSymbol, std::string(1, sql_[at_++])};
  }

  std::string_view sql_;
  std::size_t at_ = 0;
};

}  // namespace

std::vector<Token> tokens_of(std::string_view sql) {
  return Lexer(sql).run();
}

}  // namespace headgate::test::sqlserver
