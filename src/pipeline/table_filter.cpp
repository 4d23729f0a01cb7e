#include "pipeline/table_filter.hpp"

#include <string_view>
#include <utility>

namespace headgate {
namespace {

// `*` matches any run of characters, also none. Iterative: a pattern of many stars must not
// explode.
bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_text = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_text = t;
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++star_text;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') {
    ++p;
  }
  return p == pattern.size();
}

}  // namespace

TableFilter::TableFilter(std::vector<std::string> patterns) : patterns_(std::move(patterns)) {
  for (const std::string& text : patterns_) {
    std::string_view rest = text;
    const bool excludes = rest.starts_with('!');
    if (excludes) {
      rest.remove_prefix(1);
    }
    const auto dot = rest.find('.');
    parsed_.push_back(
        {excludes, std::string(rest.substr(0, dot)),
         dot == std::string_view::npos ? std::string{"*"} : std::string(rest.substr(dot + 1))});
  }
}

bool TableFilter::matches(const TableName& table) const {
  if (table.table.starts_with("headgate_")) {
    return false;
  }
  bool captured = false;
  for (const Pattern& pattern : parsed_) {
    if (glob_matches(pattern.schema, table.schema) && glob_matches(pattern.table, table.table)) {
      captured = !pattern.excludes;
    }
  }
  return captured;
}

std::vector<TableName> TableFilter::named() const {
  std::vector<TableName> names;
  for (const Pattern& pattern : parsed_) {
    const TableName name{pattern.schema, pattern.table};
    const bool is_pattern = name.to_string().find('*') != std::string::npos;
    if (!pattern.excludes && !is_pattern && matches(name)) {
      names.push_back(name);
    }
  }
  return names;
}

}  // namespace headgate
