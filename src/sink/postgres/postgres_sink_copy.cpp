// The part of PostgresSink that takes a copy in chunks: staging tables, and how they come into
// place.

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "sink/postgres/postgres_sink.hpp"

namespace headgate::sink::postgres {
namespace {

bool has_rows(pq::Connection& connection, const TableName& name) {
  return connection
      .exec(fmt::format("SELECT EXISTS (SELECT 1 FROM {})", quoted_table(name)),
            "look into table " + name.to_string())
      .boolean(0, 0);
}

Error holds_rows(const TableName& name) {
  return Error{
      ErrorKind::kOperator,
      fmt::format("table {} holds rows already, and snapshot.existing is refuse", name.to_string()),
      "empty it, or set snapshot.existing to replace (delete them first) or keep"};
}

// Deletes what is not in `staging`, by key; everything where there is none.
std::string delete_others(const SinkConfig& table, const TargetTable& target,
                          const TableName& staging) {
  if (table.output.key.empty()) {
    return "DELETE FROM " + target.own_rows;
  }
  std::vector<std::string> conditions;
  for (const std::size_t column : table.output.key) {
    const auto& of_target = target.columns[column];
    conditions.push_back(fmt::format("s.{0} {1} t.{0}", of_target.quoted_name, of_target.equals));
  }
  return fmt::format("DELETE FROM {} AS t WHERE NOT EXISTS (SELECT 1 FROM {} AS s WHERE {})",
                     target.own_rows, quoted_table(staging), fmt::join(conditions, " AND "));
}

std::string insert_all(const SinkConfig& table, const TargetTable& target,
                       const TableName& staging) {
  const auto& key = table.output.key;
  std::vector<std::string> names;
  std::vector<std::string> values;
  std::vector<std::string> key_names;
  std::vector<std::string> assigned;
  for (std::size_t i = 0; i < target.columns.size(); ++i) {
    const std::string& name = target.columns[i].quoted_name;
    names.push_back(name);
    values.push_back(fmt::format("s.{}::{}", name, target.columns[i].type));
    if (std::find(key.begin(), key.end(), i) == key.end()) {
      assigned.push_back(fmt::format("{0} = EXCLUDED.{0}", name));
    }
  }
  for (const std::size_t column : key) {
    key_names.push_back(target.columns[column].quoted_name);
  }
  std::string sql = fmt::format(
      "INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {} AS s", target.quoted_name,
      fmt::join(names, ", "), fmt::join(values, ", "), quoted_table(staging));
  if (!key.empty()) {
    sql += fmt::format(
        " ON CONFLICT ({}) DO {}", fmt::join(key_names, ", "),
        assigned.empty() ? "NOTHING" : fmt::format("UPDATE SET {}", fmt::join(assigned, ", ")));
  }
  return sql;
}

}  // namespace

bool PostgresSink::has_table(const TableName& table) {
  return connection_
      ->exec("SELECT to_regclass($1) IS NOT NULL", {quoted_table(table)},
             "look up table " + table.to_string())
      .boolean(0, 0);
}

TableName PostgresSink::staging_name(const SinkConfig& table) const {
  return {table.output.name.schema, staging_table(options_.pipeline, options_.name, table.output)};
}

void PostgresSink::check_copy_target(const SinkConfig& table, ExistingRows existing) {
  if (!has_table(table.output.name)) {
    return;
  }
  open_target_table(*connection_, table, MissingTable::kRefuse);
  if (existing == ExistingRows::kRefuse && has_rows(*connection_, table.output.name)) {
    throw holds_rows(table.output.name);
  }
}

void PostgresSink::drop_staging(const TableName& staging) {
  connection_->exec("DROP TABLE IF EXISTS " + quoted_table(staging), "drop a staging table");
}

void PostgresSink::copy_chunk(std::span<const Sink> operations, bool meets_rows) {
  if (operations.empty()) {
    return;
  }
  std::vector<Row> rows;
  rows.reserve(operations.size());
  for (const Sink& operation : operations) {
    HEADGATE_CHECK(operation.operation == Operation::kInsert, "a copy only inserts");
    rows.push_back(operation.data);
  }
  const SinkConfig* table = operations.front().config;
  if (meets_rows && !table->output.key.empty()) {
    writer(table).upsert(rows);
  } else {
    writer(table).copy(rows);
  }
}

void PostgresSink::take_staging(const SinkConfig& table, const TableName& staging,
                                ExistingRows existing) {
  const TableName& name = table.output.name;
  if (!has_table(name)) {
    rename_staging(staging, name);
    return;
  }
  const TargetTable target = open_target_table(*connection_, table, MissingTable::kRefuse);
  if (existing == ExistingRows::kRefuse && has_rows(*connection_, name)) {
    throw holds_rows(name);
  }
  // These two go through whole tables, unlike all other statements of ours.
  connection_->exec(
      "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; "
      "SET LOCAL enable_mergejoin = on",
      "take a copy in");
  connection_->exec("ANALYZE " + quoted_table(staging), "take a copy in");
  if (existing == ExistingRows::kReplace) {
    connection_->exec(delete_others(table, target, staging), "replace table " + name.to_string());
  }
  connection_->exec(insert_all(table, target, staging), "fill table " + name.to_string());
  drop_staging(staging);
  connection_->exec(
      "SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; "
      "SET LOCAL enable_mergejoin = off",
      "take a copy in");
}

// With its key's index, whose name people look for.
void PostgresSink::rename_staging(const TableName& staging, const TableName& name) {
  const std::string doing = "name table " + name.to_string();
  connection_->exec(fmt::format("ALTER TABLE {} RENAME TO {}", quoted_table(staging),
                                pq::quote_identifier(name.table)),
                    doing);
  const std::string key_name = name.table + "_pkey";
  if (key_name.size() > 63) {
    return;
  }
  const pq::Result key = connection_->exec(
      "SELECT c.conname FROM pg_constraint c WHERE c.conrelid = $1::regclass AND c.contype = 'p' "
      "AND to_regclass($2) IS NULL",
      {quoted_table(name), quoted_table({name.schema, key_name})}, doing);
  if (key.rows() > 0) {
    connection_->exec(
        fmt::format("ALTER TABLE {} RENAME CONSTRAINT {} TO {}", quoted_table(name),
                    pq::quote_identifier(key.text(0, 0)), pq::quote_identifier(key_name)),
        doing);
  }
}

}  // namespace headgate::sink::postgres
