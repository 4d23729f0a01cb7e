#include "sink/sqlite/table_catalog.hpp"

#include <algorithm>
#include <utility>

#include "db/sqlite/statement.hpp"

namespace headgate::sink::sqlite {
namespace {

using db::sqlite::Connection;
using db::sqlite::Rows;
using db::sqlite::Statement;

constexpr const char* kWhat = "read the catalog";

std::vector<CatalogColumn> read_columns(Connection& connection, const std::string& table) {
  Statement query(connection,
                  "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, hidden, pk "
                  "FROM pragma_table_xinfo(?1, 'main')",
                  kWhat);
  query.bind_text(1, table);
  Rows rows = query.rows();
  std::vector<CatalogColumn> columns;
  while (rows.next()) {
    CatalogColumn& column = columns.emplace_back();
    column.name = rows.text(0);
    column.declared_type = rows.text(1);
    column.not_null = rows.integer(2) != 0;
    column.has_default = rows.integer(3) != 0;
    column.generated = rows.integer(4) == 2 || rows.integer(4) == 3;
    column.key_place = static_cast<int>(rows.integer(5));
  }
  return columns;
}

void read_index_columns(Connection& connection, CatalogIndex& index) {
  Statement query(connection,
                  "SELECT name, coll FROM pragma_index_xinfo(?1, 'main') WHERE \"key\" = 1", kWhat);
  query.bind_text(1, index.name);
  Rows rows = query.rows();
  while (rows.next()) {
    index.on_expressions = index.on_expressions || rows.is_null(0);
    index.columns.emplace_back(rows.text(0));
    index.binary_collation = index.binary_collation && rows.text(1) == "BINARY";
  }
}

std::vector<CatalogIndex> read_unique_indexes(Connection& connection, const std::string& table) {
  Statement query(connection,
                  "SELECT name, origin, partial FROM pragma_index_list(?1, 'main') "
                  "WHERE \"unique\" = 1",
                  kWhat);
  query.bind_text(1, table);
  std::vector<CatalogIndex> indexes;
  Rows rows = query.rows();
  while (rows.next()) {
    CatalogIndex& index = indexes.emplace_back();
    index.name = rows.text(0);
    index.primary_key = rows.text(1) == "pk";
    index.partial = rows.integer(2) != 0;
    read_index_columns(connection, index);
  }
  return indexes;
}

bool has_triggers(Connection& connection, const std::string& table) {
  Statement query(connection,
                  "SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' "
                  "AND tbl_name = ?1 COLLATE NOCASE LIMIT 1",
                  kWhat);
  query.bind_text(1, table);
  return query.rows().next();
}

}  // namespace

std::vector<std::string> CatalogTable::primary_key() const {
  std::vector<std::string> names;
  for (const CatalogColumn& column : columns) {
    if (column.key_place > 0) {
      names.push_back(column.name);
    }
  }
  return names;
}

bool CatalogTable::key_is_row_id() const {
  return !primary_key().empty() &&
         std::none_of(unique_indexes.begin(), unique_indexes.end(),
                      [](const CatalogIndex& index) { return index.primary_key; });
}

std::optional<CatalogTable> read_catalog(Connection& connection, const std::string& name) {
  CatalogTable table;
  {
    Statement query(connection,
                    "SELECT type, strict, wr, name FROM pragma_table_list "
                    "WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
                    kWhat);
    query.bind_text(1, name);
    Rows rows = query.rows();
    if (!rows.next()) {
      return std::nullopt;
    }
    table.type = rows.text(0);
    table.strict = rows.integer(1) != 0;
    table.without_rowid = rows.integer(2) != 0;
    table.name = rows.text(3);
  }
  if (table.type == "table") {
    table.columns = read_columns(connection, name);
    table.unique_indexes = read_unique_indexes(connection, name);
    table.has_triggers = has_triggers(connection, name);
  }
  return table;
}

}  // namespace headgate::sink::sqlite
