// The part of SqliteSink that takes a copy in chunks: staging tables, and how they come into place.

#include <algorithm>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.hpp"
#include "sink/sqlite/sqlite_sink.hpp"
#include "sink/sqlite/table_catalog.hpp"

namespace headgate::sink::sqlite {
namespace {

using db::sqlite::quote_identifier;

std::string quoted(const TableName& name) {
  return "main." + quote_identifier(name.table);
}

std::vector<std::string> column_names(const TableSchema& output) {
  std::vector<std::string> names;
  for (const Column& column : output.columns) {
    names.push_back(quote_identifier(column.name));
  }
  return names;
}

// Of a row of `table` and one of its staging table, by their key.
std::string same_key(const SinkConfig& table) {
  std::vector<std::string> conditions;
  for (const std::string& name : table.primary_key()) {
    conditions.push_back(fmt::format("s.{0} = t.{0}", quote_identifier(name)));
  }
  return fmt::format("{}", fmt::join(conditions, " AND "));
}

std::string insert_all(const SinkConfig& table, const TableName& staging) {
  const std::string columns = fmt::format("{}", fmt::join(column_names(table.output), ", "));
  // WHERE true: without it SQLite's parser takes ON CONFLICT for a join's ON.
  std::string sql = fmt::format("INSERT OR ABORT INTO {} ({}) SELECT {} FROM {} WHERE true",
                                quoted(table.output.name), columns, columns, quoted(staging));
  if (table.output.key.empty()) {
    return sql;
  }
  std::vector<std::string> key;
  for (const std::string& name : table.primary_key()) {
    key.push_back(quote_identifier(name));
  }
  std::vector<std::string> assigned;
  for (std::size_t i = 0; i < table.output.columns.size(); ++i) {
    const auto& places = table.output.key;
    if (std::find(places.begin(), places.end(), i) == places.end()) {
      assigned.push_back(
          fmt::format("{0} = excluded.{0}", quote_identifier(table.output.columns[i].name)));
    }
  }
  return sql + fmt::format(" ON CONFLICT ({}) DO {}", fmt::join(key, ", "),
                           assigned.empty()
                               ? "NOTHING"
                               : fmt::format("UPDATE SET {}", fmt::join(assigned, ", ")));
}

}  // namespace

bool SqliteSink::has_table(const TableName& table) {
  return read_catalog(*connection_, table.table).has_value();
}

TableName SqliteSink::staging_name(const SinkConfig& table) const {
  return {"", staging_table(options_.pipeline, options_.name, table.output)};
}

bool SqliteSink::has_rows(const TableName& table) {
  return connection_->query_integer(
             fmt::format("SELECT EXISTS (SELECT 1 FROM {})", quoted(table))) != 0;
}

void SqliteSink::check_copy_target(const SinkConfig& table, ExistingRows existing) {
  check_distinct_name(table);
  if (!has_table(table.output.name)) {
    return;
  }
  ensure_table(*connection_, table.output, MissingTable::kRefuse);
  if (existing == ExistingRows::kRefuse && has_rows(table.output.name)) {
    throw holds_rows(table);
  }
}

Error SqliteSink::holds_rows(const SinkConfig& table) const {
  return Error{ErrorKind::kOperator,
               fmt::format("table {} in {} holds rows already", table.output.name.table,
                           connection_->path()),
               "empty it, or set snapshot.existing to replace (delete them) or keep"};
}

void SqliteSink::drop_staging(const TableName& staging) {
  run_ddl("DROP TABLE IF EXISTS " + quoted(staging));
}

void SqliteSink::run_ddl(const std::string& statement) {
  connection_->execute(statement);
  ++schema_generation_;
  schema_version_ = connection_->query_integer("PRAGMA schema_version");
}

void SqliteSink::copy_chunk(std::span<const Sink> operations, bool meets_rows) {
  for (const Sink& operation : operations) {
    TableWriter& writer = table_of(operation.config).writer;
    if (meets_rows && writer.has_key()) {
      writer.upsert(operation.data);
    } else {
      writer.insert(operation.data);
    }
  }
}

// Foreign keys are not enforced here, so in any order.
void SqliteSink::take_staging(std::span<const StagedTable> tables) {
  for (const StagedTable& staged : tables) {
    take_staging_of(*staged.table, staged.staging, staged.existing);
  }
}

void SqliteSink::take_staging_of(const SinkConfig& table, const TableName& staging,
                                 ExistingRows existing) {
  if (!has_table(table.output.name)) {
    run_ddl(fmt::format("ALTER TABLE {} RENAME TO {}", quoted(staging),
                        quote_identifier(table.output.name.table)));
    return;
  }
  ensure_table(*connection_, table.output, MissingTable::kRefuse);
  if (existing == ExistingRows::kRefuse && has_rows(table.output.name)) {
    throw holds_rows(table);
  }
  if (existing == ExistingRows::kReplace) {
    // Rows that stay are only overwritten: what a trigger of the sink sees is what has changed.
    connection_->execute(
        table.output.key.empty()
            ? "DELETE FROM " + quoted(table.output.name)
            : fmt::format("DELETE FROM {} AS t WHERE NOT EXISTS (SELECT 1 FROM {} AS s WHERE {})",
                          quoted(table.output.name), quoted(staging), same_key(table)));
  }
  connection_->execute(insert_all(table, staging));
  drop_staging(staging);
}

}  // namespace headgate::sink::sqlite
