#include "source/postgres/selection.hpp"

#include <algorithm>
#include <optional>
#include <unordered_map>

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
            ? "create it, or remove it from `tables`; views and foreign tables cannot be captured, "
              "and partitions not beside their table"
            : fmt::format("did you mean {}?", other_schema->name.to_string())));
  }
}

std::string leave_out(const CatalogTable& table) {
  return fmt::format("leave it out: \"!{}\" in `tables`", table.name.to_string());
}

// Why no mirror of `table` could be kept, whatever its key.
std::optional<Finding> obstacle_of(const CatalogTable& table) {
  const std::string name = table.name.to_string();
  if (!table.logged) {
    return Finding::error(
        fmt::format("source: table {} is unlogged: its changes are in no log", name),
        fmt::format("ALTER TABLE {} SET LOGGED; or {}", quoted(table.name), leave_out(table)));
  }
  if (!table.unlogged_partition.empty()) {
    return Finding::error(
        fmt::format("source: partition {} of table {} is unlogged or foreign: its changes are in "
                    "no log",
                    table.unlogged_partition, name),
        fmt::format("ALTER TABLE … SET LOGGED; or name the other partitions in `tables` and {}",
                    leave_out(table)));
  }
  if (!table.has_columns) {
    return Finding::error(
        fmt::format("source: table {} has no columns that could be mirrored", name),
        leave_out(table));
  }
  if (table.has_identity && !table.odd_partition.empty()) {
    return Finding::error(
        fmt::format("source: partition {} has another replica identity than its table {}: its "
                    "updates and deletes would fail, or would not say which row they change",
                    table.odd_partition, name),
        "ALTER TABLE … REPLICA IDENTITY FULL for that partition, or the same for all of them");
  }
  if (table.has_identity && !table.unsent_partition.empty()) {
    return Finding::error(
        fmt::format("source: the replica identity of partition {} of table {} would hold a "
                    "generated column that is not published: its updates and deletes would fail",
                    table.unsent_partition, name),
        fmt::format("ALTER TABLE … REPLICA IDENTITY DEFAULT for that partition; or {}",
                    leave_out(table)));
  }
  return std::nullopt;
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

std::vector<CatalogTable> without_covered_partitions(const std::vector<CatalogTable>& tables,
                                                     const TableFilter& filter) {
  std::unordered_map<std::uint32_t, const CatalogTable*> by_oid;
  for (const CatalogTable& table : tables) {
    by_oid.emplace(table.oid, &table);
  }
  std::vector<CatalogTable> kept;
  for (const CatalogTable& table : tables) {
    auto parent = by_oid.find(table.partition_of);
    while (parent != by_oid.end() && !filter.matches(parent->second->name)) {
      parent = by_oid.find(parent->second->partition_of);
    }
    if (parent == by_oid.end()) {
      kept.push_back(table);
    }
  }
  return kept;
}

Selection select_tables(const std::vector<CatalogTable>& tables, const TableFilter& filter,
                        KeylessPolicy keyless, Findings& findings) {
  Selection selection;
  check_named_tables(tables, filter, findings);
  for (const CatalogTable& table : without_covered_partitions(tables, filter)) {
    if (!filter.matches(table.name)) {
      continue;
    }
    if (const auto obstacle = obstacle_of(table)) {
      findings.push_back(*obstacle);
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
