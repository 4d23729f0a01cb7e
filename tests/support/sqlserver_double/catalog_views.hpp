// The catalog and management views, by the file that builds them. Each returns none for a name that
// it does not know; query.hpp's catalog_view() asks them all.

#pragma once

#include <initializer_list>
#include <optional>
#include <string>

#include "support/sqlserver_double/query.hpp"

namespace headgate::test::sqlserver {

std::optional<Rowset> object_view(Context& context, Database& database, const std::string& name);
std::optional<Rowset> server_view(Context& context, Database& database, const std::string& name);
std::optional<Rowset> cdc_view(Context& context, Database& database, const std::string& name);
std::optional<Rowset> information_view(Context& context, Database& database,
                                       const std::string& name);

// For building them.
Rowset empty_rowset(std::initializer_list<RowsetColumn> columns);
void add_row(Rowset& rowset, Row row);
inline Value number(std::int64_t value) {
  return value;
}
inline Value name_or_null(const std::string& name) {
  return name.empty() ? Value(Null{}) : text_value(name);
}

}  // namespace headgate::test::sqlserver
