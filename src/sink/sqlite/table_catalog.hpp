// What SQLite's catalog says of one table.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/sqlite/connection.hpp"

namespace headgate::sink::sqlite {

struct CatalogColumn {
  std::string name;
  std::string declared_type;
  bool not_null = false;
  bool has_default = false;
  bool generated = false;
  int key_place = 0;  // from 1 in the primary key; 0: not in it
};

struct CatalogIndex {
  std::string name;
  bool primary_key = false;
  bool partial = false;
  bool on_expressions = false;
  bool binary_collation = true;  // of all its columns
  std::vector<std::string> columns;
};

struct CatalogTable {
  std::string name;  // as the database has it
  std::string type;  // table, view, virtual, shadow
  bool strict = false;
  bool without_rowid = false;
  bool has_triggers = false;
  std::vector<CatalogColumn> columns;
  std::vector<CatalogIndex> unique_indexes;

  // The names of the primary key's columns; empty without one.
  std::vector<std::string> primary_key() const;

  // An INTEGER PRIMARY KEY *is* the row id and has no index: the rows stand in its order.
  bool key_is_row_id() const;
};

// The table of this name, in whatever case, or nothing.
std::optional<CatalogTable> read_catalog(db::sqlite::Connection& connection,
                                         const std::string& name);

}  // namespace headgate::sink::sqlite
