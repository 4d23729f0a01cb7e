// Writes rows to one table with prepared statements.

#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "db/sqlite/connection.hpp"
#include "db/sqlite/statement.hpp"
#include "pipeline/sink_operation.hpp"
#include "sink/sqlite/table_shape.hpp"
#include "sink/sqlite/table_sql.hpp"
#include "sink/sqlite/value_binding.hpp"

namespace headgate::sink::sqlite {

// Prepares each statement when it is first needed, and keeps it. Belongs to the SinkConfig it was
// made for: an altered table has another.
//
// Rows have one value per column of the configuration's output. All calls happen in an open
// transaction and throw Error{kRow} for a row that the table cannot take, or SqliteError.
class TableWriter {
 public:
  // `connection` must outlive the writer.
  TableWriter(db::sqlite::Connection& connection, SinkConfigPtr config);

  // Makes sure that the table is there and fit; forgets what was prepared for an earlier shape.
  // Throws Error{kOperator} as ensure_table() does. REQUIRED before any other call.
  void prepare(MissingTable missing);

  const SinkConfig& config() const { return *config_; }
  const TableShape& shape() const { return shape_; }
  bool has_key() const { return !config_->output.key.empty(); }

  bool is_empty();
  // By DELETE, whatever the configuration wants: SQLite has no TRUNCATE, and frees the pages of a
  // DELETE of all rows without looking at them, unless a trigger must see each.
  void erase_all();

  // A row whose key is new, or of a table without one.
  void insert(Row row);

  // REQUIRES for the next three: a key. What they return is false when no row was touched: because
  // the older one stays (on_conflict skip), or because there is none of that key.
  bool upsert(Row row);
  bool erase(Row old_row);
  // Sets what was sent of `row` in the row that has `old_row`'s key.
  bool update(Row row, Row old_row);

  // Does what `operation` says, as the source did it. False when its row is not there.
  bool apply(const Sink& operation);

 private:
  bool apply_update(const Sink& operation);
  bool update_one(const Sink& operation);
  bool erase_one(const Sink& operation);

  db::sqlite::Statement& statement(std::optional<db::sqlite::Statement>& place,
                                   std::string (*sql)(const TableSchema&));
  template <typename MakeSql>
  db::sqlite::Statement& masked_statement(char kind, const ColumnMask& columns,
                                          const ColumnMask& match, MakeSql make_sql);
  db::sqlite::Statement make_statement(const std::string& sql) const;

  ColumnMask sent_columns(Row row, Row old_row) const;
  ColumnMask match_columns(Row old_row, bool key_only) const;
  void bind_new(db::sqlite::Statement& statement, Row row);
  void bind_columns(db::sqlite::Statement& statement, Row row, const ColumnMask& columns,
                    std::size_t offset);
  void bind_old_key(db::sqlite::Statement& statement, Row old_row);
  void check_key(Row row) const;
  void check_taken() const;
  int run(db::sqlite::Statement& statement);

  db::sqlite::Connection& connection_;
  SinkConfigPtr config_;
  TableShape shape_;
  std::vector<BoundColumn> columns_;
  bool upsert_always_writes_ = false;  // it cannot come down to DO NOTHING

  std::optional<db::sqlite::Statement> insert_;
  std::optional<db::sqlite::Statement> upsert_;
  std::optional<db::sqlite::Statement> delete_;
  // By kind and column masks; bounded in masked_statement().
  std::unordered_map<std::string, db::sqlite::Statement> masked_;
};

}  // namespace headgate::sink::sqlite
