#include "source/postgres/publications.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace headgate::source::postgres {
namespace {

std::string append_name(const std::string& name) {
  return name + "_append";
}

std::string table_list(const std::vector<CatalogTable>& tables) {
  std::string list;
  for (const CatalogTable& table : tables) {
    // ONLY: children of an inherited table are tables of their own here.
    list += fmt::format("{}{}{}", list.empty() ? "" : ", ", table.partitioned ? "" : "ONLY ",
                        quoted(table.name));
  }
  return list;
}

std::string create_statement(const pq::Connection& connection, const std::string& name,
                             const std::vector<CatalogTable>& tables, bool append) {
  std::vector<std::string> options;
  if (append) {
    options.emplace_back(connection.server_version() >= 110000 ? "publish = 'insert, truncate'"
                                                               : "publish = 'insert'");
  }
  if (connection.server_version() >= 130000) {
    options.emplace_back("publish_via_partition_root = true");
  }
  std::string with;
  for (const std::string& option : options) {
    with += (with.empty() ? " WITH (" : ", ") + option;
  }
  if (!with.empty()) {
    with += ')';
  }
  // PostgreSQL 10 to 14 accept an empty list only without FOR TABLE; a publication may be empty.
  const std::string tables_clause = tables.empty() ? "" : " FOR TABLE " + table_list(tables);
  return fmt::format("CREATE PUBLICATION {}{}{}", pq::quote_identifier(name), tables_clause, with);
}

struct Existing {
  bool found = false;
  bool inserts = false;
  bool updates = false;
  bool deletes = false;
  bool truncates = false;  // PostgreSQL 10 publishes none, and has no such option
};

Existing find_publication(pq::Connection& connection, const std::string& name) {
  const pq::Result rows =
      connection.exec(fmt::format("SELECT pubinsert, pubupdate, pubdelete, {} FROM pg_publication "
                                  "WHERE pubname = $1",
                                  connection.server_version() >= 110000 ? "pubtruncate" : "true"),
                      {name}, "look up publication " + name);
  if (rows.rows() == 0) {
    return {};
  }
  return {true, rows.boolean(0, 0), rows.boolean(0, 1), rows.boolean(0, 2), rows.boolean(0, 3)};
}

std::vector<TableName> tables_of(pq::Connection& connection, const std::string& name) {
  const pq::Result rows =
      connection.exec("SELECT schemaname, tablename FROM pg_publication_tables WHERE pubname = $1",
                      {name}, "read publication " + name);
  std::vector<TableName> tables;
  for (int row = 0; row < rows.rows(); ++row) {
    tables.push_back({rows.text(row, 0), rows.text(row, 1)});
  }
  return tables;
}

bool contains(const std::vector<TableName>& tables, const TableName& name) {
  return std::find(tables.begin(), tables.end(), name) != tables.end();
}

Finding uncopied_table(const TableName& table, const std::string& publication) {
  return Finding::error(
      fmt::format(
          "source: table {} is named in `tables` but is not in publication {}; rows that it "
          "holds were never copied",
          table.to_string(), publication),
      "remove it from `tables`, or begin again with empty sinks and under another pipeline name");
}

// Adds what one publication lacks for `wanted` to the plan.
void plan_one(pq::Connection& connection, const std::string& name,
              const std::vector<CatalogTable>& wanted, bool append, bool following,
              PublicationPlan& plan) {
  const Existing existing = find_publication(connection, name);
  if (!existing.found) {
    if (append && wanted.empty()) {
      return;
    }
    if (following && append) {
      for (const CatalogTable& table : wanted) {
        plan.findings.push_back(uncopied_table(table.name, name));
      }
      return;
    }
    if (following) {
      plan.findings.push_back(Finding::error(
          fmt::format("source: publication {} does not exist, and sinks hold a position", name),
          "changes since it was dropped are not in the stream: empty the sinks and begin again",
          ErrorKind::kPositionLost));
      return;
    }
    plan.missing.push_back(
        {create_statement(connection, name, wanted, append), "create publication " + name});
    return;
  }
  const bool complete =
      existing.inserts && existing.truncates && (append || (existing.updates && existing.deletes));
  if (!complete) {
    plan.findings.push_back(Finding::error(
        fmt::format("source: publication {} does not publish every operation", name),
        fmt::format("ALTER PUBLICATION {} SET (publish = '{}');", pq::quote_identifier(name),
                    append ? "insert, truncate" : "insert, update, delete, truncate")));
  }
  const std::vector<TableName> present = tables_of(connection, name);
  for (const CatalogTable& table : wanted) {
    if (contains(present, table.name)) {
      continue;
    }
    if (following) {
      plan.findings.push_back(uncopied_table(table.name, name));
      continue;
    }
    plan.missing.push_back({fmt::format("ALTER PUBLICATION {} ADD TABLE {}",
                                        pq::quote_identifier(name), table_list({table})),
                            fmt::format("add {} to publication {}", table.name.to_string(), name)});
  }
}

}  // namespace

