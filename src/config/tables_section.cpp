#include <cstddef>
#include <string_view>

#include <fmt/format.h>

#include "config/sections.hpp"

namespace headgate::config {
namespace {

constexpr std::size_t kPostgresBytesMax = 63;
constexpr std::size_t kSqlServerCharactersMax = 128;  // sysname: units of UTF-16

bool is_odd_character(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7F || c == '"';
}

// As SQL Server counts: who stands beyond U+FFFF takes two.
std::size_t utf16_length(std::string_view utf8) {
  std::size_t units = 0;
  for (const char c : utf8) {
    const auto byte = static_cast<unsigned char>(c);
    units += (byte & 0xC0U) == 0x80U ? 0 : byte >= 0xF0U ? 2 : 1;
  }
  return units;
}

// What is wrong with the schema or the table of a pattern, or nothing.
std::string part_problem(std::string_view part, bool of_sqlserver) {
  if (part.empty()) {
    return "has an empty schema or table";
  }
  if (of_sqlserver && utf16_length(part) > kSqlServerCharactersMax) {
    return "has a name of more than 128 characters, which SQL Server does not have";
  }
  if (!of_sqlserver && part.size() > kPostgresBytesMax) {
    return "has a name of more than 63 bytes, which PostgreSQL does not have";
  }
  for (const char c : part) {
    if (is_odd_character(c)) {
      return "has quotes or control characters: write names as the server stores them";
    }
  }
  if (part.front() == ' ' || part.back() == ' ') {
    return "begins or ends a name with a blank";
  }
  return {};
}

// False, and a finding, for what is no pattern.
bool check_pattern(const Section& root, const Scalar& pattern, bool of_sqlserver) {
  const bool excludes = pattern.value.starts_with('!');
  const std::string_view name = std::string_view(pattern.value).substr(excludes ? 1 : 0);
  const std::size_t dot = name.find('.');
  if (dot == name.npos) {
    const std::string problem = part_problem(name, of_sqlserver);
    root.fail(pattern.place, fmt::format("{} has no schema", pattern.shown),
              problem.empty() && pattern.shown == fmt::format("\"{}\"", pattern.value)
                  ? fmt::format("\"{}{}.{}\", if that is where it is", excludes ? "!" : "",
                                of_sqlserver ? "dbo" : "public", name)
                  : "");
    return false;
  }
  if (name.find('.', dot + 1) != name.npos) {
    root.fail(pattern.place, fmt::format("{} has more than one dot", pattern.shown),
              "schema.table; for a name with a dot in it write * in place of the dot");
    return false;
  }
  const std::string_view table = name.substr(dot + 1);
  for (const std::string_view part : {name.substr(0, dot), table}) {
    if (const std::string problem = part_problem(part, of_sqlserver); !problem.empty()) {
      root.fail(pattern.place, fmt::format("{} {}", pattern.shown, problem));
      return false;
    }
  }
  if (!excludes && table.starts_with("headgate_")) {
    root.fail(
        pattern.place,
        fmt::format("{} names a table of Headgate's own, which is never captured", pattern.shown));
    return false;
  }
  return true;
}

}  // namespace

void read_tables(const Section& root, Config& config) {
  if (!root.has("tables")) {
    root.fail("tables", "missing, and there is no default",
              "tables: [\"public.*\"] captures all of a schema");
  }
  bool any_included = false;
  const std::vector<Scalar> patterns = root.texts("tables");
  for (const Scalar& pattern : patterns) {
    const bool excludes = pattern.value.starts_with('!');
    if (check_pattern(root, pattern, config.sqlserver.has_value()) && excludes && !any_included) {
      // The last pattern that matches decides.
      root.fail(pattern.place,
                fmt::format("{} excludes nothing: no pattern before it includes any table",
                            pattern.shown),
                "an exclusion stands after the pattern that it takes tables from");
    }
    any_included = any_included || !excludes;
    config.source.tables.push_back(pattern.value);
  }
  if (root.is_empty_list("tables")) {
    root.fail("tables", "no table is listed", "tables: [\"public.*\"] captures all of a schema");
  }

  const std::string keyless = root.choice("keyless", "append", {"append", "refuse"});
  config.source.keyless = keyless == "append" ? source::postgres::KeylessPolicy::kAppend
                                              : source::postgres::KeylessPolicy::kRefuse;
  config.copy_new_tables =
      root.choice("new_tables", "snapshot", {"snapshot", "ignore"}) == "snapshot";
  const std::string changes = root.choice("schema_changes", "apply", {"apply", "pause", "ignore"});
  config.schema_changes = changes == "pause"    ? SchemaChanges::kPause
                          : changes == "ignore" ? SchemaChanges::kIgnore
                                                : SchemaChanges::kApply;
  config.isolation = root.choice("isolation", "pipeline", {"pipeline", "table"}) == "table"
                         ? Isolation::kTable
                         : Isolation::kPipeline;
}

}  // namespace headgate::config
