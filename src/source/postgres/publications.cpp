#include "source/postgres/publications.hpp"

#include <algorithm>
#include <tuple>
#include <utility>

#include <fmt/format.h>

namespace headgate::source::postgres {
namespace {

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

Finding uncopied_table(const TableName& table, const std::string& publication) {
  return Finding::error(
      fmt::format(
          "source: table {} is named in `tables` but is not in publication {}; rows that it "
          "holds were never copied",
          table.to_string(), publication),
      "remove it from `tables`, or begin again with empty sinks and under another pipeline name");
}

// A statement that this user may run, or the finding that says who must.
void plan_statement(PublicationPlan& plan, PublicationPlan::Statement statement,
                    const std::string& obstacle) {
  if (obstacle.empty()) {
    plan.missing.push_back(std::move(statement));
    return;
  }
  plan.findings.push_back(
      Finding::error(fmt::format("source: this user may not {}: {}", statement.purpose, obstacle),
                     fmt::format("have a superuser or an owner of all run: {};", statement.sql)));
}

// Tables of other owners, which this user may add to no publication; empty when there are none.
std::string foreign_tables(const std::vector<CatalogTable>& tables) {
  std::string names;
  for (const CatalogTable& table : tables) {
    if (!table.owned) {
      names += fmt::format("{}{} belongs to {}", names.empty() ? "" : ", ", table.name.to_string(),
                           table.owner);
    }
  }
  return names;
}

void plan_creation(pq::Connection& connection, const std::string& name,
                   const std::vector<CatalogTable>& wanted, bool append, PublicationPlan& plan) {
  const bool may_create = connection
                              .exec("SELECT has_database_privilege(current_database(), 'CREATE')",
                                    "ask for the right to create publications")
                              .boolean(0, 0);
  plan_statement(plan,
                 {create_statement(connection, name, wanted, append), "create publication " + name},
                 may_create ? foreign_tables(wanted) : "it takes the right CREATE on the database");
}

// Whether rows of this partitioned table come, or would come, under the names of its partitions.
bool published_as_leaves(pq::Connection& connection, const Publication& existing,
                         const CatalogTable& table) {
  return table.partitioned && !existing.via_root && connection.server_version() >= 130000;
}

// Adds what one publication lacks for `wanted` to the plan.
void plan_one(pq::Connection& connection, const std::string& name, const Publication& existing,
              const std::vector<CatalogTable>& wanted, bool append,
              const std::optional<Following>& following, PublicationPlan& plan) {
  const bool creates_other = append && !plan.missing.empty();
  const auto refused = [&](const CatalogTable& table) {
    return following && (!following->copies_new_tables || following->known.contains(table.oid));
  };
  if (!existing.found) {
    if (append && wanted.empty() && (following || !creates_other)) {
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
    plan_creation(connection, name, wanted, append, plan);
    return;
  }
  const bool complete =
      existing.inserts && existing.truncates && (append || (existing.updates && existing.deletes));
  if (!complete) {
    const std::string alter =
        fmt::format("ALTER PUBLICATION {} SET (publish = '{}')", pq::quote_identifier(name),
                    append ? "insert, truncate" : "insert, update, delete, truncate");
    plan.findings.push_back(
        Finding::error(fmt::format("source: publication {} does not publish every operation", name),
                       alter + ";")
            .mended_by("source", {alter}));
  }
  bool leaves = false;
  for (const CatalogTable& table : wanted) {
    if (existing.holds(table.oid)) {
      continue;
    }
    if (published_as_leaves(connection, existing, table)) {
      leaves = true;
    } else if (refused(table)) {
      plan.findings.push_back(uncopied_table(table.name, name));
    } else {
      const std::string foreign = foreign_tables({table});
      plan_statement(plan,
                     {fmt::format("ALTER PUBLICATION {} ADD TABLE {}", pq::quote_identifier(name),
                                  table_list({table})),
                      fmt::format("add {} to publication {}", table.name.to_string(), name)},
                     existing.owned ? foreign : "the publication belongs to " + existing.owner);
    }
  }
  if (leaves) {
    const std::string alter = fmt::format(
        "ALTER PUBLICATION {} SET (publish_via_partition_root = true)", pq::quote_identifier(name));
    plan.findings.push_back(
        Finding::error(
            fmt::format("source: publication {} sends rows of partitioned tables under the names "
                        "of their partitions",
                        name),
            alter + ";")
            .mended_by("source", {alter}));
  }
}

// Tables in whose published updates PostgreSQL finds no identity: it refuses the application's.
Findings check_identities(pq::Connection& connection, const std::string& name, bool all_tables) {
  // What is published is named; the identity that counts is that of the partition that holds the
  // row.
  const int version = connection.server_version();
  const std::string unsent = unsent_identity(version, "c", "g.attname = ANY (r.sent)");
  const pq::Result rows = connection.exec(
      fmt::format(
          "WITH RECURSIVE named AS (SELECT c.oid, c.relkind, {} AS sent "
          "  FROM pg_publication_tables t "
          "  JOIN pg_publication p ON p.pubname = t.pubname AND (p.pubupdate OR p.pubdelete) "
          "  JOIN pg_namespace s ON s.nspname = t.schemaname "
          "  JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = t.tablename "
          "  WHERE t.pubname = $1), "
          "tree AS (SELECT oid AS relid, sent FROM named WHERE relkind = 'p' UNION ALL "
          "  SELECT i.inhrelid, t.sent FROM pg_inherits i JOIN tree t ON t.relid = i.inhparent), "
          "rows_in AS (SELECT oid, sent FROM named WHERE relkind = 'r' UNION "
          "  SELECT t.relid, t.sent FROM tree t JOIN pg_class p ON p.oid = t.relid "
          "  WHERE p.relkind <> 'p') "
          "SELECT s.nspname, c.relname, {} FROM rows_in r JOIN pg_class c ON c.oid = r.oid "
          "JOIN pg_namespace s ON s.oid = c.relnamespace "
          "WHERE {} OR (c.relreplident <> 'f' AND NOT EXISTS (SELECT 1 FROM pg_index i "
          "  WHERE i.indrelid = c.oid AND i.indisvalid AND CASE c.relreplident "
          "  WHEN 'i' THEN i.indisreplident WHEN 'd' THEN i.indisprimary AND i.indimmediate "
          "  ELSE false END)) ORDER BY s.nspname, c.relname",
          version >= 180000 ? "t.attnames" : "NULL::name[]", unsent, unsent),
      {name}, "look for published tables without an identity");
  Findings findings;
  for (int row = 0; row < rows.rows(); ++row) {
    const TableName table{rows.text(row, 0), rows.text(row, 1)};
    const bool generated = rows.boolean(row, 2);
    const std::string identity = fmt::format("ALTER TABLE {} REPLICA IDENTITY {};", quoted(table),
                                             generated ? "DEFAULT" : "FULL");
    findings.push_back(Finding::warning(
        fmt::format("source: publication {} publishes updates of table {}, {}: the application's "
                    "UPDATE and DELETE of it fail",
                    name, table.to_string(),
                    generated ? "whose replica identity has a generated column that it does not "
                                "publish"
                              : "which has no replica identity"),
        all_tables ? identity
                   : fmt::format("ALTER PUBLICATION {} DROP TABLE {}; or {}",
                                 pq::quote_identifier(name), quoted(table), identity)));
  }
  return findings;
}

// Column lists and row filters (15 and later) that leave out, or ask for more than, the identity:
// PostgreSQL refuses the application's updates of such a table, too.
Findings check_lists_and_filters(pq::Connection& connection, const std::string& first) {
  // The columns of a filter are read from its stored form: the catalog's dependencies do not tell
  // them from those of the list.
  const pq::Result rows = connection.exec(
      "SELECT s.nspname, c.relname, r.prattrs IS NOT NULL AND (c.relreplident = 'f' "
      "  OR NOT coalesce(k.attnums, '{}') <@ r.prattrs::int2[]), "
      "r.prqual IS NOT NULL AND c.relreplident <> 'f' AND EXISTS (SELECT 1 FROM "
      "  regexp_matches(r.prqual::text, ':varattno ([0-9]+)', 'g') AS m (found) "
      "  WHERE NOT m.found[1]::int2 = ANY (coalesce(k.attnums, '{}'))), "
      "pg_get_expr(r.prqual, r.prrelid), p.pubupdate OR p.pubdelete, p.pubname "
      "FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid "
      "JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace s ON s.oid = c.relnamespace "
      "LEFT JOIN LATERAL (SELECT array_agg(a) AS attnums FROM pg_index i, "
      "  unnest(i.indkey::int2[]) AS a WHERE i.indrelid = c.oid AND CASE c.relreplident "
      "  WHEN 'i' THEN i.indisreplident WHEN 'd' THEN i.indisprimary ELSE false END) AS k ON true "
      "WHERE p.pubname IN ($1, $2) AND (r.prattrs IS NOT NULL OR r.prqual IS NOT NULL) "
      "ORDER BY p.pubname, s.nspname, c.relname",
      {first, append_name(first)}, "read column lists and row filters");
  Findings findings;
  for (int row = 0; row < rows.rows(); ++row) {
    const TableName table{rows.text(row, 0), rows.text(row, 1)};
    const bool updates = rows.boolean(row, 5);
    const std::string name = rows.text(row, 6);
    for (const auto& [column, what, mend] :
         {std::tuple{2, "the column list", "list every column of its replica identity, or none"},
          std::tuple{3, "the row filter",
                     "filter by columns of the replica identity, or ALTER TABLE … REPLICA IDENTITY "
                     "FULL"}}) {
      if (updates && rows.boolean(row, column)) {
        findings.push_back(Finding::warning(
            fmt::format("source: {} of table {} in publication {} does not go with its replica "
                        "identity: the application's UPDATE and DELETE of it fail",
                        what, table.to_string(), name),
            fmt::format("{} (ALTER PUBLICATION {} SET TABLE …)", mend,
                        pq::quote_identifier(name))));
      }
    }
    if (!rows.is_null(row, 4)) {
      findings.push_back(
          Finding::ok(fmt::format("source: publication {} sends only the rows of table {} where {}",
                                  name, table.to_string(), rows.value(row, 4))));
    }
  }
  return findings;
}

// A table in both publications, with another column list in each.
Findings check_same_lists(const Publications& publications) {
  Findings findings;
  for (const auto& [oid, table] : publications.append.tables) {
    const auto other = publications.main.tables.find(oid);
    if (other == publications.main.tables.end() || other->second.columns == table.columns) {
      continue;
    }
    const std::string appended = append_name(publications.name);
    const std::string drop = fmt::format("ALTER PUBLICATION {} DROP TABLE {}",
                                         pq::quote_identifier(appended), quoted(table.name));
    findings.push_back(
        Finding::error(
            fmt::format(
                "source: publications {} and {} have different column lists for table {}: the "
                "server cannot send it",
                publications.name, appended, table.name.to_string()),
            drop + ";")
            .mended_by("source", {drop}));
  }
  return findings;
}

}  // namespace

PublicationPlan plan_publications(pq::Connection& connection, const Publications& existing,
                                  const Selection& selection,
                                  const std::optional<Following>& following) {
  PublicationPlan plan;
  std::vector<CatalogTable> keyed = selection.keyed;
  std::vector<CatalogTable> appended = selection.appended;
  if (following) {
    // A key that came later: what was updated or deleted before is not in the sinks, so the table
    // goes on as it was.
    std::erase_if(keyed, [&](const CatalogTable& table) {
      if (existing.main.holds(table.oid) || !existing.append.holds(table.oid)) {
        return false;
      }
      plan.findings.push_back(Finding::warning(
          fmt::format("source: table {} has got a key, and is still mirrored by its inserts only",
                      table.name.to_string()),
          "to mirror everything, begin again with empty sinks and under another pipeline name"));
      appended.push_back(table);
      return true;
    });
  }
  plan_one(connection, existing.name, existing.main, keyed, false, following, plan);

  // A user's own publication may hold a keyless table already (FOR ALL TABLES, say).
  std::erase_if(appended,
                [&](const CatalogTable& table) { return existing.main.holds(table.oid); });
  // Made with the first one even if nothing needs it yet: the log before a publication was made
  // cannot be decoded for it, so that one that came later would be of no use.
  plan_one(connection, append_name(existing.name), existing.append, appended, true, following,
           plan);
  return plan;
}

Findings check_published(pq::Connection& connection, const Publications& publications) {
  Findings findings = check_identities(connection, publications.name, publications.main.all_tables);
  if (connection.server_version() < 150000) {
    return findings;
  }
  append(findings, check_lists_and_filters(connection, publications.name));
  append(findings, check_same_lists(publications));
  return findings;
}

void create_publications(pq::Connection& connection, const PublicationPlan& plan) {
  for (const PublicationPlan::Statement& statement : plan.missing) {
    try {
      connection.exec(statement.sql, statement.purpose);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kOperator) {
        throw;
      }
      const std::string_view what = error.what();
      if (what.find("SQLSTATE 42P01") != std::string_view::npos ||
          what.find("SQLSTATE 3F000") != std::string_view::npos) {
        // Renamed or dropped since the tables were listed: they are listed again.
        throw Error{ErrorKind::kTransient, error.what()};
      }
      throw Error{error.kind(), error.what(), "have an owner of the tables run: " + statement.sql};
    }
  }
}

}  // namespace headgate::source::postgres
