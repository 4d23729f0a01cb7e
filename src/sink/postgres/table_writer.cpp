#include "sink/postgres/table_writer.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"

namespace headgate::sink::postgres {
namespace {

constexpr Oid kTextArray = 1009;

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::to_string(fmt::join(parts, separator));
}

}  // namespace

TableWriter::TableWriter(pq::Connection& connection, SinkConfigPtr config, TargetTable table,
                         unsigned number)
    : connection_(connection),
      config_(std::move(config)),
      table_(std::move(table)),
      number_(number),
      transports_(config_->output.columns.size(), Transport::kText) {}

std::vector<TableWriter::Part> TableWriter::all_columns() const {
  std::vector<Part> parts;
  for (std::size_t column = 0; column < table_.columns.size(); ++column) {
    parts.push_back({column, false});
  }
  return parts;
}

void TableWriter::upsert(std::span<const Row> rows) {
  run(Verb::kUpsert, all_columns(), rows, {});
}

void TableWriter::append(std::span<const Row> rows) {
  run(Verb::kAppend, all_columns(), rows, {});
}

std::int64_t TableWriter::erase(std::span<const Row> rows) {
  std::vector<Part> parts;
  for (const std::size_t column : config_->output.key) {
    parts.push_back({column, true});
  }
  return run(Verb::kDelete, parts, rows, rows);
}

std::int64_t TableWriter::update(std::span<const Row> rows) {
  // One statement per set of columns that is known. A key that stays is not written again: the
  // sink's column may be an identity that refuses it.
  std::map<std::vector<bool>, std::vector<Row>> groups;
  for (const Row& row : rows) {
    std::vector<bool> known(row.size());
    std::transform(row.begin(), row.end(), known.begin(),
                   [](const Value& value) { return !value.is_unchanged(); });
    for (const std::size_t column : config_->output.key) {
      known[column] = false;
    }
    groups[std::move(known)].push_back(row);
  }
  std::int64_t touched = 0;
  for (const auto& [known, group] : groups) {
    std::vector<Part> parts;
    for (std::size_t column = 0; column < known.size(); ++column) {
      if (known[column]) {
        parts.push_back({column, false});
      }
    }
    if (parts.empty()) {
      touched += static_cast<std::int64_t>(group.size());
      continue;
    }
    for (const std::size_t column : config_->output.key) {
      parts.push_back({column, true});
    }
    touched += run(Verb::kUpdate, parts, group, group);
  }
  return touched;
}

bool TableWriter::update_one(Row before, Row row) {
  const Row old_row = before.empty() ? row : before;
  const std::vector<std::size_t>& key = config_->output.key;
  std::vector<Part> parts;
  for (std::size_t column = 0; column < row.size(); ++column) {
    const bool same_key =
        std::find(key.begin(), key.end(), column) != key.end() && row[column] == old_row[column];
    if (!row[column].is_unchanged() && !same_key) {
      parts.push_back({column, false});
    }
  }
  if (parts.empty()) {
    return true;
  }
  for (const std::size_t column : key) {
    parts.push_back({column, true});
  }
  return run(Verb::kUpdate, parts, {&row, 1}, {&old_row, 1}) > 0;
}

// The columns that the source has sent of an old row.
std::vector<TableWriter::Part> TableWriter::known_of(Row before, bool key_only) const {
  std::vector<Part> parts;
  for (std::size_t column = 0; column < before.size(); ++column) {
    const bool padding = key_only && !config_->output.columns[column].identity;
    if (!padding && !before[column].is_unchanged()) {
      parts.push_back({column, true});
    }
  }
  return parts;
}

bool TableWriter::update_equal(const Sink& update) {
  std::vector<Part> parts;
  for (std::size_t column = 0; column < update.data.size(); ++column) {
    if (!update.data[column].is_unchanged()) {
      parts.push_back({column, false});
    }
  }
  if (parts.empty()) {
    return true;
  }
  const std::vector<Part> known = known_of(update.before, update.key_only);
  parts.insert(parts.end(), known.begin(), known.end());
  return run(Verb::kUpdateEqual, parts, {&update.data, 1}, {&update.before, 1}) > 0;
}

bool TableWriter::erase_equal(const Sink& erase) {
  return run(Verb::kDeleteEqual, known_of(erase.data, erase.key_only), {&erase.data, 1},
             {&erase.data, 1}) > 0;
}

void TableWriter::erase_all() {
  connection_.exec((truncates() ? "TRUNCATE " : "DELETE FROM ") + table_.own_rows,
                   "empty " + table_.quoted_name);
}