PublicationPlan plan_publications(pq::Connection& connection, const std::string& name,
                                  const Selection& selection, bool following) {
  PublicationPlan plan;
  plan_one(connection, name, selection.keyed, false, following, plan);

  // A user's own publication may hold a keyless table already (FOR ALL TABLES, say).
  std::vector<CatalogTable> appended = selection.appended;
  const std::vector<TableName> present = tables_of(connection, name);
  std::erase_if(appended, [&](const CatalogTable& table) { return contains(present, table.name); });
  plan_one(connection, append_name(name), appended, true, following, plan);
  return plan;
}

void create_publications(pq::Connection& connection, const PublicationPlan& plan) {
  for (const PublicationPlan::Statement& statement : plan.missing) {
    try {
      connection.exec(statement.sql, statement.purpose);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kOperator) {
        throw;
      }
      throw Error{error.kind(), error.what(), "have an owner of the tables run: " + statement.sql};
    }
  }
}

std::vector<std::string> publication_names(pq::Connection& connection, const std::string& name) {
  std::vector<std::string> names;
  for (const std::string& candidate : {name, append_name(name)}) {
    if (find_publication(connection, candidate).found) {
      names.push_back(candidate);
    }
  }
  return names;
}

std::vector<PublishedTable> published_tables(pq::Connection& connection, const std::string& name) {
  // Column lists and row filters came with 15.
  const bool filters = connection.server_version() >= 150000;
  const pq::Result rows = connection.exec(
      fmt::format("SELECT DISTINCT ON (schemaname, tablename) schemaname, tablename, {} "
                  "FROM pg_publication_tables WHERE pubname IN ($1, $2) "
                  "ORDER BY schemaname, tablename, pubname",
                  filters ? "rowfilter" : "NULL"),
      {name, append_name(name)}, "read the published tables");
  std::vector<PublishedTable> tables;
  for (int row = 0; row < rows.rows(); ++row) {
    PublishedTable table;
    table.name = {rows.text(row, 0), rows.text(row, 1)};
    if (!rows.is_null(row, 2)) {
      table.row_filter = rows.text(row, 2);
    }
    tables.push_back(std::move(table));
  }
  if (filters) {
    const pq::Result columns = connection.exec(
        "SELECT schemaname, tablename, unnest(attnames) FROM pg_publication_tables "
        "WHERE pubname IN ($1, $2)",
        {name, append_name(name)}, "read the published columns");
    for (int row = 0; row < columns.rows(); ++row) {
      const TableName table{columns.text(row, 0), columns.text(row, 1)};
      const auto found = std::find_if(tables.begin(), tables.end(),
                                      [&](const PublishedTable& t) { return t.name == table; });
      if (found != tables.end()) {
        found->columns.push_back(columns.text(row, 2));
      }
    }
  }
  return tables;
}

}  // namespace headgate::source::postgres
