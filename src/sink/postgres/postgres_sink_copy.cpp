// The part of PostgresSink that takes a copy in chunks: staging tables, and how they come into
// place.

#include <algorithm>
#include <functional>
#include <string>
#include <utility>
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
std::string delete_statement(const SinkConfig& table, const TargetTable& target,
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

// The tables' numbers, each behind those that it refers to; where they refer to each other in a
// circle, only deferred constraints help.
std::vector<std::size_t> referred_first(std::size_t tables, const References& references) {
  std::vector<std::size_t> order;
  std::vector<bool> seen(tables, false);
  const std::function<void(std::size_t)> visit = [&](std::size_t table) {
    if (seen[table]) {
      return;
    }
    seen[table] = true;
    for (const auto& [from, to] : references) {
      if (from == table) {
        visit(to);
      }
    }
    order.push_back(table);
  };
  for (std::size_t i = 0; i < tables; ++i) {
    visit(i);
  }
  return order;
}

}  // namespace

bool PostgresSink::has_table(const TableName& table) {
  return sql()
      .exec("SELECT to_regclass($1) IS NOT NULL", {quoted_table(table)},
            "look up table " + table.to_string())
      .boolean(0, 0);
}

TableName PostgresSink::staging_name(const SinkConfig& table) const {
  return {table.output.name.schema, staging_table(options_.pipeline, options_.name, table.output)};
}

// Behind a savepoint: the server refuses to show what a privilege is missing for, and would end the
// transaction with it.
void PostgresSink::check_copy_target(const SinkConfig& table, ExistingRows existing) {
  constexpr const char* kDoing = "look at a table that is to be copied";
  sql().exec("SAVEPOINT headgate_look", kDoing);
  try {
    if (has_table(table.output.name)) {
      open_target_table(sql(), table, MissingTable::kRefuse);
      if (existing == ExistingRows::kRefuse && has_rows(sql(), table.output.name)) {
        throw holds_rows(table.output.name);
      }
    }
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::kOperator) {
      sql().exec("ROLLBACK TO SAVEPOINT headgate_look", kDoing);
    }
    throw;
  }
  sql().exec("RELEASE SAVEPOINT headgate_look", kDoing);
}

void PostgresSink::drop_staging(const TableName& staging) {
  sql().exec("DROP TABLE IF EXISTS " + quoted_table(staging), "drop a staging table");
}

void PostgresSink::copy_chunk(std::span<const Sink> operations, bool meets_rows) {
  if (operations.empty()) {
    return;
  }
  const SinkConfig* table = operations.front().config;
  if (!meets_rows || table->output.key.empty()) {
    const std::size_t copied = copy_rows(operations);
    HEADGATE_CHECK(copied == operations.size(), "a chunk is of one table, and of whole rows");
    return;
  }
  std::vector<Row> rows;
  rows.reserve(operations.size());
  for (const Sink& operation : operations) {
    HEADGATE_CHECK(operation.operation == Operation::kInsert, "a copy only inserts");
    rows.push_back(operation.data);
  }
  writer(table).upsert(rows);
}

// In the order that the sink's foreign keys need: rows come and change in the tables that are
// referred to before those that refer to them, and go the other way round, last.
void PostgresSink::take_staging(std::span<const StagedTable> tables) {
  const References references = references_among(tables);
  const std::vector<std::size_t> order = referred_first(tables.size(), references);
  const auto deletes_late = [&](std::size_t i) {
    return tables[i].existing == ExistingRows::kReplace && !tables[i].table->output.key.empty() &&
           std::any_of(references.begin(), references.end(), [&](const auto& reference) {
             return reference.first == i || reference.second == i;
           });
  };
  // These go through whole tables, unlike all other statements of ours.
  sql().exec(
      "SET LOCAL enable_seqscan = on; SET LOCAL enable_hashjoin = on; "
      "SET LOCAL enable_mergejoin = on; SET CONSTRAINTS ALL DEFERRED",
      "take a copy in");
  std::vector<std::size_t> filled;
  for (const std::size_t i : order) {
    if (!has_table(tables[i].table->output.name)) {
      rename_staging(tables[i].staging, tables[i].table->output.name);
    } else {
      fill_from_staging(tables[i], !deletes_late(i));
      filled.push_back(i);
    }
  }
  for (auto i = filled.rbegin(); i != filled.rend(); ++i) {
    if (deletes_late(*i)) {
      delete_others(tables[*i]);
    }
    drop_staging(tables[*i].staging);
  }
  sql().exec(
      "SET CONSTRAINTS ALL IMMEDIATE; SET LOCAL enable_seqscan = off; "
      "SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off",
      "take a copy in");
}

void PostgresSink::fill_from_staging(const StagedTable& staged, bool deletes_first) {
  const SinkConfig& table = *staged.table;
  const TableName& name = table.output.name;
  const TargetTable target = open_target_table(sql(), table, MissingTable::kRefuse);
  if (staged.existing == ExistingRows::kRefuse && has_rows(sql(), name)) {
    throw holds_rows(name);
  }
  sql().exec("ANALYZE " + quoted_table(staged.staging), "take a copy in");
  if (staged.existing == ExistingRows::kReplace && deletes_first) {
    delete_others(staged);
  }
  sql().exec(insert_all(table, target, staged.staging), "fill table " + name.to_string());
}

void PostgresSink::delete_others(const StagedTable& staged) {
  const TargetTable target = open_target_table(sql(), *staged.table, MissingTable::kRefuse);
  sql().exec(delete_statement(*staged.table, target, staged.staging),
             "replace table " + staged.table->output.name.to_string());
}

References PostgresSink::references_among(std::span<const StagedTable> tables) {
  std::vector<std::string> names;
  for (std::size_t i = 0; i < tables.size(); ++i) {
    names.push_back(fmt::format("({}, to_regclass({}))", i,
                                sql().quote_literal(quoted_table(tables[i].table->output.name))));
  }
  References references;
  if (names.size() < 2) {
    return references;
  }
  const pq::Result found = sql().exec(
      fmt::format("WITH t (n, id) AS (VALUES {}) SELECT a.n, b.n FROM pg_constraint c JOIN t a ON "
                  "a.id = c.conrelid JOIN t b ON b.id = c.confrelid "
                  "WHERE c.contype = 'f' AND a.n <> b.n",
                  fmt::join(names, ", ")),
      "look up foreign keys");
  for (int row = 0; row < found.rows(); ++row) {
    references.emplace_back(static_cast<std::size_t>(found.integer(row, 0)),
                            static_cast<std::size_t>(found.integer(row, 1)));
  }
  return references;
}

// With its key's index, whose name people look for.
void PostgresSink::rename_staging(const TableName& staging, const TableName& name) {
  const std::string doing = "name table " + name.to_string();
  sql().exec(fmt::format("ALTER TABLE {} RENAME TO {}", quoted_table(staging),
                         pq::quote_identifier(name.table)),
             doing);
  const std::string key_name = name.table + "_pkey";
  if (key_name.size() > 63) {
    return;
  }
  const pq::Result key = sql().exec(
      "SELECT c.conname FROM pg_constraint c WHERE c.conrelid = $1::regclass AND c.contype = 'p' "
      "AND to_regclass($2) IS NULL",
      {quoted_table(name), quoted_table({name.schema, key_name})}, doing);
  if (key.rows() > 0) {
    sql().exec(fmt::format("ALTER TABLE {} RENAME CONSTRAINT {} TO {}", quoted_table(name),
                           pq::quote_identifier(key.text(0, 0)), pq::quote_identifier(key_name)),
               doing);
  }
}

}  // namespace headgate::sink::postgres