// Another table's foreign key forbids TRUNCATE, and so does a check of this table that waits for
// the end of the transaction.
bool TableWriter::truncates() {
  return config_->truncate == TruncateMode::kNative &&
         connection_
             .exec(
                 "SELECT NOT EXISTS (SELECT 1 FROM pg_constraint WHERE contype = 'f' "
                 "  AND confrelid = $1::regclass AND conrelid <> confrelid) "
                 "AND NOT EXISTS (SELECT 1 FROM pg_trigger "
                 "  WHERE tgrelid = $1::regclass AND tgdeferrable)",
                 {table_.quoted_name}, "look for what forbids TRUNCATE")
             .boolean(0, 0);
}

std::int64_t TableWriter::run(Verb verb, const std::vector<Part>& parts, std::span<const Row> rows,
                              std::span<const Row> before) {
  std::int64_t touched = 0;
  const std::string doing = fmt::format("write {}", table_.quoted_name);
  while (!rows.empty()) {
    const std::size_t count = std::min(rows.size(), kRowsMax);
    const auto some = rows.first(count);
    const auto some_before = before.empty() ? before : before.first(count);
    learn_transport(parts, some, some_before);

    std::vector<Oid> types;
    std::vector<std::string> arrays(parts.size());
    pq::BinaryParameters parameters;
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const Column& column = config_->output.columns[parts[i].column];
      const Transport transport = transports_[parts[i].column];
      types.push_back(transport == Transport::kBinary ? array_type_of(column.type_oid)
                                                      : kTextArray);
      append_array(parts[i].of_before ? some_before : some, parts[i].column, column, transport,
                   arrays[i]);
      parameters.values.push_back(arrays[i].data());
      parameters.lengths.push_back(static_cast<int>(arrays[i].size()));
    }
    const std::string sql = statement(verb, parts);
    auto [place, added] = prepared_.try_emplace(std::pair{sql, types});
    if (added) {
      place->second = fmt::format("headgate_{}_{}", number_, prepared_.size());
      connection_.prepare(place->second, sql, types, doing);
    }
    touched += connection_.exec_prepared(place->second, parameters, doing).affected();
    rows = rows.subspan(count);
    before = before.empty() ? before : before.subspan(count);
  }
  return touched;
}

// The transport of each column that `parts` use. NULLs go either way and keep the last one, so that
// a table has one set of statements and not one per pattern of NULLs.
void TableWriter::learn_transport(const std::vector<Part>& parts, std::span<const Row> rows,
                                  std::span<const Row> before) {
  for (const Part& part : parts) {
    const Column& column = config_->output.columns[part.column];
    for (const Row& row : part.of_before ? before : rows) {
      const Value& value = row[part.column];
      if (value.is_null()) {
        continue;
      }
      transports_[part.column] = transport_of(column, value);
      if (transports_[part.column] == Transport::kText) {
        break;  // one text value decides: binary ones can be printed, not the other way round
      }
    }
  }
}

// `value`, which is that of a part, as the sink's column type.
std::string TableWriter::converted(const Part& part, std::string value) const {
  const auto& column = table_.columns[part.column];
  return transports_[part.column] == Transport::kBinary ? std::move(value)
                                                        : fmt::format("{}::{}", value, column.type);
}

// The value of a part in the unnested row.
std::string TableWriter::unnested(const Part& part, std::size_t position) const {
  return converted(part, fmt::format("u.c{}", position));
}

// The same where there is one row only: old and new row of a wide table are more columns than
// unnest() could return.
std::string TableWriter::only_value(const Part& part, std::size_t position) const {
  return converted(part, fmt::format("(${})[1]", position + 1));
}

std::string TableWriter::unnest(const std::vector<Part>& parts) const {
  std::vector<std::string> parameters;
  std::vector<std::string> aliases;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parameters.push_back(fmt::format("${}", i + 1));
    aliases.push_back(fmt::format("c{}", i));
  }
  return fmt::format("unnest({}) AS u({})", join(parameters, ", "), join(aliases, ", "));
}

std::string TableWriter::assignments(const std::vector<Part>& parts, ValueSql value) const {
  std::vector<std::string> assigned;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].of_before) {
      assigned.push_back(fmt::format("{} = {}", table_.columns[parts[i].column].quoted_name,
                                     (this->*value)(parts[i], i)));
    }
  }
  return join(assigned, ", ");
}

std::string TableWriter::key_match(const std::vector<Part>& parts) const {
  std::vector<std::string> conditions;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].of_before) {
      const auto& column = table_.columns[parts[i].column];
      conditions.push_back(
          fmt::format("t.{} {} {}", column.quoted_name, column.equals, unnested(parts[i], i)));
    }
  }
  return join(conditions, " AND ");
}

