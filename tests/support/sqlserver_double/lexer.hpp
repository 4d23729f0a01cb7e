// T-SQL text into tokens.

#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace headgate::test::sqlserver {

enum class TokenKind {
  kEnd,
  kWord,      // a name or keyword, as written
  kQuoted,    // [name] or "name", unquoted
  kVariable,  // @name or @@name, with its @
  kNumber,    // digits, perhaps with a point or an exponent
  kBinary,    // 0x…: the digits behind the 0x
  kString,    // 'text', unquoted; `unicode` when it was N'text'
  kSymbol,    // an operator or punctuation, of one to two characters
};

struct Token {
  TokenKind kind = TokenKind::kEnd;
  std::string text;
  bool unicode = false;
  std::size_t begin = 0;  // in the source
  std::size_t end = 0;
};

// Always ends with a kEnd. Throws SqlError 105 for a string or comment that does not end.
std::vector<Token> tokens_of(std::string_view sql);

}  // namespace headgate::test::sqlserver
