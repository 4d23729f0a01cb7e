#include "sink/postgres/table_writer.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "core/value_text.hpp"

namespace headgate::sink::postgres {
namespace {

constexpr Oid kTextArray = 1009;

// Types without an equality operator, compared by their text (pg_operator has no `=` for them).
bool has_equality(std::uint32_t type_oid) {
  switch (type_oid) {
    case 114:  // json
    case 142:  // xml
    case 600:  // point
    case 604:  // polygon
      return false;
    default:
      return true;
  }
}

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  return fmt::to_string(fmt::join(parts, separator));
}

void put_uint32(std::string& out, std::uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) {
    out.push_back(static_cast<char>(value >> shift & 0xFF));
  }
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
  // One statement per set of columns that is known.
  std::map<std::vector<bool>, std::vector<Row>> groups;
  for (const Row& row : rows) {
    std::vector<bool> known(row.size());
    std::transform(row.begin(), row.end(), known.begin(),
                   [](const Value& value) { return !value.is_unchanged(); });
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
    for (const std::size_t column : config_->output.key) {
      parts.push_back({column, true});
    }
    touched += run(Verb::kUpdate, parts, group, group);
  }
  return touched;
}

bool TableWriter::update_one(Row before, Row row) {
  std::vector<Part> parts;
  for (std::size_t column = 0; column < row.size(); ++column) {
    if (!row[column].is_unchanged()) {
      parts.push_back({column, false});
    }
  }
  for (const std::size_t column : config_->output.key) {
    parts.push_back({column, true});
  }
  const Row old_row = before.empty() ? row : before;
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
  const std::vector<Part> known = known_of(update.before, update.key_only);
  parts.insert(parts.end(), known.begin(), known.end());
  return run(Verb::kUpdateEqual, parts, {&update.data, 1}, {&update.before, 1}) > 0;
}

bool TableWriter::erase_equal(const Sink& erase) {
  return run(Verb::kDeleteEqual, known_of(erase.data, erase.key_only), {&erase.data, 1},
             {&erase.data, 1}) > 0;
}

void TableWriter::erase_all() {
  connection_.exec("DELETE FROM " + table_.quoted_name, "empty " + table_.quoted_name);
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

// The value of a part in the unnested row, as the sink's column type.
std::string TableWriter::converted(const Part& part, std::size_t position) const {
  const auto& column = table_.columns[part.column];
  return transports_[part.column] == Transport::kBinary
             ? fmt::format("u.c{}", position)
             : fmt::format("u.c{}::{}", position, column.type);
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

std::string TableWriter::assignments(const std::vector<Part>& parts) const {
  std::vector<std::string> assigned;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].of_before) {
      assigned.push_back(fmt::format("{} = {}", table_.columns[parts[i].column].quoted_name,
                                     converted(parts[i], i)));
    }
  }
  return join(assigned, ", ");
}

std::string TableWriter::key_match(const std::vector<Part>& parts) const {
  std::vector<std::string> conditions;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].of_before) {
      conditions.push_back(fmt::format("t.{} = {}", table_.columns[parts[i].column].quoted_name,
                                       converted(parts[i], i)));
    }
  }
  return join(conditions, " AND ");
}

std::string TableWriter::equal_match(const std::vector<Part>& parts) const {
  std::vector<std::string> conditions;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].of_before) {
      continue;
    }
    const auto& column = table_.columns[parts[i].column];
    const bool as_text = !has_equality(column.type_oid);
    conditions.push_back(fmt::format("t.{0}{2} IS NOT DISTINCT FROM ({1}){2}", column.quoted_name,
                                     converted(parts[i], i), as_text ? "::pg_catalog.text" : ""));
  }
  return join(conditions, " AND ");
}

