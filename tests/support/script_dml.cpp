#include "support/script_dml.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "demo/pg_session.hpp"
#include "support/script_values.hpp"

namespace headgate::test {

namespace {

using demo::quote_identifier;
using demo::quote_literal;

std::string names(const ScriptTable& table, const std::vector<std::size_t>& columns,
                  const std::string& prefix = {}) {
  std::vector<std::string> quoted;
  for (const std::size_t column : columns) {
    quoted.push_back(prefix + quote_identifier(table.columns[column].name));
  }
  return fmt::format("{}", fmt::join(quoted, ", "));
}

// That row of `s` is a row of the table.
constexpr const char* kThatRow = "t.tableoid = s.o AND t.ctid = s.c";

}  // namespace

std::string ScriptDml::any(std::size_t index) {
  ScriptTable& table = tables_[index];
  const auto choice = random_.between(1, 100);
  if (choice <= 2 && may_be_emptied(index)) {
    return truncate(index);
  }
  if (table.only_appended() || choice <= 20) {
    return choice % 4 == 0 ? copy(table) : insert(index, row_count());
  }
  if (choice <= 55) {
    return update(table);
  }
  if (choice <= 68) {
    return erase(table);
  }
  if (!table.has_key()) {
    return choice % 2 == 0 ? swap_columns(table) : update(table);
  }
  if (choice <= 76) {
    return upsert(table);
  }
  if (choice <= 82) {
    return merge(table);
  }
  if (choice <= 86) {
    return swap_columns(table);
  }
  return choice <= 93 ? update_keys(table) : swap_keys(table);
}

std::string ScriptDml::insert(std::size_t index, std::int64_t rows) {
  ScriptTable& table = tables_[index];
  const std::int64_t first = take_numbers(table, rows);
  const std::vector<std::size_t> columns = written_columns(table);
  const bool careful = table.has_key() && (table.mixed_keys || random_.chance(20));
  return fmt::format("INSERT INTO {} ({}) SELECT {} FROM generate_series({}, {}) s(i){}",
                     table.sql_name(), names(table, columns),
                     fmt::join(values(table, columns, "s.i"), ", "), first, first + rows - 1,
                     careful ? " ON CONFLICT DO NOTHING" : "");
}

std::string ScriptDml::copy(ScriptTable& table) {
  const std::int64_t rows = row_count();
  const std::int64_t first = take_numbers(table, rows);
  const std::vector<std::size_t> columns = written_columns(table);
  return fmt::format(
      "COPY (SELECT {} FROM generate_series({}, {}) s(i)) TO {}; COPY {} ({}) FROM {}",
      fmt::join(values(table, columns, "s.i"), ", "), first, first + rows - 1,
      quote_literal(copy_file_), table.sql_name(), names(table, columns),
      quote_literal(copy_file_));
}

// Some numbers that were used, and some new ones.
std::string ScriptDml::upsert(ScriptTable& table) {
  const std::int64_t rows = row_count();
  const std::int64_t first = random_.between(1, table.next_number);
  table.next_number = std::max(table.next_number, first + rows);
  const std::vector<std::size_t> columns = written_columns(table);
  std::vector<std::string> updates;
  for (const std::size_t column : columns) {
    const std::string name = quote_identifier(table.columns[column].name);
    if (!table.columns[column].key && random_.chance(70)) {
      updates.push_back(fmt::format("{0} = excluded.{0}", name));
    }
  }
  return fmt::format(
      "INSERT INTO {} AS t ({}) SELECT {} FROM generate_series({}, {}) s(i) ON CONFLICT ({}) DO {}",
      table.sql_name(), names(table, columns), fmt::join(values(table, columns, "s.i"), ", "),
      first, first + rows - 1, names(table, table.key_columns()),
      updates.empty() ? "NOTHING" : fmt::format("UPDATE SET {}", fmt::join(updates, ", ")));
}

std::string ScriptDml::merge(ScriptTable& table) {
  const std::int64_t rows = row_count();
  const std::int64_t first = random_.between(1, table.next_number);
  table.next_number = std::max(table.next_number, first + rows);
  const std::vector<std::size_t> written = written_columns(table);
  const std::vector<std::size_t> key = table.key_columns();
  const std::vector<std::string> keys = key_values(table, "s.i");
  std::vector<std::string> same;
  for (std::size_t i = 0; i < key.size(); ++i) {
    same.push_back(fmt::format("t.{} = {}", quote_identifier(table.columns[key[i]].name), keys[i]));
  }
  const std::string changes = assignments(table, some_columns(table));
  return fmt::format(
      "MERGE INTO {} AS t USING (SELECT generate_series({}, {}) AS i) s ON {}"
      " WHEN MATCHED AND s.i % {} = 0 THEN DELETE{}"
      " WHEN NOT MATCHED THEN INSERT ({}) VALUES ({})",
      table.sql_name(), first, first + rows - 1, fmt::join(same, " AND "), random_.between(2, 9),
      changes.empty() ? "" : " WHEN MATCHED THEN UPDATE SET " + changes, names(table, written),
      fmt::join(values(table, written, "s.i"), ", "));
}

std::string ScriptDml::update(const ScriptTable& table) {
  const std::vector<std::size_t> columns = some_columns(table);
  std::string changes = assignments(table, columns);
  if (columns.empty() || random_.chance(8)) {
    // Nothing changes, and yet there is an update.
    const std::vector<std::size_t> any = written_columns(table);
    changes = fmt::format("{0} = t.{0}", quote_identifier(table.columns[random_.pick(any)].name));
  }
  return fmt::format("UPDATE {} AS t SET {} FROM {} s WHERE {}", table.sql_name(), changes,
                     some_rows(table, row_count(), random_.between(0, 99)), kThatRow);
}

std::string ScriptDml::update_keys(ScriptTable& table) {
  const std::int64_t rows = random_.magnitude(60);
  const std::int64_t first = take_numbers(table, rows);
  const std::vector<std::size_t> key = table.key_columns();
  const std::vector<std::string> keys = key_values(table, "s.i");
  std::vector<std::string> changes;
  for (std::size_t i = 0; i < key.size(); ++i) {
    changes.push_back(quote_identifier(table.columns[key[i]].name) + " = " + keys[i]);
  }
  // A number that is the same one, in other digits.
  const ScriptColumn& column = table.columns[key.front()];
  if (column.type == "numeric" && random_.chance(40)) {
    changes = {fmt::format("{0} = t.{0} * 1.0", quote_identifier(column.name))};
  }
  if (random_.chance(50)) {
    const std::string more = assignments(table, some_columns(table));
    changes.insert(changes.end(), more.empty() ? 0 : 1, more);
  }
  return fmt::format("UPDATE {} AS t SET {} FROM {} s WHERE {}", table.sql_name(),
                     fmt::join(changes, ", "), some_rows(table, rows, first), kThatRow);
}

// Each row of a few gets the key of the next one, by way of keys that nobody has.
std::string ScriptDml::swap_keys(ScriptTable& table) {
  const std::int64_t rows = random_.between(2, 4);
  const std::int64_t first =
      random_.between(1, std::max<std::int64_t>(1, table.next_number - rows));
  const std::int64_t aside = take_numbers(table, 100);
  const std::vector<std::size_t> key = table.key_columns();
  const std::string columns = names(table, key);
  const auto move = [&](std::int64_t from, std::int64_t to) {
    return fmt::format("UPDATE {} SET ({}) = ROW({}) WHERE ({}) = ({}); ", table.sql_name(),
                       columns, fmt::join(key_values(table, std::to_string(to)), ", "), columns,
                       fmt::join(key_values(table, std::to_string(from)), ", "));
  };
  std::string sql;
  for (std::int64_t i = 0; i < rows; ++i) {
    sql += move(first + i, aside + i);
  }
  for (std::int64_t i = 0; i < rows; ++i) {
    sql += move(aside + i, first + (i + 1) % rows);
  }
  return sql;
}

// Two columns of one type exchange their values.
std::string ScriptDml::swap_columns(const ScriptTable& table) {
  for (const std::size_t one : table.plain_columns()) {
    for (const std::size_t other : table.plain_columns()) {
      const ScriptColumn& a = table.columns[one];
      const ScriptColumn& b = table.columns[other];
      if (one < other && a.type == b.type && a.not_null == b.not_null && !a.references &&
          !b.references) {
        return fmt::format("UPDATE {0} AS t SET {1} = t.{2}, {2} = t.{1} FROM {3} s WHERE {4}",
                           table.sql_name(), quote_identifier(a.name), quote_identifier(b.name),
                           some_rows(table, row_count(), 0), kThatRow);
      }
    }
  }
  return update(table);
}

std::string ScriptDml::erase(const ScriptTable& table) {
  return fmt::format("DELETE FROM {} AS t USING {} s WHERE {}", table.sql_name(),
                     some_rows(table, row_count(), 0), kThatRow);
}

std::string ScriptDml::truncate(std::size_t index) {
  std::string tables = tables_[index].sql_name();
  if (random_.chance(40)) {
    const std::size_t other =
        static_cast<std::size_t>(random_.between(0, static_cast<std::int64_t>(tables_.size()) - 1));
    tables += other == index || !may_be_emptied(other) ? "" : ", " + tables_[other].sql_name();
  }
  return fmt::format("TRUNCATE {}{} CASCADE", tables,
                     random_.chance(30) ? " RESTART IDENTITY" : "");
}

// TRUNCATE gives a table, and those that refer to it, another storage. To a daemon that was away
// that is as if it had been rewritten after a column came: it rightly asks a person for older rows'
// values.
bool ScriptDml::may_be_emptied(std::size_t index) const {
  return std::none_of(tables_.begin(), tables_.end(), [&](const ScriptTable& table) {
    const bool refers =
        std::any_of(table.columns.begin(), table.columns.end(),
                    [&](const ScriptColumn& column) { return column.references == index; });
    return (refers || &table == &tables_[index]) && table.has_fresh_column();
  });
}

// Of those that are no keys.
std::vector<std::size_t> ScriptDml::some_columns(const ScriptTable& table) {
  std::vector<std::size_t> columns = table.plain_columns();
  if (!random_.chance(25)) {
    std::erase_if(columns, [&](std::size_t) { return random_.chance(60); });
  }
  return columns;
}

// For a new row: all that must be there, and most of the others.
std::vector<std::size_t> ScriptDml::written_columns(const ScriptTable& table) {
  std::vector<std::size_t> columns;
  const int missing = random_.chance(50) ? 0 : 30;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    const ScriptColumn& column = table.columns[i];
    const bool needed = column.key || (column.not_null && !column.has_default);
    if (!column.generated && (needed || !random_.chance(missing))) {
      columns.push_back(i);
    }
  }
  if (columns.empty()) {
    columns.push_back(table.plain_columns().front());
  }
  return columns;
}

