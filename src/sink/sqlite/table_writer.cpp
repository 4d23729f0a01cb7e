#include "sink/sqlite/table_writer.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"

namespace headgate::sink::sqlite {
namespace {

using db::sqlite::quote_identifier;
using db::sqlite::Statement;

// One table sees few combinations of unsent columns; whoever has more pays for preparing anew.
constexpr std::size_t kMaskedStatementsMax = 64;

bool is_complete(Row row) {
  return std::none_of(row.begin(), row.end(),
                      [](const Value& value) { return value.is_unchanged(); });
}

bool any(const ColumnMask& mask) {
  return std::any_of(mask.begin(), mask.end(), [](bool set) { return set; });
}

}  // namespace

TableWriter::TableWriter(db::sqlite::Connection& connection, SinkConfigPtr config)
    : connection_(connection), config_(std::move(config)) {}

void TableWriter::prepare(MissingTable missing) {
  insert_.reset();
  upsert_.reset();
  delete_.reset();
  masked_.clear();
  columns_.clear();

  const TableSchema& output = config_->output;
  shape_ = ensure_table(connection_, output, missing);
  for (std::size_t i = 0; i < output.columns.size(); ++i) {
    const Column& column = output.columns[i];
    columns_.push_back({column.family, loses_negative_zero(shape_.storage[i]), &column,
                        fmt::format("table {}, column {}", output.name.table, column.name)});
  }
  upsert_always_writes_ =
      config_->on_conflict != OnConflict::kSkip && output.columns.size() > output.key.size();
}

Statement TableWriter::make_statement(const std::string& sql) const {
  return {connection_, sql, "write to table " + config_->output.name.table};
}

Statement& TableWriter::statement(std::optional<Statement>& place,
                                  std::string (*sql)(const TableSchema&)) {
  if (!place) {
    place.emplace(make_statement(sql(config_->output)));
  }
  return *place;
}

template <typename MakeSql>
Statement& TableWriter::masked_statement(char kind, const ColumnMask& columns,
                                         const ColumnMask& match, MakeSql make_sql) {
  std::string name(1, kind);
  for (const bool set : columns) {
    name.push_back(set ? '1' : '0');
  }
  for (const bool set : match) {
    name.push_back(set ? '1' : '0');
  }
  const auto found = masked_.find(name);
  if (found != masked_.end()) {
    return found->second;
  }
  if (masked_.size() >= kMaskedStatementsMax) {
    masked_.clear();
  }
  return masked_.emplace(std::move(name), make_statement(make_sql())).first->second;
}

bool TableWriter::is_empty() {
  Statement query = make_statement(
      fmt::format("SELECT 1 FROM main.{} LIMIT 1", quote_identifier(config_->output.name.table)));
  return !query.rows().next();
}

void TableWriter::erase_all() {
  make_statement("DELETE FROM main." + quote_identifier(config_->output.name.table)).run();
}

void TableWriter::insert(Row row) {
  Statement& insert = statement(insert_, insert_sql);
  bind_new(insert, row);
  run(insert);
  check_taken();
}

bool TableWriter::upsert(Row row) {
  if (!upsert_) {
    upsert_.emplace(make_statement(upsert_sql(config_->output, config_->on_conflict)));
  }
  bind_new(*upsert_, row);
  const int touched = run(*upsert_);
  if (upsert_always_writes_) {
    check_taken();
  }
  return touched > 0;
}

bool TableWriter::erase(Row old_row) {
  Statement& erase = statement(delete_, delete_sql);
  bind_old_key(erase, old_row);
  return run(erase) > 0;
}

bool TableWriter::update(Row row, Row old_row) {
  const ColumnMask columns = sent_columns(row, old_row);
  if (!any(columns)) {
    return true;  // nothing but the key was sent, and that stays
  }
  Statement& update =
      masked_statement('u', columns, {}, [&] { return update_sql(config_->output, columns); });
  bind_columns(update, row, columns, 0);
  bind_old_key(update, old_row);
  return run(update) > 0;
}

bool TableWriter::apply(const Sink& operation) {
  switch (operation.operation) {
    case Operation::kTruncate:
      erase_all();
      return true;
    case Operation::kInsert:
      if (has_key()) {
        return upsert(operation.data);
      }
      insert(operation.data);
      return true;
    case Operation::kDelete:
      return has_key() ? erase(operation.data) : erase_one(operation);
    case Operation::kUpdateAfter:
      return has_key() ? apply_update(operation) : update_one(operation);
    case Operation::kUpdateBefore:
      break;
  }
  HEADGATE_CHECK(false, "before and after images are joined before they reach a sink");
  return false;
}

bool TableWriter::apply_update(const Sink& operation) {
  const Row old_row = operation.before.empty() ? operation.data : operation.before;
  if (update(operation.data, old_row)) {
    return true;
  }
  return is_complete(operation.data) && upsert(operation.data);
}

bool TableWriter::update_one(const Sink& operation) {
  const ColumnMask match = match_columns(operation.before, operation.key_only);
  const ColumnMask columns = sent_columns(operation.data, {});
  if (!any(columns)) {
    return true;
  }
  Statement& update = masked_statement('U', columns, match, [&] {
    return update_one_sql(config_->output, columns, match, shape_.row_id);
  });
  bind_columns(update, operation.data, columns, 0);
  bind_columns(update, operation.before, match, columns_.size());
  return run(update) > 0;
}

bool TableWriter::erase_one(const Sink& operation) {
  const ColumnMask match = match_columns(operation.data, operation.key_only);
  Statement& erase = masked_statement(
      'D', {}, match, [&] { return delete_one_sql(config_->output, match, shape_.row_id); });
  bind_columns(erase, operation.data, match, columns_.size());
  return run(erase) > 0;
}

// What an update sets: all that was sent but a key that stays. An empty `old_row`: all that was
// sent.
ColumnMask TableWriter::sent_columns(Row row, Row old_row) const {
  ColumnMask columns(row.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    columns[i] = !row[i].is_unchanged();
  }
  if (!old_row.empty()) {
    for (const std::size_t column : config_->output.key) {
      columns[column] = columns[column] && row[column] != old_row[column];
    }
  }
  return columns;
}

ColumnMask TableWriter::match_columns(Row old_row, bool key_only) const {
  ColumnMask match(old_row.size());
  for (std::size_t i = 0; i < old_row.size(); ++i) {
    match[i] = !old_row[i].is_unchanged() && (!key_only || config_->output.columns[i].identity);
  }
  if (!any(match)) {
    throw Error{
        ErrorKind::kRow,
        fmt::format("table {}: the source did not send the old row, and the table has no key",
                    config_->output.name.table),
        "set REPLICA IDENTITY FULL at the source, or give the table a primary key"};
  }
  return match;
}

void TableWriter::bind_new(Statement& statement, Row row) {
  HEADGATE_CHECK(row.size() == columns_.size(), "a row has one value per column of its table");
  check_key(row);
  for (std::size_t i = 0; i < row.size(); ++i) {
    bind_value(statement, static_cast<int>(i + 1), columns_[i], row[i]);
  }
}

void TableWriter::bind_columns(Statement& statement, Row row, const ColumnMask& columns,
                               std::size_t offset) {
  HEADGATE_CHECK(row.size() == columns_.size(), "a row has one value per column of its table");
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (columns[i]) {
      bind_value(statement, static_cast<int>(offset + i + 1), columns_[i], row[i]);
    }
  }
}

void TableWriter::bind_old_key(Statement& statement, Row old_row) {
  HEADGATE_CHECK(old_row.size() == columns_.size(), "a row has one value per column of its table");
  check_key(old_row);
  for (const std::size_t column : config_->output.key) {
    bind_value(statement, static_cast<int>(columns_.size() + column + 1), columns_[column],
               old_row[column]);
  }
}

// To an INTEGER PRIMARY KEY, NULL means "choose a number": a row under a key that no source ever
// had.
void TableWriter::check_key(Row row) const {
  for (const std::size_t column : config_->output.key) {
    if (row[column].is_null()) {
      throw Error{ErrorKind::kRow, columns_[column].label + ": the key is NULL"};
    }
  }
}

// A trigger with RAISE(IGNORE) makes SQLite drop a row and report success.
void TableWriter::check_taken() const {
  if (connection_.changes() != 1) {
    throw Error{
        ErrorKind::kRow,
        fmt::format("table {}: a trigger of the sink ignored the row", config_->output.name.table),
        "drop the trigger, or let it raise an error instead of RAISE(IGNORE)"};
  }
}

int TableWriter::run(Statement& statement) {
  statement.run();
  return static_cast<int>(connection_.changes());
}

}  // namespace headgate::sink::sqlite
