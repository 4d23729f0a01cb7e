#include "sink/sqlite/table_sql.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "db/sqlite/connection.hpp"

namespace headgate::sink::sqlite {
namespace {

using db::sqlite::quote_identifier;

std::string table_of(const TableSchema& output) {
  return "main." + quote_identifier(output.name.table);
}

std::string column_of(const TableSchema& output, std::size_t column) {
  return quote_identifier(output.columns[column].name);
}

std::string key_list(const TableSchema& output) {
  std::string list;
  for (const std::size_t column : output.key) {
    list += (list.empty() ? "" : ", ") + column_of(output, column);
  }
  return list;
}

std::string assignments(const TableSchema& output, const ColumnMask& columns) {
  std::string list;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    if (columns[i]) {
      list += fmt::format("{}{} = ?{}", list.empty() ? "" : ", ", column_of(output, i), i + 1);
    }
  }
  return list;
}

std::string old_key_condition(const TableSchema& output) {
  std::string condition;
  for (const std::size_t column : output.key) {
    condition += fmt::format("{}{} = ?{}", condition.empty() ? "" : " AND ",
                             column_of(output, column), output.columns.size() + column + 1);
  }
  return condition;
}

std::string one_row_condition(const TableSchema& output, const ColumnMask& match,
                              const std::string& row_id) {
  // In groups, since a chain of ANDs is as deep as it is long, and SQLite refuses more than 1000.
  constexpr std::size_t kGroup = 100;
  std::string condition;
  std::size_t terms = 0;
  for (std::size_t i = 0; i < match.size(); ++i) {
    if (match[i]) {
      const char* before = terms == 0 ? "(" : terms % kGroup == 0 ? ") AND (" : " AND ";
      condition +=
          fmt::format("{}{} IS ?{}", before, column_of(output, i), output.columns.size() + i + 1);
      ++terms;
    }
  }
  condition += ")";
  return fmt::format("{0} = (SELECT {0} FROM {1} WHERE {2} LIMIT 1)", row_id, table_of(output),
                     condition);
}

std::string conflict_clause(const TableSchema& output, OnConflict on_conflict) {
  ColumnMask others(output.columns.size(), true);
  for (const std::size_t column : output.key) {
    others[column] = false;
  }
  const bool nothing_else =
      std::none_of(others.begin(), others.end(), [](bool set) { return set; });
  switch (on_conflict) {
    case OnConflict::kError:
      return {};
    case OnConflict::kSkip:
      return fmt::format(" ON CONFLICT ({}) DO NOTHING", key_list(output));
    case OnConflict::kOverwrite:
      break;
  }
  if (nothing_else) {
    return fmt::format(" ON CONFLICT ({}) DO NOTHING", key_list(output));
  }
  // By parameter and not by excluded.…, which a table of that name would shadow.
  return fmt::format(" ON CONFLICT ({}) DO UPDATE SET {}", key_list(output),
                     assignments(output, others));
}

}  // namespace

std::string insert_sql(const TableSchema& output) {
  std::string columns;
  std::string values;
  for (std::size_t i = 0; i < output.columns.size(); ++i) {
    columns += (i == 0 ? "" : ", ") + column_of(output, i);
    values += fmt::format("{}?{}", i == 0 ? "" : ", ", i + 1);
  }
  return fmt::format("INSERT OR ABORT INTO {} ({}) VALUES ({})", table_of(output), columns, values);
}

std::string upsert_sql(const TableSchema& output, OnConflict on_conflict) {
  return insert_sql(output) + conflict_clause(output, on_conflict);
}

std::string update_sql(const TableSchema& output, const ColumnMask& columns) {
  return fmt::format("UPDATE OR ABORT {} SET {} WHERE {}", table_of(output),
                     assignments(output, columns), old_key_condition(output));
}

std::string delete_sql(const TableSchema& output) {
  return fmt::format("DELETE FROM {} WHERE {}", table_of(output), old_key_condition(output));
}

std::string update_one_sql(const TableSchema& output, const ColumnMask& columns,
                           const ColumnMask& match, const std::string& row_id) {
  return fmt::format("UPDATE OR ABORT {} SET {} WHERE {}", table_of(output),
                     assignments(output, columns), one_row_condition(output, match, row_id));
}

std::string delete_one_sql(const TableSchema& output, const ColumnMask& match,
                           const std::string& row_id) {
  return fmt::format("DELETE FROM {} WHERE {}", table_of(output),
                     one_row_condition(output, match, row_id));
}

}  // namespace headgate::sink::sqlite
