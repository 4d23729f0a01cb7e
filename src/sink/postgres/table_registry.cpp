#include "sink/postgres/table_registry.hpp"

#include <fmt/format.h>

namespace headgate::sink::postgres {
namespace {

// For a statement that is shown. Names of pipelines, sinks and tables only, never data.
std::string literal(const std::string& text) {
  std::string quoted = "'";
  for (const char c : text) {
    quoted += c == '\'' ? "''" : std::string(1, c);
  }
  return quoted + "'";
}

}  // namespace

TableRegistry::TableRegistry(const Options& options)
    : options_(options), table_(pq::quote_identifier(options.own_schema) + ".headgate_tables") {}

void TableRegistry::create(pq::Connection& connection) const {
  const pq::Result present =
      connection.exec("SELECT to_regclass($1) IS NOT NULL", {table_}, "look for headgate_tables");
  if (present.boolean(0, 0)) {
    return;
  }
  try {
    // table_id: the source's id of the table, which outlives its name. description: JSON.
    connection.exec(
        fmt::format("CREATE TABLE IF NOT EXISTS {} (pipeline text NOT NULL, sink text NOT NULL, "
                    "table_id text NOT NULL, source text NOT NULL, description text NOT NULL, "
                    "updated_at timestamptz NOT NULL DEFAULT now(), "
                    "PRIMARY KEY (pipeline, sink, table_id))",
                    table_),
        "create headgate_tables");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kOperator) {
      throw;
    }
    throw Error{error.kind(), error.what(),
                fmt::format("GRANT CREATE ON SCHEMA {} TO {};",
                            pq::quote_identifier(options_.own_schema), connection.quoted_user())};
  }
}

TableRecords TableRegistry::read(pq::Connection& connection) const {
  const pq::Result rows = connection.exec(
      fmt::format("SELECT description FROM {} WHERE pipeline = $1 AND sink = $2 ORDER BY table_id",
                  table_),
      {options_.pipeline, options_.name}, "read headgate_tables");
  TableRecords records;
  for (int row = 0; row < rows.rows(); ++row) {
    records.push_back(parse_record(rows.value(row, 0)));
  }
  return records;
}

void TableRegistry::write(pq::Connection& connection, const TableRecord& record) const {
  connection.exec(
      fmt::format("INSERT INTO {} (pipeline, sink, table_id, source, description) "
                  "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (pipeline, sink, table_id) DO UPDATE "
                  "SET source = EXCLUDED.source, description = EXCLUDED.description, "
                  "updated_at = now()",
                  table_),
      {options_.pipeline, options_.name, record_id(record.source), record.source.name.to_string(),
       to_json(record)},
      "write headgate_tables");
}

void TableRegistry::remove(pq::Connection& connection, const TableRecord& record) const {
  connection.exec(
      fmt::format("DELETE FROM {} WHERE pipeline = $1 AND sink = $2 AND table_id = $3", table_),
      {options_.pipeline, options_.name, record_id(record.source)}, "write headgate_tables");
}

void TableRegistry::clear(pq::Connection& connection) const {
  connection.exec(fmt::format("DELETE FROM {} WHERE pipeline = $1 AND sink = $2", table_),
                  {options_.pipeline, options_.name}, "empty headgate_tables");
}

std::string TableRegistry::forget_statement(const TableRecord& record) const {
  return fmt::format("DELETE FROM {} WHERE pipeline = {} AND sink = {} AND table_id = {}", table_,
                     literal(options_.pipeline), literal(options_.name),
                     literal(record_id(record.source)));
}

}  // namespace headgate::sink::postgres
