// ODBC's `Keyword=value;Keyword={value};` as a list, and back into text in the dialect of a driver.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::odbc {

// How a driver reads values in braces.
enum class BraceRule {
  kStandard,  // `}}` stands for `}`; the driver manager and Microsoft's drivers
  kFreeTds,   // ends at the first `};`, and nothing is un-escaped (FreeTDS,
              // odbc_parse_connect_string)
};

// The attributes of a connection string in their order, each keyword once. Keywords compare without
// regard to case. Not thread-safe.
class ConnectionString {
 public:
  struct Attribute {
    std::string keyword;  // as written
    std::string value;    // without braces
  };

  // Reads what a person wrote: values in braces by the standard rule, all others trimmed of blanks.
  // Throws Error{kOperator} that says which part (from 1) is wrong but never shows it, since what
  // cannot be read may be a piece of a password.
  ConnectionString(std::string_view text, const std::string& role);

  const std::string* find(std::string_view keyword) const;  // null: not given
  bool has(std::string_view keyword) const { return find(keyword) != nullptr; }
  void set(std::string_view keyword, std::string value);
  void set_default(std::string_view keyword, std::string value);
  const std::vector<Attribute>& attributes() const { return attributes_; }

  // For SQLDriverConnect: Driver or DSN first, the password last, every attribute closed with a
  // semicolon (FreeTDS would take the last brace of an open one into the value). Nothing when a
  // value cannot be written by `rule`; `*culprit` is then its keyword.
  std::optional<std::string> render(BraceRule rule, std::string* culprit) const;

 private:
  std::vector<Attribute> attributes_;
};

bool same_keyword(std::string_view a, std::string_view b);

}  // namespace headgate::odbc