std::vector<std::string> ScriptDml::values(const ScriptTable& table,
                                           const std::vector<std::size_t>& columns,
                                           const std::string& number) {
  std::vector<std::string> keys = key_values(table, number);
  std::vector<std::string> sql;
  std::size_t key = 0;
  for (const std::size_t column : columns) {
    sql.push_back(table.columns[column].key ? keys[key++] : value(table.columns[column]));
  }
  return sql;
}

std::string ScriptDml::value(const ScriptColumn& column) {
  if (column.references) {
    const ScriptTable& parent = tables_[*column.references];
    const std::string key = quote_identifier(parent.columns[parent.key_columns().front()].name);
    return fmt::format("(SELECT p.{0} FROM {1} p WHERE p.{0} >= s.i % {2} ORDER BY 1 LIMIT 1)", key,
                       parent.sql_name(), random_.between(20, 200));
  }
  return values_of(column.type, !column.not_null, random_);
}

std::string ScriptDml::assignments(const ScriptTable& table,
                                   const std::vector<std::size_t>& columns) {
  std::vector<std::string> sql;
  for (const std::size_t column : columns) {
    sql.push_back(quote_identifier(table.columns[column].name) + " = " +
                  value(table.columns[column]));
  }
  return fmt::format("{}", fmt::join(sql, ", "));
}

// Rows by their place, numbered from `first_number` on.
std::string ScriptDml::some_rows(const ScriptTable& table, std::int64_t most,
                                 std::int64_t first_number) {
  const std::vector<std::size_t> key = table.key_columns();
  const std::string what =
      key.empty() ? "r::text" : fmt::format("ROW({})::text", names(table, key, "r."));
  const std::string order = fmt::format("md5({} || '{}')", what, random_.between(0, 1'000'000));
  return fmt::format(
      "(SELECT r.tableoid AS o, r.ctid AS c, {} + row_number() OVER (ORDER BY {}) AS i"
      " FROM {} r ORDER BY {} LIMIT {})",
      first_number - 1, order, table.sql_name(), order, most);
}

}  // namespace headgate::test
