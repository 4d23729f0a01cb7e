#include "source/postgres/copy_statement.hpp"

#include <string_view>

#include <fmt/format.h>

#include "source/postgres/catalog.hpp"

namespace headgate::source::postgres {
namespace {

std::string from_table(const Session::CopyTable& table) {
  return (table.partitioned ? "" : "ONLY ") + quoted(table.schema->name);
}

std::string key_columns(const TableSchema& schema) {
  std::string names;
  for (const std::size_t column : schema.key) {
    names += (names.empty() ? "" : ", ") + pq::quote_identifier(schema.columns[column].name);
  }
  return names;
}

// A comparison of rows uses the key's index; its literals get the columns' types and collations.
std::string compare(const pq::Connection& connection, const TableSchema& schema,
                    std::string_view operation, const std::vector<std::string>& key) {
  std::string values;
  for (const std::string& value : key) {
    values += (values.empty() ? "" : ", ") + connection.quote_literal(value);
  }
  return fmt::format("({}) {} ({})", key_columns(schema), operation, values);
}

std::string where(const pq::Connection& connection, const Session::CopyTable& table,
                  const KeyRange& range) {
  std::string conditions;
  const auto add = [&](const std::string& condition) {
    conditions += (conditions.empty() ? " WHERE " : " AND ") + condition;
  };
  if (!table.row_filter.empty()) {
    add("(" + table.row_filter + ")");
  }
  if (!range.after.empty()) {
    add(compare(connection, *table.schema, ">", range.after));
  }
  if (!range.up_to.empty()) {
    add(compare(connection, *table.schema, "<=", range.up_to));
  }
  if (!range.keys.empty()) {
    std::string keys;
    for (const auto& key : range.keys) {
      keys += (keys.empty() ? "" : " OR ") + compare(connection, *table.schema, "=", key);
    }
    add("(" + keys + ")");
  }
  return conditions;
}

std::string order(const TableSchema& schema) {
  return schema.key.empty() ? "" : " ORDER BY " + key_columns(schema);
}

}  // namespace

std::string copy_statement(const pq::Connection& connection, const Session::CopyTable& table,
                           bool binary, const KeyRange& range) {
  std::string columns;
  for (const Column& column : table.schema->columns) {
    const std::string name = pq::quote_identifier(column.name);
    columns += columns.empty() ? "" : ", ";
    // format() uses the type's output function, as the log stream does; a cast to text would not
    // for every type (boolean, character(n), inet). num_nulls() is right for composite values too.
    columns += binary
                   ? name
                   : fmt::format("CASE WHEN num_nulls({0}) = 0 THEN format('%s', {0}) END", name);
  }
  const bool whole = range.after.empty() && range.up_to.empty();
  return fmt::format("COPY (SELECT {} FROM {}{}{}) TO STDOUT (FORMAT binary)", columns,
                     from_table(table), where(connection, table, range),
                     whole ? "" : order(*table.schema));
}

std::string bound_statement(const pq::Connection& connection, const Session::CopyTable& table,
                            const std::vector<std::string>& after, std::size_t count) {
  return fmt::format("SELECT {} FROM {}{}{} OFFSET {} LIMIT 1", key_columns(*table.schema),
                     from_table(table), where(connection, table, {after, {}, {}}),
                     order(*table.schema), count - 1);
}

}  // namespace headgate::source::postgres
