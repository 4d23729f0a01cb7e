// The part of PostgresSink that looks without touching: for `headgate check`.

#include <utility>

#include <fmt/format.h>

#include "sink/postgres/postgres_sink.hpp"

namespace headgate::sink::postgres {
namespace {

// What the session itself must be allowed to do.
Findings check_session(pq::Connection& connection, const std::string& role,
                       const std::string& user) {
  Findings findings;
  const pq::Result server = connection.exec(
      "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only')::bool, "
      "getdatabaseencoding()",
      "read the server's settings");
  if (server.boolean(0, 0)) {
    findings.push_back(Finding::error(role + "the server is a standby and cannot be written to",
                                      "point dsn to the primary (target_session_attrs=read-write)",
                                      ErrorKind::kTransient));
  } else if (server.boolean(0, 1)) {
    const std::string alter =
        fmt::format("ALTER ROLE {} SET default_transaction_read_only = off", user);
    findings.push_back(Finding::error(
        role + "sessions of this user are read-only (default_transaction_read_only)", alter + ";"));
  }
  if (server.value(0, 2) != "UTF8") {
    findings.push_back(Finding::warning(
        fmt::format("{}the database's encoding is {}: a row stops the pipeline when it holds a "
                    "character that is not in it",
                    role, server.value(0, 2)),
        "mirror into a database with ENCODING 'UTF8' (createdb --encoding=UTF8 "
        "--template=template0)"));
  }
  return findings;
}

// headgate's own tables: what is there must be ours to write, what is missing is created.
Findings check_own_tables(pq::Connection& connection, const std::string& role,
                          const std::string& place, const std::string& schema,
                          const std::string& user) {
  const std::string quoted_schema = pq::quote_identifier(schema);
  const pq::Result tables = connection.exec(
      "SELECT name, c.oid IS NOT NULL, n.oid IS NULL, coalesce(has_schema_privilege(n.oid, "
      "'USAGE'), false), coalesce(has_schema_privilege(n.oid, 'CREATE'), false), "
      "coalesce(has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') AND "
      "has_table_privilege(c.oid, 'UPDATE') AND has_table_privilege(c.oid, 'DELETE'), false) "
      "FROM unnest('{headgate_positions,headgate_applied,headgate_tables}'::text[]) AS own (name) "
      "LEFT JOIN pg_namespace n ON n.nspname = $1 "
      "LEFT JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = name",
      {schema}, "look for headgate's own tables");
  Findings findings;
  if (tables.boolean(0, 2)) {
    const std::string create =
        fmt::format("CREATE SCHEMA {} AUTHORIZATION {}", quoted_schema, user);
    findings.push_back(Finding::error(fmt::format("{}there is no schema {} for headgate's own "
                                                  "tables",
                                                  role, schema),
                                      create + ";")
                           .mended_by(place, {create}));
    return findings;
  }
  bool missing = false;
  for (int row = 0; row < tables.rows(); ++row) {
    const bool present = tables.boolean(row, 1);
    missing = missing || !present;
    if (present && !tables.boolean(row, 5)) {
      const std::string grant =
          fmt::format("GRANT SELECT, INSERT, UPDATE, DELETE ON {}.{} TO {}", quoted_schema,
                      pq::quote_identifier(tables.value(row, 0)), user);
      findings.push_back(Finding::error(fmt::format("{}user {} may not write {}", role, user,
                                                    tables.value(row, 0)),
                                        grant + ";")
                             .mended_by(place, {grant}));
    }
  }
  const bool usable = tables.boolean(0, 3);
  const bool may_create = tables.boolean(0, 4);
  if (!usable || (missing && !may_create)) {
    const std::string grant = fmt::format("GRANT {} ON SCHEMA {} TO {}",
                                          missing ? "USAGE, CREATE" : "USAGE", quoted_schema, user);
    findings.push_back(
        Finding::error(fmt::format("{}user {} may not {} headgate's own tables in schema {}", role,
                                   user, missing ? "create" : "use", schema),
                       grant + ";")
            .mended_by(place, {grant}));
  }
  return findings;
}

}  // namespace

SinkPosition PostgresSink::check(Findings& findings) {
  pq::Connection connection(connect_options());
  const std::string place = "sink " + options_.name;
  const std::string role = place + ": ";
  const pq::Result server = connection.exec(
      "SELECT current_setting('server_version'), current_user", "read the server's settings");
  const std::string user = pq::quote_identifier(server.value(0, 1));
  findings.push_back(Finding::ok(role + "PostgreSQL " + server.text(0, 0)));
  append(findings, check_session(connection, role, user));
  Findings own = check_own_tables(connection, role, place, options_.own_schema, user);
  const bool readable = own.empty();
  append(findings, std::move(own));
  return readable ? positions_.read(connection).value_or(SinkPosition{}) : SinkPosition{};
}

}  // namespace headgate::sink::postgres
