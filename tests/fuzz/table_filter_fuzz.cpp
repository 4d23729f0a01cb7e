// The patterns of `tables`, against a matcher so simple that it is plainly right.
//
// The input is lines: a schema, a table, and patterns.

#include "fuzz_target.hpp"
#include "pipeline/table_filter.hpp"

namespace headgate::fuzz {
namespace {

// matched[i][j]: the first i characters of the pattern match the first j of the text.
bool matches(std::string_view pattern, std::string_view text) {
  std::vector<std::vector<bool>> matched(pattern.size() + 1,
                                         std::vector<bool>(text.size() + 1, false));
  matched[0][0] = true;
  for (std::size_t i = 1; i <= pattern.size(); ++i) {
    const bool star = pattern[i - 1] == '*';
    matched[i][0] = star && matched[i - 1][0];
    for (std::size_t j = 1; j <= text.size(); ++j) {
      matched[i][j] = star ? matched[i - 1][j] || matched[i][j - 1]
                           : matched[i - 1][j - 1] && pattern[i - 1] == text[j - 1];
    }
  }
  return matched[pattern.size()][text.size()];
}

}  // namespace

HEADGATE_FUZZ_TARGET(table_filter) {
  constexpr std::size_t kPatternsMax = 20;
  if (input.size() > 400) {
    return;  // the plain matcher is quadratic
  }
  InputReader lines(input);
  const TableName table{lines.line(), lines.line()};
  std::vector<std::string> patterns;
  bool captured = false;
  while (!lines.empty() && patterns.size() < kPatternsMax) {
    patterns.push_back(lines.line());
    const bool excludes = patterns.back().starts_with('!');
    const std::string_view name = std::string_view(patterns.back()).substr(excludes ? 1 : 0);
    const std::size_t dot = name.find('.');
    if (matches(name.substr(0, dot), table.schema) &&
        matches(dot == name.npos ? "*" : name.substr(dot + 1), table.table)) {
      captured = !excludes;
    }
  }
  captured = captured && !table.table.starts_with("headgate_");

  const TableFilter filter(patterns);
  require(filter.matches(table) == captured, "the last pattern that matches decides");
  for (const TableName& named : filter.named()) {
    require(filter.matches(named), "a table that is named is captured");
  }
}

}  // namespace headgate::fuzz