// As they are printed, since the source means one row: some types have no `=` (json, point, an
// extension's outside of pg_catalog), to others different values are equal (1.0 and 1.00, two boxes
// of one area, what a collation takes for the same).
std::string TableWriter::equal_match(const std::vector<Part>& parts) const {
  std::vector<std::string> conditions;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].of_before) {
      conditions.push_back(fmt::format(
          "t.{}::pg_catalog.text COLLATE \"C\" IS NOT DISTINCT FROM ({})::pg_catalog.text",
          table_.columns[parts[i].column].quoted_name, only_value(parts[i], i)));
    }
  }
  return join(conditions, " AND ");
}

std::string TableWriter::statement(Verb verb, const std::vector<Part>& parts) const {
  const std::string& name = table_.own_rows;
  switch (verb) {
    case Verb::kAppend:
      return insert_statement(parts);
    case Verb::kUpsert:
      return insert_statement(parts) + on_conflict_clause();
    case Verb::kUpdate:
      return fmt::format("UPDATE {} AS t SET {} FROM {} WHERE {}", name,
                         assignments(parts, &TableWriter::unnested), unnest(parts),
                         key_match(parts));
    case Verb::kDelete:
      return fmt::format("DELETE FROM {} AS t USING {} WHERE {}", name, unnest(parts),
                         key_match(parts));
    case Verb::kUpdateEqual:
      return fmt::format(
          "UPDATE {0} AS o SET {1} WHERE (o.tableoid, o.ctid) = (SELECT t.tableoid, t.ctid FROM "
          "{0} AS t WHERE {2} LIMIT 1)",
          name, assignments(parts, &TableWriter::only_value), equal_match(parts));
    case Verb::kDeleteEqual:
      return fmt::format(
          "DELETE FROM {0} AS o WHERE (o.tableoid, o.ctid) = (SELECT t.tableoid, t.ctid FROM "
          "{0} AS t WHERE {1} LIMIT 1)",
          name, equal_match(parts));
  }
  HEADGATE_CHECK(false, "every verb has its statement");
}

std::string TableWriter::insert_statement(const std::vector<Part>& parts) const {
  std::vector<std::string> names;
  std::vector<std::string> values;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    names.push_back(table_.columns[parts[i].column].quoted_name);
    values.push_back(unnested(parts[i], i));
  }
  // The alias, because a table of the name `excluded` could not be told from EXCLUDED.
  return fmt::format("INSERT INTO {} AS t ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}",
                     table_.quoted_name, join(names, ", "), join(values, ", "), unnest(parts));
}

std::string TableWriter::on_conflict_clause() const {
  if (config_->on_conflict == OnConflict::kError) {
    return {};  // the unique index says so
  }
  const auto& key_columns = config_->output.key;
  std::vector<std::string> key;
  std::vector<std::string> overwritten;
  for (std::size_t column = 0; column < table_.columns.size(); ++column) {
    const std::string& quoted = table_.columns[column].quoted_name;
    if (std::find(key_columns.begin(), key_columns.end(), column) != key_columns.end()) {
      key.push_back(quoted);
    } else {
      overwritten.push_back(fmt::format("{0} = EXCLUDED.{0}", quoted));
    }
  }
  return fmt::format(" ON CONFLICT ({}) DO {}", join(key, ", "),
                     overwritten.empty() || config_->on_conflict == OnConflict::kSkip
                         ? "NOTHING"
                         : "UPDATE SET " + join(overwritten, ", "));
}

bool TableWriter::try_copy(std::span<const Row> rows) {
  if (copy_rest_ > 0) {
    --copy_rest_;
    return false;
  }
  try {
    CopyStream stream(connection_, *config_, table_, "SAVEPOINT headgate_copy; ");
    for (const Row& row : rows) {
      stream.put(row);
    }
    stream.finish();
  } catch (const Error& error) {
    // Whatever the server says to COPY it may say otherwise, or with better reason, to INSERT.
    const bool refused = error.kind() == ErrorKind::kRow || error.kind() == ErrorKind::kOperator;
    if (connection_.lost() || !refused) {
      throw;
    }
    connection_.exec("ROLLBACK TO headgate_copy; RELEASE headgate_copy", "undo a copy");
    copy_rest_ = kCopyRest;
    return false;
  }
  connection_.exec("RELEASE headgate_copy", "finish a copy");
  return true;
}

std::unique_ptr<CopyStream> TableWriter::open_copy() {
  return std::make_unique<CopyStream>(connection_, *config_, table_);
}

}  // namespace headgate::sink::postgres
