#include "sink_tables.hpp"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>

#include <fmt/format.h>

#include "db/pq/connection.hpp"
#include "db/sqlite/connection.hpp"
#include "pipeline/table_filter.hpp"
#include "sink/sqlite/table_shape.hpp"
#include "source/postgres/catalog.hpp"
#include "source/postgres/publication_catalog.hpp"
#include "source/postgres/selection.hpp"

namespace headgate {
namespace {

// What decides about a sink's tables apart from their rights.
struct Situation {
  std::string place;           // "sink NAME"
  bool following = false;      // it holds a position: its tables are there, and stay as they are
  bool refuses_rows = false;   // a first copy comes, and may not meet rows
  bool alters_tables = false;  // schema changes of the source are applied
};

struct CapturedTable {
  TableName name;
  std::vector<std::string> columns;
};

std::vector<CapturedTable> captured_tables(const source::postgres::Options& source) {
  pq::Connection connection(source::postgres::session_options(source));
  Findings said_already;  // by the source's own check
  const source::postgres::Selection selection =
      source::postgres::select_tables(source::postgres::list_tables(connection, source.publication),
                                      TableFilter(source.tables), source.keyless, said_already);
  const source::postgres::Publications publications =
      source::postgres::read_publications(connection, source.publication);
  std::vector<CapturedTable> tables;
  for (const source::postgres::CatalogTable* table : selection.all()) {
    const source::postgres::PublishedTable* found = publications.find(table->oid);
    CapturedTable captured{table->name, {}};
    for (const source::postgres::ColumnDescription& column : source::postgres::published_columns(
             connection, *table, found == nullptr ? std::vector<std::string>{} : found->columns)) {
      captured.columns.push_back(column.name);
    }
    tables.push_back(std::move(captured));
  }
  return tables;
}

Finding rows_in_the_way(const Situation& situation, const std::string& table) {
  return Finding::error(
      fmt::format("{}: table {} holds rows already, and snapshot.existing is refuse",
                  situation.place, table),
      "empty it, or set snapshot.existing to replace (delete them first) or keep");
}

// What a table of a PostgreSQL sink allows our user.
struct TableRights {
  bool schema_exists = false;
  bool may_use_schema = false;
  bool may_create_in_schema = false;
  bool may_create_schemas = false;
  bool exists = false;
  bool may_write = false;
  bool owned = false;
};

TableRights rights_on(pq::Connection& connection, const TableName& table) {
  const pq::Result row = connection.exec(
      "SELECT n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'USAGE'), false), "
      "coalesce(has_schema_privilege(n.oid, 'CREATE'), false), "
      "has_database_privilege(current_database(), 'CREATE'), c.oid IS NOT NULL, "
      "coalesce(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND "
      "has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'), false), "
      "coalesce(pg_has_role(c.relowner, 'USAGE'), false) "
      "FROM (SELECT $1::text AS schema, $2::text AS name) AS wanted "
      "LEFT JOIN pg_namespace n ON n.nspname = schema "
      "LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = name "
      "AND c.relkind IN ('r', 'p')",
      {table.schema, table.table}, "look up table " + table.to_string());
  return {row.boolean(0, 0), row.boolean(0, 1), row.boolean(0, 2), row.boolean(0, 3),
          row.boolean(0, 4), row.boolean(0, 5), row.boolean(0, 6)};
}

std::string quoted(const TableName& table) {
  return pq::quote_identifier(table.schema) + "." + pq::quote_identifier(table.table);
}

// What keeps headgate from writing `table`, with the statement that allows it.
std::optional<Finding> missing_right(const Situation& situation, const TableName& table,
                                     const TableRights& rights, const std::string& user) {
  const std::string schema = pq::quote_identifier(table.schema);
  std::string what;
  std::string statement;
  if (!rights.schema_exists) {
    if (rights.may_create_schemas || situation.following) {
      return std::nullopt;
    }
    what = fmt::format("create schema {}", table.schema);
    statement = fmt::format("CREATE SCHEMA {} AUTHORIZATION {}", schema, user);
  } else if (!rights.may_use_schema) {
    what = fmt::format("use schema {}", table.schema);
    statement = fmt::format("GRANT USAGE{} ON SCHEMA {} TO {}", rights.exists ? "" : ", CREATE",
                            schema, user);
  } else if (!rights.exists) {
    if (rights.may_create_in_schema || situation.following) {
      return std::nullopt;
    }
    what = fmt::format("create tables in schema {}", table.schema);
    statement = fmt::format("GRANT CREATE ON SCHEMA {} TO {}", schema, user);
  } else if (!rights.may_write) {
    what = fmt::format("read and write table {}", table.to_string());
    statement =
        fmt::format("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}", quoted(table), user);
  } else {
    return std::nullopt;
  }
  return Finding::error(fmt::format("{}: user {} may not {}", situation.place, user, what),
                        statement + ";")
      .mended_by(situation.place, {statement});
}

Findings check_server(const Situation& situation, const sink::postgres::Options& options,
                      const std::string& schema, const std::vector<CapturedTable>& tables) {
  pq::ConnectOptions connect;
  connect.conninfo = options.conninfo;
  connect.password = options.password;
  connect.role = situation.place;
  connect.settings = {{"search_path", "pg_catalog"}};
  pq::Connection connection(connect);
  const std::string user =
      pq::quote_identifier(connection.exec("SELECT current_user", "ask for the user").value(0, 0));
  Findings findings;
  std::set<std::string> said;  // one right of a schema serves all its tables
  for (const auto& [source, columns] : tables) {
    const TableName table = schema.empty() ? source : TableName{schema, source.table};
    const TableRights rights = rights_on(connection, table);
    if (auto missing = missing_right(situation, table, rights, user)) {
      if (said.insert(missing->what).second) {
        findings.push_back(*std::move(missing));
      }
      continue;
    }
    if (!rights.exists) {
      continue;
    }
    if (situation.alters_tables && !rights.owned) {
      findings.push_back(Finding::warning(
          fmt::format("{}: table {} belongs to somebody else: a change of its columns at the "
                      "source cannot be applied here",
                      situation.place, table.to_string()),
          fmt::format("ALTER TABLE {} OWNER TO {}; or schema_changes: pause", quoted(table),
                      user)));
    }
    if (situation.refuses_rows &&
        connection
            .exec(fmt::format("SELECT EXISTS (SELECT 1 FROM {})", quoted(table)),
                  "look into table " + table.to_string())
            .boolean(0, 0)) {
      findings.push_back(rows_in_the_way(situation, table.to_string()));
    }
  }
  return findings;
}

// As the mirror names tables where there are no schemas.
std::string flat_name(const TableName& source) {
  const bool bare = source.schema.empty() || source.schema == "public" || source.schema == "dbo";
  return bare ? source.table : source.to_string();
}

// Names that SQLite does not tell apart, or does not give away.
Findings check_names(const Situation& situation, const std::vector<CapturedTable>& tables) {
  using sink::sqlite::fold_case;
  Findings findings;
  std::map<std::string, TableName> taken;  // by the folded name in the file
  for (const auto& [source, columns] : tables) {
    const std::string name = flat_name(source);
    const std::string leave_out =
        fmt::format("leave the table out: \"!{}\" in `tables`", source.to_string());
    const std::string folded = fold_case(name);
    if (folded.starts_with("sqlite_") || folded.starts_with("headgate_")) {
      findings.push_back(Finding::error(
          fmt::format("{}: the name of table {} is reserved: sqlite_… is SQLite's own, headgate_… "
                      "is ours",
                      situation.place, source.to_string()),
          leave_out));
    }
    const auto [other, added] = taken.try_emplace(folded, source);
    if (!added) {
      findings.push_back(
          Finding::error(fmt::format("{}: tables {} and {} of the source would be one to SQLite{}",
                                     situation.place, other->second.to_string(), source.to_string(),
                                     flat_name(other->second) == name
                                         ? ""
                                         : ", which does not distinguish upper and lower case"),
                         leave_out));
    }
    std::set<std::string> seen;
    for (const std::string& column : columns) {
      if (!seen.insert(fold_case(column)).second) {
        findings.push_back(Finding::error(
            fmt::format("{}: column {} of table {} differs from another only by upper and lower "
                        "case, which SQLite does not distinguish",
                        situation.place, column, source.to_string()),
            "rename it at the source, or " + leave_out));
      }
    }
  }
  return findings;
}

Findings check_file(const Situation& situation, const std::string& path,
                    const std::vector<CapturedTable>& tables) {
  Findings findings = check_names(situation, tables);
  if (!situation.refuses_rows || !std::filesystem::exists(path)) {
    return findings;
  }
  db::sqlite::Connection connection(path, {.create = false});
  connection.execute("PRAGMA query_only = ON");
  for (const auto& [source, columns] : tables) {
    const std::string name = flat_name(source);
    const std::string quoted_name = db::sqlite::quote_identifier(name);
    std::string literal = "'";
    for (const char c : name) {
      literal.append(c == '\'' ? 2 : 1, c);
    }
    literal += '\'';
    const bool exists = connection.query_integer(
                            "SELECT count(*) FROM main.sqlite_schema WHERE type = 'table' AND "
                            "name = " +
                            literal) != 0;
    if (exists &&
        connection.query_integer("SELECT EXISTS (SELECT 1 FROM main." + quoted_name + ")") != 0) {
      findings.push_back(rows_in_the_way(situation, name));
    }
  }
  return findings;
}

}  // namespace

Findings check_sink_tables(const Config& config, const std::vector<SinkStand>& stands) {
  if (config.sqlserver) {
    return {};  // its tables begin empty: there is no copy that could meet rows
  }
  const std::vector<CapturedTable> tables = captured_tables(config.source);
  Findings findings;
  for (const SinkSettings& sink : config.sinks) {
    if (!sink.mirror) {
      continue;
    }
    Situation situation;
    situation.place = "sink " + sink.name;
    situation.following = std::any_of(stands.begin(), stands.end(), [&](const SinkStand& stand) {
      return stand.sink == situation.place;
    });
    situation.refuses_rows = !situation.following && config.snapshot.existing == "refuse";
    situation.alters_tables = config.schema_changes == SchemaChanges::kApply;
    if (const auto* server = std::get_if<sink::postgres::Options>(&sink.driver)) {
      append(findings, check_server(situation, *server, sink.mirror->schema, tables));
    } else if (const auto* file = std::get_if<sink::sqlite::Options>(&sink.driver)) {
      append(findings, check_file(situation, file->path, tables));
    }
  }
  return findings;
}

}  // namespace headgate
