#include "sql_table.hpp"

#include <vector>

#include <fmt/format.h>

namespace headgate::sink_contract {

std::string quoted(const std::string& name) {
  std::string text = "\"";
  for (const char c : name) {
    text.append(c == '"' ? 2 : 1, c);
  }
  return text + "\"";
}

std::string create_table_sql(const SqlDialect& dialect, const SinkConfig& table,
                             const TableRules& rules) {
  std::vector<std::string> parts;
  for (const Column& column : table.output.columns) {
    parts.push_back(fmt::format("{} {}{}", quoted(column.name), dialect.type_of(column),
                                column.nullable ? "" : " NOT NULL"));
  }
  if (!table.output.key.empty()) {
    std::vector<std::string> key;
    for (const std::string& name : table.primary_key()) {
      key.push_back(quoted(name));
    }
    parts.push_back(fmt::format("PRIMARY KEY ({})", fmt::join(key, ", ")));
  }
  for (const std::string& column : rules.unique) {
    parts.push_back(fmt::format("UNIQUE ({}) {}", quoted(column), dialect.unique_suffix));
  }
  for (const TableRules::Reference& reference : rules.references) {
    parts.push_back(fmt::format("FOREIGN KEY ({}) REFERENCES {} {}", quoted(reference.column),
                                dialect.name_of(reference.table->output.name),
                                dialect.reference_suffix));
  }
  return fmt::format("CREATE TABLE {} ({}) {}", dialect.name_of(table.output.name),
                     fmt::join(parts, ", "), dialect.table_suffix);
}

std::string column_list(const SinkConfig& table,
                        const std::function<std::string(const Column&)>& expression) {
  std::vector<std::string> columns;
  for (const Column& column : table.output.columns) {
    columns.push_back(expression(column));
  }
  return fmt::format("{}", fmt::join(columns, ", "));
}

}  // namespace headgate::sink_contract
