#include "source/postgres/selection.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace headgate::source::postgres {
namespace {

void check_named_tables(const std::vector<CatalogTable>& tables, const TableFilter& filter,
                        Findings& findings) {
  for (const TableName& name : filter.named()) {
    const bool exists = std::any_of(tables.begin(), tables.end(),
                                    [&](const CatalogTable& table) { return table.name == name; });
    if (exists) {
      continue;
    }
    const auto other_schema =
        std::find_if(tables.begin(), tables.end(),
                     [&](const CatalogTable& table) { return table.name.table == name.table; });
    findings.push_back(Finding::error(
        fmt::format("source: table {} does not exist", name.to_string()),
        other_schema == tables.end()
            ? "create it, or remove it from `tables`; views, partitions and foreign tables cannot "
              "be captured"
            : fmt::format("did you mean {}?", other_schema->name.to_string())));
  }
}

}  // namespace

std::vector<const CatalogTable*> Selection::all() const {
  std::vector<const CatalogTable*> tables;
  for (const CatalogTable& table : keyed) {
    tables.push_back(&table);
  }
  for (const CatalogTable& table : appended) {
    tables.push_back(&table);
  }
  return tables;
}

Selection select_tables(const std::vector<CatalogTable>& tables, const TableFilter& filter,
                        KeylessPolicy keyless, Findings& findings) {
  Selection selection;
  check_named_tables(tables, filter, findings);
  for (const CatalogTable& table : tables) {
    if (!filter.matches(table.name)) {
      continue;
    }
    if (!table.logged) {
      findings.push_back(Finding::error(
          fmt::format("source: table {} is unlogged: its changes are in no log",
                      table.name.to_string()),
          fmt::format("ALTER TABLE {} SET LOGGED; or leave it out: \"!{}\" in `tables`",
                      quoted(table.name), table.name.to_string())));
    } else if (table.has_identity) {
      selection.keyed.push_back(table);
    } else if (keyless == KeylessPolicy::kAppend) {
      selection.appended.push_back(table);
    } else {
      findings.push_back(Finding::error(
          fmt::format("source: table {} has no primary key or replica identity, and `keyless` is "
                      "refuse",
                      table.name.to_string()),
          fmt::format("ALTER TABLE {} ADD PRIMARY KEY (…); or `keyless: append` to mirror its "
                      "inserts only",
                      quoted(table.name))));
    }
  }
  if (selection.all().empty() && findings.empty()) {
    findings.push_back(Finding::error("source: no table of the database matches `tables`",
                                      "correct the patterns, or dbname in source.dsn"));
  }
  return selection;
}

}  // namespace headgate::source::postgres
