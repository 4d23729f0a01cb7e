#include "source/postgres/catalog.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/error.hpp"
#include "core/value_text.hpp"
#include "source/postgres/column_identity.hpp"

namespace headgate::source::postgres {
namespace {

// By type OID; the OIDs of built-in types are fixed (catalog/pg_type.dat).
TypeFamily family_of(std::uint32_t type_oid) {
  switch (type_oid) {
    case 16:
      return TypeFamily::kBoolean;
    case 20:
    case 21:
    case 23:
      return TypeFamily::kInteger;
    case 700:
    case 701:
      return TypeFamily::kFloat;
    case 1700:
      return TypeFamily::kNumeric;
    case 18:    // "char"
    case 19:    // name
    case 25:    // text
    case 1042:  // character(n)
    case 1043:  // character varying
      return TypeFamily::kText;
    case 17:
      return TypeFamily::kBytes;
    case 1082:
      return TypeFamily::kDate;
    case 1083:
      return TypeFamily::kTime;
    case 1114:
      return TypeFamily::kTimestamp;
    case 1184:
      return TypeFamily::kTimestampTz;
    case 2950:
      return TypeFamily::kUuid;
    case 114:   // json
    case 3802:  // jsonb
      return TypeFamily::kJson;
    default:
      return TypeFamily::kOther;
  }
}

// Array literals for parameters; numbers need no quoting.
template <typename Range, typename Project>
std::string number_array(const Range& items, Project project) {
  std::string text = "{";
  for (const auto& item : items) {
    if (text.size() > 1) {
      text += ',';
    }
    text += std::to_string(project(item));
  }
  return text + "}";
}

// The table's primary key by column name, in its order; empty when it has none, or with `settled`
// one that may be newer than what the slot still has to send: a transaction older than the slot's
// catalog_xmin has ended before all of that.
std::vector<std::string> primary_key(pq::Connection& connection, std::uint32_t oid, bool settled) {
  // INCLUDE columns, and with them indnkeyatts, came with 11.
  const char* key_columns = connection.server_version() >= 110000 ? "indnkeyatts" : "indnatts";
  const pq::Result rows = connection.exec(
      fmt::format("SELECT a.attname FROM pg_index i "
                  "CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, n) "
                  "JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum "
                  "WHERE i.indrelid = $1::oid AND i.indisprimary AND i.indimmediate AND k.n <= "
                  "i.{} {} ORDER BY k.n",
                  key_columns,
                  settled ? "AND coalesce(age(i.xmin) > (SELECT max(age(s.catalog_xmin)) "
                            "FROM pg_replication_slots s), false)"
                          : ""),
      {std::to_string(oid)}, "read a primary key");
  std::vector<std::string> names;
  for (int row = 0; row < rows.rows(); ++row) {
    names.push_back(rows.text(row, 0));
  }
  return names;
}

std::vector<std::size_t> positions_of(const std::vector<std::string>& names,
                                      const std::vector<Column>& columns) {
  std::vector<std::size_t> positions;
  for (const std::string& name : names) {
    const auto found = std::find_if(columns.begin(), columns.end(),
                                    [&](const Column& column) { return column.name == name; });
    if (found == columns.end()) {
      return {};  // the catalog is ahead of the stream, or a column list leaves part of the key out
    }
    positions.push_back(static_cast<std::size_t>(found - columns.begin()));
  }
  return positions;
}

// A condition on pg_attribute as `a`. Generated columns came with 12.
const char* not_generated(int server_version) {
  return server_version >= 120000 ? "a.attgenerated = ''" : "true";
}

// A column about the partitions, however deep, of the partitioned table `c`: the first one that
// meets a condition on its row `p` of pg_class. What counts at an update is the partition that
// holds the row.
//
// pg_partition_tree() would lock every partition until the end of the statement, and in an order
// that makes an application's own DDL the victim of a deadlock.
std::string first_partition(const std::string& condition) {
  return fmt::format(
      "(WITH RECURSIVE tree AS (SELECT c.oid AS relid UNION ALL "
      "   SELECT i.inhrelid FROM pg_inherits i JOIN tree t ON t.relid = i.inhparent) "
      " SELECT min(pn.nspname || '.' || p.relname) FROM tree t "
      " JOIN pg_class p ON p.oid = t.relid JOIN pg_namespace pn ON pn.oid = p.relnamespace "
      " WHERE c.relkind = 'p' AND p.relkind <> 'p' AND ({}))",
      condition);
}

// The columns of CatalogTable about partitions. No identity is inherited but the primary key. Where
// a partition's is not the table's, the old row that is sent says nothing of the table's key, or
// nothing is sent since the server refuses the update.
std::string partition_columns(int server_version, const std::string& sent) {
  return first_partition("p.relkind = 'f' OR p.relpersistence <> 'p'") + ", " +
         first_partition(
             "p.relreplident <> 'f' AND CASE c.relreplident "
             "WHEN 'd' THEN p.relreplident <> 'd' "
             "WHEN 'i' THEN NOT EXISTS (SELECT 1 FROM pg_index own JOIN pg_index root "
             "  ON pg_partition_root(own.indexrelid) = pg_partition_root(root.indexrelid) "
             "  WHERE p.relreplident = 'i' AND own.indrelid = p.oid AND own.indisreplident "
             "  AND root.indrelid = c.oid AND root.indisreplident) "
             "ELSE c.relreplident = 'f' END") +
         ", " + first_partition(unsent_identity(server_version, "p", sent));
}

}  // namespace

pq::ConnectOptions session_options(const Options& options) {
  pq::ConnectOptions session;
  session.conninfo = options.conninfo;
  session.password = options.password;
  session.role = "source";
  session.settings = pq::text_format_settings();
  session.settings.emplace_back("search_path", "pg_catalog");
  return session;
}

std::vector<CatalogTable> list_tables(pq::Connection& connection, const std::string& publication) {
  const int version = connection.server_version();
  const std::string sent = fmt::format(
      "EXISTS (SELECT 1 FROM pg_publication_tables s WHERE s.pubname = {} AND g.attname = ANY "
      "(s.attnames) AND s.schemaname = n.nspname AND s.tablename = c.relname)",
      connection.quote_literal(publication));
  // Before 13 a partitioned table cannot be published, only its partitions.
  const bool roots = version >= 130000;
  // relreplident 'd' needs a primary key that is immediate; 'i' a replica-identity index.
  const pq::Result rows = connection.exec(
      fmt::format(
          "SELECT c.oid, n.nspname, c.relname, c.relkind = 'p', c.relpersistence = 'p', "
          "       c.relreplident, "
          "       (c.relreplident = 'f' OR EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = "
          "         c.oid AND i.indisvalid AND CASE c.relreplident WHEN 'i' THEN i.indisreplident "
          "         WHEN 'd' THEN i.indisprimary AND i.indimmediate ELSE false END)) AND NOT {}, "
          "       pg_has_role(c.relowner, 'USAGE'), "
          "       has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), "
          "       pg_get_userbyid(c.relowner), "
          "       coalesce((SELECT inhparent FROM pg_inherits WHERE inhrelid = c.oid "
          "                 AND c.relispartition), 0), "
          "       EXISTS (SELECT 1 FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 "
          "               AND NOT a.attisdropped AND {}), "
          "       {} "
          "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
          "WHERE c.relkind IN ({}) AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' "
          "ORDER BY n.nspname, c.relname",
          unsent_identity(version, "c", sent), not_generated(version),
          roots ? partition_columns(version, sent) : "NULL, NULL, NULL",
          roots ? "'r', 'p'" : "'r'"),
      "list the tables");
  std::vector<CatalogTable> tables;
  for (int row = 0; row < rows.rows(); ++row) {
    CatalogTable table;
    table.oid = static_cast<std::uint32_t>(rows.integer(row, 0));
    table.name = {rows.text(row, 1), rows.text(row, 2)};
    table.partitioned = rows.boolean(row, 3);
    table.logged = rows.boolean(row, 4);
    table.identity = rows.value(row, 5).front();
    table.has_identity = rows.boolean(row, 6);
    table.owned = rows.boolean(row, 7);
    table.readable = rows.boolean(row, 8);
    table.owner = rows.text(row, 9);
    table.partition_of = static_cast<std::uint32_t>(rows.integer(row, 10));
    table.has_columns = rows.boolean(row, 11);
    table.unlogged_partition = rows.text(row, 12);
    table.odd_partition = rows.text(row, 13);
    table.unsent_partition = rows.text(row, 14);
    tables.push_back(std::move(table));
  }
  return tables;
}

std::string unsent_identity(int server_version, std::string_view table, std::string_view sent) {
  if (server_version < 180000) {
    return "false";
  }
  return fmt::format(
      "EXISTS (SELECT 1 FROM pg_attribute g WHERE g.attrelid = {0}.oid AND g.attnum > 0 "
      "  AND NOT g.attisdropped AND g.attgenerated <> '' AND NOT ({1}) "
      "  AND ({0}.relreplident = 'f' OR EXISTS (SELECT 1 FROM pg_index gi "
      "    WHERE gi.indrelid = {0}.oid AND g.attnum = ANY (gi.indkey::int2[]) "
      "    AND CASE {0}.relreplident WHEN 'i' THEN gi.indisreplident "
      "    WHEN 'd' THEN gi.indisprimary ELSE false END)))",
      table, sent);
}

TableSchema build_schema(pq::Connection& connection, std::uint32_t oid, const TableName& name,
                         char identity, const std::vector<ColumnDescription>& columns,
                         CatalogTime time, SeenColumns& seen) {
  // Walks each domain down to its base type. format_type() needs only type and modifier, so the
  // answer is right even when the table has changed since this point of the stream.
  const pq::Result types = connection.exec(
      "WITH RECURSIVE walk(n, depth, type, modifier) AS ("
      "  SELECT n, 0, type, modifier "
      "  FROM unnest($1::oid[], $2::int4[]) WITH ORDINALITY AS c(type, modifier, n) "
      "  UNION ALL "
      "  SELECT w.n, w.depth + 1, t.typbasetype, t.typtypmod "
      "  FROM walk w JOIN pg_type t ON t.oid = w.type WHERE t.typtype = 'd') "
      "SELECT DISTINCT ON (n) type, format_type(type, modifier) FROM walk ORDER BY n, depth DESC",
      {number_array(columns, [](const auto& column) { return column.type_oid; }),
       number_array(columns, [](const auto& column) { return column.type_modifier; })},
      "look up column types");
  if (static_cast<std::size_t>(types.rows()) != columns.size()) {
    throw Error{ErrorKind::kOperator,
                fmt::format("source: the types of table {} cannot be looked up", name.to_string())};
  }

  // Their numbers tell a renamed column from a new one, and which value older rows have in it.
  const std::vector<Attribute> attributes = read_attributes(connection, oid, seen);
  const std::vector<const Attribute*> identified = identify_columns(oid, columns, attributes, seen);

  TableSchema schema;
  schema.name = name;
  schema.source_id = oid;
  schema.source_note = seen.storage_note(oid);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    Column column;
    column.name = columns[i].name;
    column.type_oid = static_cast<std::uint32_t>(types.integer(static_cast<int>(i), 0));
    column.native_type = types.text(static_cast<int>(i), 1);
    column.family = family_of(column.type_oid);
    column.identity = columns[i].identity;
    if (identified[i] != nullptr) {
      column.source_id = identified[i]->number;
      column.fill = identified[i]->fill;
    }
    schema.columns.push_back(std::move(column));
  }
  if (identity == 'f') {
    // The stream does not say which columns are the key. One that is newer than the row would pair
    // rows that it does not tell apart; without one, rows are matched whole, which is always right.
    const bool settled = time == CatalogTime::kAhead;
    schema.key = positions_of(primary_key(connection, oid, settled), schema.columns);
  } else {
    for (std::size_t i = 0; i < columns.size(); ++i) {
      if (columns[i].identity) {
        schema.key.push_back(i);
      }
    }
  }
  for (const std::size_t column : schema.key) {
    schema.columns[column].nullable = false;
  }
  return schema;
}

