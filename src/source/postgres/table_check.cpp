#include "source/postgres/table_check.hpp"

#include <cstdint>
#include <set>
#include <vector>

#include <fmt/format.h>

namespace headgate::source::postgres {
namespace {

// Those of the tables whose rows a policy would filter for this user. With row_security = off, as
// in our sessions, reading them is an error.
std::set<std::uint32_t> tables_that_hide_rows(pq::Connection& connection,
                                              const std::vector<std::uint32_t>& oids) {
  std::set<std::uint32_t> hidden;
  if (!oids.empty()) {
    const pq::Result rows = connection.exec(
        "SELECT oid FROM unnest($1::oid[]) AS t(oid) WHERE row_security_active(oid)",
        {oid_array(oids)}, "look for row security");
    for (int row = 0; row < rows.rows(); ++row) {
      hidden.insert(static_cast<std::uint32_t>(rows.integer(row, 0)));
    }
  }
  return hidden;
}

std::string grants(const CatalogTable& table, const std::string& user, bool schema) {
  return schema ? fmt::format("GRANT USAGE ON SCHEMA {} TO {}",
                              pq::quote_identifier(table.name.schema), user)
                : fmt::format("GRANT SELECT ON {} TO {}", quoted(table.name), user);
}

// A unique index that can take the place of the primary key, or an empty name.
struct KeyCandidates {
  bool has_primary_key = false;  // and it is immediate
  bool has_deferrable_primary_key = false;
  std::string unique_index;
};

KeyCandidates candidates_of(pq::Connection& connection, const CatalogTable& table) {
  const pq::Result rows = connection.exec(
      "SELECT i.indisprimary, i.indimmediate, c.relname, NOT EXISTS (SELECT 1 FROM pg_attribute a "
      "WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) AND NOT a.attnotnull) "
      "FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
      "WHERE i.indrelid = $1::oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL "
      "AND i.indexprs IS NULL ORDER BY i.indnatts, c.relname",
      {std::to_string(table.oid)}, "read the indexes of a table");
  KeyCandidates found;
  for (int row = 0; row < rows.rows(); ++row) {
    const bool primary = rows.boolean(row, 0);
    const bool immediate = rows.boolean(row, 1);
    found.has_primary_key = found.has_primary_key || (primary && immediate);
    found.has_deferrable_primary_key = found.has_deferrable_primary_key || (primary && !immediate);
    if (!primary && immediate && rows.boolean(row, 3) && found.unique_index.empty()) {
      found.unique_index = rows.text(row, 2);
    }
  }
  return found;
}

std::string reason_of(const CatalogTable& table, const KeyCandidates& candidates) {
  switch (table.identity) {
    case 'n':
      return "its REPLICA IDENTITY is NOTHING";
    case 'i':
      return "the index of its REPLICA IDENTITY was dropped";
    case 'f':
      return "its REPLICA IDENTITY is FULL and would hold a generated column that is not published";
    default:
      return candidates.has_deferrable_primary_key ? "its primary key is DEFERRABLE"
                                                   : "it has no primary key";
  }
}

std::string remedy_for(const CatalogTable& table, const KeyCandidates& candidates) {
  const std::string alter = "ALTER TABLE " + quoted(table.name);
  if (candidates.has_primary_key) {
    return alter + " REPLICA IDENTITY DEFAULT;";
  }
  if (!candidates.unique_index.empty()) {
    return fmt::format("{} REPLICA IDENTITY USING INDEX {};", alter,
                       pq::quote_identifier(candidates.unique_index));
  }
  return candidates.has_deferrable_primary_key
             ? alter + " REPLICA IDENTITY FULL; or make its primary key NOT DEFERRABLE"
             : alter + " ADD PRIMARY KEY (…);";
}

}  // namespace

Findings check_rights(pq::Connection& connection, const Selection& selection, bool copies) {
  bool all_readable = true;
  std::vector<std::uint32_t> copied;
  for (const CatalogTable* table : selection.all()) {
    if (!table->readable) {
      all_readable = false;
    } else if (copies) {
      copied.push_back(table->oid);
    }
  }
  const std::set<std::uint32_t> hidden = tables_that_hide_rows(connection, copied);
  if (all_readable && hidden.empty()) {
    return {};
  }
  Findings findings;
  const std::string name = connection.exec("SELECT current_user", "ask for the user").text(0, 0);
  const std::string user = pq::quote_identifier(name);
  for (const CatalogTable* table : selection.all()) {
    if (!table->readable) {
      const std::string schema = grants(*table, user, true);
      const std::string rows = grants(*table, user, false);
      findings.push_back(Finding::error(fmt::format("source: user {} may not read table {}", name,
                                                    table->name.to_string()),
                                        fmt::format("{}; {};", schema, rows))
                             .mended_by("source", {schema, rows}));
    } else if (hidden.contains(table->oid)) {
      const std::string bypass = fmt::format("ALTER ROLE {} BYPASSRLS", user);
      findings.push_back(
          Finding::error(fmt::format("source: row security hides rows of table {} from user {}",
                                     table->name.to_string(), name),
                         bypass + ";")
              .mended_by("source", {bypass}));
    }
  }
  return findings;
}

Findings check_keyless(pq::Connection& connection, const Selection& selection) {
  Findings findings;
  for (const CatalogTable& table : selection.appended) {
    const KeyCandidates candidates = candidates_of(connection, table);
    findings.push_back(Finding::warning(
        fmt::format("source: table {} has no usable key ({}): its inserts are mirrored, its "
                    "updates and deletes are not",
                    table.name.to_string(), reason_of(table, candidates)),
        fmt::format("{} before its first copy, to mirror everything",
                    remedy_for(table, candidates))));
  }
  return findings;
}

}  // namespace headgate::source::postgres
