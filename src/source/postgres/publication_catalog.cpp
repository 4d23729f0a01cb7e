#include "source/postgres/publication_catalog.hpp"

#include <fmt/format.h>

#include "core/value_text.hpp"
#include "source/postgres/catalog.hpp"

namespace headgate::source::postgres {
namespace {

// With each published table as c: a name that was read a moment ago may be another's by now.
constexpr const char* kPublished =
    "FROM pg_publication_tables t JOIN pg_namespace s ON s.nspname = t.schemaname "
    "JOIN pg_class c ON c.relnamespace = s.oid AND c.relname = t.tablename";

// Column lists and row filters came with 15.
bool has_lists(const pq::Connection& connection) {
  return connection.server_version() >= 150000;
}

Publication& one_of(Publications& publications, std::string_view name) {
  return name == publications.name ? publications.main : publications.append;
}

void read_options(pq::Connection& connection, Publications& publications) {
  const int version = connection.server_version();
  const pq::Result rows = connection.exec(
      fmt::format("SELECT pubname, pubinsert, pubupdate, pubdelete, {}, {}, puballtables, "
                  "pg_has_role(pubowner, 'USAGE'), pg_get_userbyid(pubowner) "
                  "FROM pg_publication WHERE pubname IN ($1, $2)",
                  version >= 110000 ? "pubtruncate" : "true",
                  version >= 130000 ? "pubviaroot" : "false"),
      {publications.name, append_name(publications.name)}, "look up the publications");
  for (int row = 0; row < rows.rows(); ++row) {
    Publication& publication = one_of(publications, rows.value(row, 0));
    publication.found = true;
    publication.inserts = rows.boolean(row, 1);
    publication.updates = rows.boolean(row, 2);
    publication.deletes = rows.boolean(row, 3);
    publication.truncates = rows.boolean(row, 4);
    publication.via_root = rows.boolean(row, 5);
    publication.all_tables = rows.boolean(row, 6);
    publication.owned = rows.boolean(row, 7);
    publication.owner = rows.text(row, 8);
  }
}

// One row per column, where there are lists of them.
void read_tables(pq::Connection& connection, Publications& publications) {
  const bool lists = has_lists(connection);
  const pq::Result rows = connection.exec(
      fmt::format("SELECT t.pubname, c.oid, t.schemaname, t.tablename, {} {} {} WHERE t.pubname IN "
                  "($1, $2) {}",
                  lists ? "t.rowfilter, u.name" : "NULL, NULL", kPublished,
                  lists ? "LEFT JOIN LATERAL unnest(t.attnames) WITH ORDINALITY AS u(name, n) "
                          "ON true"
                        : "",
                  lists ? "ORDER BY t.pubname, c.oid, u.n" : ""),
      {publications.name, append_name(publications.name)}, "read the published tables");
  for (int row = 0; row < rows.rows(); ++row) {
    const auto oid = static_cast<std::uint32_t>(rows.integer(row, 1));
    PublishedTable& table = one_of(publications, rows.value(row, 0)).tables[oid];
    table.oid = oid;
    table.name = {rows.text(row, 2), rows.text(row, 3)};
    if (!rows.is_null(row, 4)) {
      table.row_filter = rows.text(row, 4);
    }
    if (!rows.is_null(row, 5)) {
      table.columns.push_back(rows.text(row, 5));
    }
  }
}

}  // namespace

const PublishedTable* Publications::find(std::uint32_t oid) const {
  for (const Publication* publication : {&main, &append}) {
    if (const auto found = publication->tables.find(oid); found != publication->tables.end()) {
      return &found->second;
    }
  }
  return nullptr;
}

std::string append_name(const std::string& name) {
  return name + "_append";
}

Publications read_publications(pq::Connection& connection, const std::string& name) {
  Publications publications;
  publications.name = name;
  read_options(connection, publications);
  read_tables(connection, publications);
  return publications;
}

std::vector<std::string> publication_names(pq::Connection& connection, const std::string& name) {
  const pq::Result rows = connection.exec(
      "SELECT pubname FROM pg_publication WHERE pubname IN ($1, $2) ORDER BY pubname <> $1",
      {name, append_name(name)}, "look up the publications");
  std::vector<std::string> names;
  for (int row = 0; row < rows.rows(); ++row) {
    names.push_back(rows.text(row, 0));
  }
  return names;
}

bool sends_binary_text(pq::Connection& connection, const std::string& name,
                       const std::vector<std::uint32_t>& oids) {
  const int version = connection.server_version();
  // From 16 on the list is there for every table and holds exactly what is sent (catalog.hpp,
  // published_columns()).
  const pq::Result types = connection.exec(
      fmt::format("WITH RECURSIVE walk(type) AS (SELECT a.atttypid {} "
                  "JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 "
                  "AND NOT a.attisdropped AND {} AND {} "
                  "WHERE t.pubname IN ($1, $2) AND c.oid = ANY ($3::oid[]) "
                  "UNION SELECT y.typbasetype FROM walk w JOIN pg_type y ON y.oid = w.type "
                  "WHERE y.typtype = 'd') "
                  "SELECT w.type FROM walk w JOIN pg_type y ON y.oid = w.type "
                  "WHERE y.typtype <> 'd'",
                  kPublished, version >= 160000 ? "true" : "a.attgenerated = ''",
                  has_lists(connection) ? "a.attname = ANY (t.attnames)" : "true"),
      {name, append_name(name), oid_array(oids)}, "look up the types of published columns");
  for (int row = 0; row < types.rows(); ++row) {
    if (!headgate::has_binary_text(static_cast<std::uint32_t>(types.integer(row, 0)))) {
      return false;
    }
  }
  return true;
}

}  // namespace headgate::source::postgres