std::vector<ColumnDescription> published_columns(pq::Connection& connection,
                                                 const CatalogTable& table,
                                                 const std::vector<std::string>& published) {
  const char* key_columns = connection.server_version() >= 110000 ? "indnkeyatts" : "indnatts";
  // From 16 on the list is there for every table and holds exactly what is sent: from 18 on also
  // stored generated columns, where the publication says so.
  const bool listed_exactly = connection.server_version() >= 160000 && !published.empty();
  const pq::Result rows = connection.exec(
      fmt::format(
          "SELECT a.attname, a.atttypid, a.atttypmod, "
          "       $2 = 'f' OR coalesce(a.attnum = ANY ((i.indkey::int2[])[0:i.{} - 1]), false) "
          "FROM pg_attribute a LEFT JOIN pg_index i ON i.indrelid = a.attrelid AND "
          "     CASE $2 WHEN 'i' THEN i.indisreplident "
          "     WHEN 'd' THEN i.indisprimary AND i.indimmediate ELSE false END "
          "WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped AND {} "
          "ORDER BY a.attnum",
          key_columns, listed_exactly ? "true" : not_generated(connection.server_version())),
      {std::to_string(table.oid), std::string(1, table.identity)}, "read the columns of a table");
  std::vector<ColumnDescription> columns;
  for (int row = 0; row < rows.rows(); ++row) {
    ColumnDescription column;
    column.name = rows.text(row, 0);
    column.type_oid = static_cast<std::uint32_t>(rows.integer(row, 1));
    column.type_modifier = static_cast<std::int32_t>(rows.integer(row, 2));
    column.identity = rows.boolean(row, 3);
    const bool listed = published.empty() || std::find(published.begin(), published.end(),
                                                       column.name) != published.end();
    if (listed) {
      columns.push_back(std::move(column));
    }
  }
  return columns;
}

bool has_binary_text(const TableSchema& schema) {
  return std::all_of(schema.columns.begin(), schema.columns.end(), [](const Column& column) {
    return headgate::has_binary_text(column.type_oid);
  });
}

std::string oid_array(const std::vector<std::uint32_t>& oids) {
  return number_array(oids, [](std::uint32_t oid) { return oid; });
}

std::string quoted(const TableName& name) {
  return pq::quote_identifier(name.schema) + "." + pq::quote_identifier(name.table);
}

}  // namespace headgate::source::postgres
