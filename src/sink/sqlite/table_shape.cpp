#include "sink/sqlite/table_shape.hpp"

#include <algorithm>
#include <array>
#include <set>

#include <fmt/format.h>

#include "base/error.hpp"
#include "sink/sqlite/table_catalog.hpp"

namespace headgate::sink::sqlite {
namespace {

using db::sqlite::quote_identifier;

Error refused(const TableSchema& output, const std::string& reason, const std::string& remedy) {
  return Error{ErrorKind::kOperator, fmt::format("table {}: {}", output.name.table, reason),
               remedy};
}

std::string rebuild_remedy(const TableSchema& output) {
  return fmt::format("rebuild it, or DROP TABLE {} and let Headgate create it",
                     quote_identifier(output.name.table));
}

std::set<std::string> folded(const std::vector<std::string>& names) {
  std::set<std::string> result;
  for (const std::string& name : names) {
    result.insert(fold_case(name));
  }
  return result;
}

std::set<std::string> folded_key(const TableSchema& output) {
  std::set<std::string> result;
  for (const std::size_t column : output.key) {
    result.insert(fold_case(output.columns[column].name));
  }
  return result;
}

bool is_key_column(const TableSchema& output, std::size_t column) {
  return std::find(output.key.begin(), output.key.end(), column) != output.key.end();
}

// What no SQLite database could have.
void check_names(const TableSchema& output) {
  const std::string name = fold_case(output.name.table);
  const bool reserved = name.starts_with("sqlite_") ||
                        (name.starts_with("headgate_") && !name.starts_with("headgate_copy_"));
  if (name.empty() || reserved) {
    throw refused(output, "the name is reserved: sqlite_… is SQLite's own, headgate_… is ours",
                  "exclude the table, or rename it in the mirror's options");
  }
  if (output.columns.empty()) {
    throw refused(output, "it has no columns, and SQLite has no such tables", "exclude the table");
  }
  std::set<std::string> seen;
  for (const Column& column : output.columns) {
    if (!seen.insert(fold_case(column.name)).second) {
      throw refused(
          output,
          fmt::format("column {} differs from another only by upper and lower case, which "
                      "SQLite does not distinguish",
                      column.name),
          "rename one of them at the source, or exclude the table");
    }
  }
}

const CatalogColumn* find_column(const CatalogTable& table, const std::string& name) {
  const auto found = std::find_if(
      table.columns.begin(), table.columns.end(),
      [&](const CatalogColumn& column) { return fold_case(column.name) == fold_case(name); });
  return found == table.columns.end() ? nullptr : &*found;
}

Storage check_column(const TableSchema& output, const CatalogTable& table, const Column& column) {
  const CatalogColumn* found = find_column(table, column.name);
  if (found == nullptr) {
    throw refused(
        output, fmt::format("column {} is missing", column.name),
        fmt::format("ALTER TABLE {} ADD COLUMN {} {}", quote_identifier(output.name.table),
                    quote_identifier(column.name), declared_type(column.family)));
  }
  if (found->generated) {
    throw refused(output, fmt::format("column {} is generated and cannot be written", column.name),
                  rebuild_remedy(output));
  }
  const Storage storage = storage_of(found->declared_type, table.strict);
  if (!can_hold(storage, column.family)) {
    throw refused(
        output,
        fmt::format("column {} is declared {} {}, which would change values of the "
                    "source's type {}",
                    column.name,
                    found->declared_type.empty() ? "without type" : found->declared_type,
                    table.strict ? "in a STRICT table" : "(not STRICT)", column.native_type),
        fmt::format("declare it {}; {}", declared_type(column.family), rebuild_remedy(output)));
  }
  return storage;
}

// True when the table has columns that the source does not.
bool check_own_columns(const TableSchema& output, const CatalogTable& table) {
  std::set<std::string> sent;
  for (const Column& column : output.columns) {
    sent.insert(fold_case(column.name));
  }
  bool any = false;
  for (const CatalogColumn& column : table.columns) {
    if (sent.contains(fold_case(column.name)) || column.generated) {
      continue;
    }
    any = true;
    const bool filled_by_sqlite = table.key_is_row_id() && column.key_place > 0;
    if (column.not_null && !column.has_default && !filled_by_sqlite) {
      throw refused(output,
                    fmt::format("column {} is NOT NULL without a default, and the source does not "
                                "have it",
                                column.name),
                    "give it a default, or drop it");
    }
  }
  return any;
}

bool covers_key(const TableSchema& output, const CatalogTable& table) {
  const std::set<std::string> key = folded_key(output);
  if (table.key_is_row_id() && folded(table.primary_key()) == key) {
    return true;
  }
  return std::any_of(table.unique_indexes.begin(), table.unique_indexes.end(),
                     [&](const CatalogIndex& index) {
                       return !index.partial && !index.on_expressions && index.binary_collation &&
                              folded(index.columns) == key;
                     });
}

// A unique index whose columns include the whole key can never be violated by rows of distinct
// keys.
bool follows_from_key(const CatalogIndex& index, const std::set<std::string>& key) {
  const std::set<std::string> columns = folded(index.columns);
  return !key.empty() && index.binary_collation &&
         std::includes(columns.begin(), columns.end(), key.begin(), key.end());
}

bool has_other_unique(const TableSchema& output, const CatalogTable& table) {
  const std::set<std::string> key = folded_key(output);
  const std::vector<std::string> primary_key = table.primary_key();
  if (table.key_is_row_id() && folded(primary_key) != key) {
    const std::string row_id = fold_case(primary_key.front());
    const bool sent =
        std::any_of(output.columns.begin(), output.columns.end(),
                    [&](const Column& column) { return fold_case(column.name) == row_id; });
    if (sent) {
      return true;
    }
  }
  return std::any_of(table.unique_indexes.begin(), table.unique_indexes.end(),
                     [&](const CatalogIndex& index) { return !follows_from_key(index, key); });
}

std::string free_row_id_name(const CatalogTable& table) {
  if (table.without_rowid) {
    return {};
  }
  for (const char* name : std::array{"rowid", "_rowid_", "oid"}) {
    if (find_column(table, name) == nullptr) {
      return name;
    }
  }
  return {};
}

void check_kind(const TableSchema& output, const CatalogTable& table) {
  if (table.name != output.name.table) {
    // It may hold the rows of another table of the source.
    throw refused(output,
                  fmt::format("the sink has a {} {}, and SQLite does not distinguish upper and "
                              "lower case",
                              table.type, table.name),
                  "exclude one of them; or, if it is this table's, rename it (by way of a third "
                  "name)");
  }
  if (table.type != "table") {
    throw refused(output, fmt::format("a {} of this name is in the sink", table.type),
                  "drop or rename it: Headgate writes to plain tables only");
  }
}

TableShape check_table(const TableSchema& output, const CatalogTable& table) {
  check_kind(output, table);
  TableShape shape;
  for (const Column& column : output.columns) {
    shape.storage.push_back(check_column(output, table, column));
  }
  shape.has_own_columns = check_own_columns(output, table);
  shape.row_id = free_row_id_name(table);
  if (output.key.empty() && shape.row_id.empty()) {
    throw refused(output,
                  "the source's table has no key, and this one no row ids to tell equal rows apart",
                  rebuild_remedy(output));
  }
  if (!output.key.empty() && !covers_key(output, table)) {
    std::vector<std::string> key;
    for (const std::size_t column : output.key) {
      key.push_back(quote_identifier(output.columns[column].name));
    }
    throw refused(output,
                  fmt::format("neither its primary key nor a unique index with BINARY collation is "
                              "({})",
                              fmt::join(key, ", ")),
                  fmt::format("CREATE UNIQUE INDEX {} ON {} ({})",
                              quote_identifier(output.name.table + "_key"),
                              quote_identifier(output.name.table), fmt::join(key, ", ")));
  }
  shape.has_triggers = table.has_triggers;
  shape.needs_source_order =
      shape.has_triggers || shape.has_own_columns || has_other_unique(output, table);
  return shape;
}

}  // namespace

std::string fold_case(const std::string& name) {
  std::string result = name;
  std::transform(result.begin(), result.end(), result.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return result;
}

std::string create_table_sql(const TableSchema& output) {
  std::string sql = fmt::format("CREATE TABLE {} (", quote_identifier(output.name.table));
  for (std::size_t i = 0; i < output.columns.size(); ++i) {
    const Column& column = output.columns[i];
    const bool not_null = !column.nullable || is_key_column(output, i);
    sql += fmt::format("{}\n  {} {}{}", i == 0 ? "" : ",", quote_identifier(column.name),
                       declared_type(column.family), not_null ? " NOT NULL" : "");
  }
  if (!output.key.empty()) {
    sql += ",\n  PRIMARY KEY (";
    for (std::size_t i = 0; i < output.key.size(); ++i) {
      sql += (i == 0 ? "" : ", ") + quote_identifier(output.columns[output.key[i]].name);
    }
    sql += ")";
  }
  return sql + "\n) STRICT";
}

TableShape ensure_table(db::sqlite::Connection& connection, const TableSchema& output,
                        MissingTable missing) {
  check_names(output);
  auto table = read_catalog(connection, output.name.table);
  if (!table && missing == MissingTable::kRefuse) {
    throw refused(
        output,
        "it is not in the sink, although the pipeline has a position there: rows of it were "
        "never copied, or are gone",
        "restore it; or leave it out of `tables`; or, if it is new and every row of it is "
        "still to come, create it");
  }
  if (!table) {
    connection.execute(create_table_sql(output));
    table = read_catalog(connection, output.name.table);
  }
  return check_table(output, *table);
}

}  // namespace headgate::sink::sqlite
