#include "db/odbc/connection_string.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate::odbc {
namespace {

constexpr std::string_view kHint =
    "write Keyword=value;Keyword=value; and put a value that holds a semicolon in braces, a } in "
    "it "
    "twice: PWD={a;b}}c};";

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; };
  while (!text.empty() && blank(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && blank(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

// Reads attribute by attribute; `part` counts them for errors.
class Reader {
 public:
  Reader(std::string_view text, const std::string& role) : rest_(text), role_(role) {}

  // The next attribute, or nothing at the end.
  std::optional<ConnectionString::Attribute> next() {
    while (!rest_.empty() && (rest_.front() == ';' || trimmed(rest_.substr(0, 1)).empty())) {
      rest_.remove_prefix(1);
    }
    if (rest_.empty()) {
      return std::nullopt;
    }
    ++part_;
    const std::size_t equals = rest_.find('=');
    if (equals == std::string_view::npos || rest_.find(';') < equals) {
      fail("has no \"=\"");
    }
    const std::string_view keyword = trimmed(rest_.substr(0, equals));
    if (keyword.empty()) {
      fail("has no keyword before its \"=\"");
    }
    rest_.remove_prefix(equals + 1);
    const std::size_t start = rest_.find_first_not_of(" \t");
    if (start != std::string_view::npos && rest_[start] == '{') {
      rest_.remove_prefix(start + 1);
      return ConnectionString::Attribute{std::string(keyword), braced()};
    }
    const std::string_view value = rest_.substr(0, rest_.find(';'));
    rest_.remove_prefix(value.size());
    return ConnectionString::Attribute{std::string(keyword), std::string(trimmed(value))};
  }

  [[noreturn]] void fail(std::string_view what) const {
    throw Error{ErrorKind::kOperator,
                fmt::format("{}: part {} of the connection string {}", role_, part_, what),
                std::string(kHint)};
  }

 private:
  std::string braced() {
    std::string value;
    while (true) {
      const std::size_t brace = rest_.find('}');
      if (brace == std::string_view::npos) {
        fail("opens a brace and does not close it");
      }
      value += rest_.substr(0, brace);
      rest_.remove_prefix(brace + 1);
      if (rest_.empty() || rest_.front() != '}') {
        break;
      }
      value.push_back('}');
      rest_.remove_prefix(1);
    }
    if (!trimmed(rest_.substr(0, rest_.find(';'))).empty()) {
      fail("goes on behind its closing brace");
    }
    rest_.remove_prefix(std::min(rest_.find(';'), rest_.size()));
    return value;
  }

  std::string_view rest_;
  const std::string& role_;
  int part_ = 0;
};

// FreeTDS takes everything up to the next semicolon, whatever it is, unless it begins with a brace.
// In braces neither it nor the driver manager, which looks for Driver and DSN in the same text, can
// tell a closing brace from one that belongs to the value, so we pass none there.
bool freetds_needs_braces(std::string_view value) {
  return value.find(';') != std::string_view::npos || value.starts_with('{');
}

bool standard_needs_braces(std::string_view value) {
  return value.find_first_of("[]{}(),;?*=!@") != std::string_view::npos ||
         trimmed(value).size() != value.size();
}

// Driver and DSN first, the password last: the driver manager reads the text too.
int place(std::string_view keyword) {
  if (same_keyword(keyword, "Driver") || same_keyword(keyword, "DSN")) {
    return 0;
  }
  return same_keyword(keyword, "PWD") ? 2 : 1;
}

}  // namespace

bool same_keyword(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return lower(x) == lower(y); });
}

ConnectionString::ConnectionString(std::string_view text, const std::string& role) {
  Reader reader(text, role);
  if (text.find('\0') != std::string_view::npos) {
    throw Error{ErrorKind::kOperator, role + ": the connection string holds a NUL byte"};
  }
  while (auto attribute = reader.next()) {
    if (has(attribute->keyword)) {
      reader.fail("repeats the keyword of an earlier one");
    }
    attributes_.push_back(std::move(*attribute));
  }
}

const std::string* ConnectionString::find(std::string_view keyword) const {
  const auto found = std::find_if(
      attributes_.begin(), attributes_.end(),
      [&](const Attribute& attribute) { return same_keyword(attribute.keyword, keyword); });
  return found == attributes_.end() ? nullptr : &found->value;
}

void ConnectionString::set(std::string_view keyword, std::string value) {
  for (Attribute& attribute : attributes_) {
    if (same_keyword(attribute.keyword, keyword)) {
      attribute.value = std::move(value);
      return;
    }
  }
  attributes_.push_back({std::string(keyword), std::move(value)});
}

void ConnectionString::set_default(std::string_view keyword, std::string value) {
  if (!has(keyword)) {
    set(keyword, std::move(value));
  }
}

std::optional<std::string> ConnectionString::render(BraceRule rule, std::string* culprit) const {
  std::vector<const Attribute*> ordered;
  for (const Attribute& attribute : attributes_) {
    ordered.push_back(&attribute);
  }
  std::stable_sort(ordered.begin(), ordered.end(), [](const Attribute* a, const Attribute* b) {
    return place(a->keyword) < place(b->keyword);
  });
  std::string text;
  for (const Attribute* attribute : ordered) {
    const std::string& value = attribute->value;
    text += attribute->keyword + "=";
    if (rule == BraceRule::kFreeTds) {
      const bool braces = freetds_needs_braces(value);
      if (braces && value.find('}') != std::string::npos) {
        *culprit = attribute->keyword;
        return std::nullopt;
      }
      text += braces ? "{" + value + "}" : value;
    } else if (standard_needs_braces(value)) {
      text.push_back('{');
      for (const char c : value) {
        text.append(c == '}' ? 2U : 1U, c);
      }
      text.push_back('}');
    } else {
      text += value;
    }
    text.push_back(';');
  }
  return text;
}

}  // namespace headgate::odbc