std::string TableWriter::statement(Verb verb, const std::vector<Part>& parts) const {
  const std::string& name = table_.quoted_name;
  switch (verb) {
    case Verb::kAppend:
      return insert_statement(parts);
    case Verb::kUpsert:
      return insert_statement(parts) + on_conflict_clause();
    case Verb::kUpdate:
      return fmt::format("UPDATE {} AS t SET {} FROM {} WHERE {}", name, assignments(parts),
                         unnest(parts), key_match(parts));
    case Verb::kDelete:
      return fmt::format("DELETE FROM {} AS t USING {} WHERE {}", name, unnest(parts),
                         key_match(parts));
    case Verb::kUpdateEqual:
      return fmt::format(
          "UPDATE {0} AS o SET {1} FROM {2} WHERE (o.tableoid, o.ctid) IN (SELECT t.tableoid, "
          "t.ctid FROM {0} AS t WHERE {3} LIMIT 1)",
          name, assignments(parts), unnest(parts), equal_match(parts));
    case Verb::kDeleteEqual:
      return fmt::format(
          "DELETE FROM {0} WHERE (tableoid, ctid) IN (SELECT t.tableoid, t.ctid FROM {0} AS t, {1} "
          "WHERE {2} LIMIT 1)",
          name, unnest(parts), equal_match(parts));
  }
  HEADGATE_CHECK(false, "every verb has its statement");
}

std::string TableWriter::insert_statement(const std::vector<Part>& parts) const {
  std::vector<std::string> names;
  std::vector<std::string> values;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    names.push_back(table_.columns[parts[i].column].quoted_name);
    values.push_back(converted(parts[i], i));
  }
  return fmt::format("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}",
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

bool TableWriter::sends_binary_copy(Row row) const {
  for (std::size_t i = 0; i < row.size(); ++i) {
    const Column& column = config_->output.columns[i];
    const bool text_bytes = column.family == TypeFamily::kText || column.type_oid == 114;
    if (column.type_oid != table_.columns[i].type_oid || row[i].kind == ValueKind::kUnchanged ||
        (row[i].kind == ValueKind::kText && !text_bytes)) {
      return false;
    }
  }
  return true;
}

std::int64_t TableWriter::copy(std::span<const Row> rows) {
  if (rows.empty()) {
    return 0;
  }
  std::vector<std::string> names;
  for (const auto& column : table_.columns) {
    names.push_back(column.quoted_name);
  }
  const bool binary =
      std::all_of(rows.begin(), rows.end(), [&](const Row& row) { return sends_binary_copy(row); });
  const std::string doing = fmt::format("copy into {}", table_.quoted_name);
  connection_.copy_begin(fmt::format("COPY {} ({}) FROM STDIN{}", table_.quoted_name,
                                     join(names, ", "), binary ? " (FORMAT binary)" : ""),
                         doing);
  constexpr std::size_t kBufferSize = std::size_t{64} * 1024;
  std::string buffer;
  if (binary) {
    buffer.assign("PGCOPY\n\377\r\n\0", 11);
    put_uint32(buffer, 0);  // flags
    put_uint32(buffer, 0);  // no header extension
  }
  for (const Row& row : rows) {
    if (binary) {
      put_binary_row(row, buffer);
    } else {
      put_text_row(row, buffer);
    }
    if (buffer.size() >= kBufferSize) {
      connection_.copy_put(buffer, doing);
      buffer.clear();
    }
  }
  if (binary) {
    buffer.append("\377\377", 2);  // trailer
  }
  connection_.copy_put(buffer, doing);
  return connection_.copy_end(doing);
}

void TableWriter::put_binary_row(Row row, std::string& out) const {
  out.push_back(static_cast<char>(row.size() >> 8 & 0xFF));
  out.push_back(static_cast<char>(row.size() & 0xFF));
  for (const Value& value : row) {
    put_uint32(out, value.is_null() ? 0xFFFFFFFFU : value.size);
    out.append(value.bytes());
  }
}

// COPY's text format (documentation of COPY, "Text Format").
void TableWriter::put_text_row(Row row, std::string& out) const {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) {
      out.push_back('\t');
    }
    if (row[i].is_null()) {
      out.append("\\N");
      continue;
    }
    std::string printed;
    std::string_view text = row[i].bytes();
    if (row[i].kind == ValueKind::kBinary) {
      printed = value_text(config_->output.columns[i], row[i]);
      text = printed;
    }
    for (const char c : text) {
      switch (c) {
        case '\\':
          out.append("\\\\");
          break;
        case '\t':
          out.append("\\t");
          break;
        case '\n':
          out.append("\\n");
          break;
        case '\r':
          out.append("\\r");
          break;
        default:
          out.push_back(c);
      }
    }
  }
  out.push_back('\n');
}

}  // namespace headgate::sink::postgres
