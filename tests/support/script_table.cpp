#include "support/script_table.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "demo/pg_session.hpp"
#include "support/script_values.hpp"

namespace headgate::test {

namespace {

using demo::quote_identifier;

// Of two columns of a key, this many values in the first one.
constexpr int kFirstKeys = 50;
constexpr std::int64_t kPartitionWidth = 400;
// So that a partitioned table's rows are not all in its default partition in the end.
constexpr std::int64_t kPartedNumbersMax = 2000;

ScriptColumn key_column(std::string name, std::string type) {
  ScriptColumn column{.name = std::move(name), .type = std::move(type)};
  column.not_null = true;
  column.key = true;
  return column;
}

class TableMaker {
 public:
  TableMaker(std::vector<ScriptTable>& tables, ScriptRandom& random)
      : tables_(tables), random_(random) {}

  ScriptTable& add(ScriptTable::Identity identity, const std::vector<std::string>& key_types) {
    const int number = static_cast<int>(tables_.size()) + 1;
    ScriptTable table;
    table.name = odd_name("table", number, random_);
    table.identity = identity;
    for (const std::string& type : key_types) {
      table.columns.push_back(key_column(column_name(), type));
    }
    // Not always in front.
    for (auto count = random_.between(2, 8); count > 0; --count) {
      const auto place = random_.between(0, static_cast<std::int64_t>(table.columns.size()));
      table.columns.insert(table.columns.begin() + place, plain_column());
    }
    if (!key_types.empty() && identity != ScriptTable::Identity::kIndex) {
      table.primary_key = fmt::format("table {} key", number);
    }
    if (identity == ScriptTable::Identity::kIndex) {
      table.identity_index = fmt::format("table {} identity", number);
      for (ScriptColumn& column : table.columns) {
        column.identity = column.key;
      }
    }
    tables_.push_back(std::move(table));
    return tables_.back();
  }

  ScriptColumn plain_column() {
    ScriptColumn column{.name = column_name(), .type = random_.pick(value_types()).name};
    column.not_null = random_.chance(15);
    return column;
  }

  std::string column_name() { return odd_name("c", ++columns_, random_); }

 private:
  std::vector<ScriptTable>& tables_;
  ScriptRandom& random_;
  int columns_ = 0;
};

std::string column_sql(const ScriptColumn& column, const std::vector<ScriptTable>& all) {
  std::string sql = quote_identifier(column.name) + " " + column.type;
  if (column.generated) {
    return sql + " GENERATED ALWAYS AS (1) STORED";
  }
  if (column.not_null) {
    sql += " NOT NULL";
  }
  if (column.references) {
    sql += fmt::format(" REFERENCES {} ON DELETE CASCADE ON UPDATE CASCADE",
                       all[*column.references].sql_name());
  }
  return sql;
}

std::string quoted_names(const ScriptTable& table, const std::vector<std::size_t>& columns) {
  std::vector<std::string> names;
  for (const std::size_t column : columns) {
    names.push_back(quote_identifier(table.columns[column].name));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

std::vector<std::size_t> columns_where(const ScriptTable& table, auto condition) {
  std::vector<std::size_t> found;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    if (condition(table.columns[i])) {
      found.push_back(i);
    }
  }
  return found;
}

}  // namespace

bool ScriptTable::has_key() const {
  return std::any_of(columns.begin(), columns.end(),
                     [](const ScriptColumn& column) { return column.key; });
}

bool ScriptTable::has_fresh_column() const {
  return std::any_of(columns.begin(), columns.end(),
                     [](const ScriptColumn& column) { return column.fresh; });
}

bool ScriptTable::has_fresh_default() const {
  return std::any_of(columns.begin(), columns.end(),
                     [](const ScriptColumn& column) { return column.fresh && column.had_default; });
}

bool ScriptTable::has_gap() const {
  return gap_at_end || std::any_of(columns.begin(), columns.end(),
                                   [](const ScriptColumn& column) { return column.after_gap; });
}

bool ScriptTable::is_beside_gap(const ScriptColumn& column) const {
  const ScriptColumn* next = &column + 1;
  const bool last = next == columns.data() + columns.size();
  return column.after_gap || (last ? gap_at_end : next->after_gap);
}

std::vector<std::size_t> ScriptTable::key_columns() const {
  return columns_where(*this, [](const ScriptColumn& column) { return column.key; });
}

std::vector<std::size_t> ScriptTable::plain_columns() const {
  return columns_where(*this,
                       [](const ScriptColumn& column) { return !column.key && !column.generated; });
}

std::string ScriptTable::sql_name() const {
  return "shop." + quote_identifier(name);
}

std::int64_t take_numbers(ScriptTable& table, std::int64_t count) {
  if (!table.partitions.empty() && table.next_number > kPartedNumbersMax) {
    table.next_number = 1;
    table.mixed_keys = true;
  }
  return std::exchange(table.next_number, table.next_number + count);
}

std::vector<std::string> key_values(const ScriptTable& table, const std::string& number) {
  const std::vector<std::size_t> columns = table.key_columns();
  std::vector<std::string> values;
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const std::string& type = table.columns[columns[i]].type;
    values.push_back(columns.size() == 1
                         ? key_of(type, number)
                         : key_of(type, i == 0 ? fmt::format("({}) % {}", number, kFirstKeys)
                                               : fmt::format("({}) / {}", number, kFirstKeys)));
  }
  return values;
}

std::string odd_name(const std::string& word, int number, ScriptRandom& random) {
  switch (random.between(0, 7)) {
    case 0:
      return fmt::format("{} \u65e5\u4ed8 {}", word, number);
    case 1:
      return fmt::format("Stra\u00dfe {}-{}", word, number);
    case 2:
      return fmt::format("{}\"{}'", word, number);
    case 3:
      return fmt::format("SELECT * {};{}--", word, number);
    case 4:
      return fmt::format("{}.{}", word, number);
    default:
      return fmt::format("{}{}", word, number);
  }
}

std::vector<ScriptTable> script_tables(ScriptRandom& random) {
  using Identity = ScriptTable::Identity;
  std::vector<ScriptTable> tables;
  TableMaker maker(tables, random);
  maker.add(Identity::kPrimaryKey, {"integer"});
  maker.add(Identity::kPrimaryKey, {"integer", "text"});
  maker.add(Identity::kPrimaryKey, {"text"});
  maker.add(Identity::kPrimaryKey, {"uuid"});
  maker.add(Identity::kPrimaryKey, {random.pick(key_types())});
  maker.add(Identity::kPrimaryKey, {random.pick(key_types()), random.pick(key_types())});
  maker.add(Identity::kIndex, {random.pick(key_types())});
  maker.add(Identity::kFull, {random.pick(key_types())});
  maker.add(Identity::kFull, {});
  maker.add(Identity::kNothing, {});
  maker.add(Identity::kNothing, {random.pick(key_types())});

  ScriptTable& generated = maker.add(Identity::kPrimaryKey, {"bigint"});
  ScriptColumn column = maker.plain_column();
  column.type = "integer";
  column.generated = true;
  generated.columns.insert(generated.columns.begin() + 1, column);

  for (const Identity identity : {Identity::kPrimaryKey, Identity::kFull}) {
    ScriptTable& parted = maker.add(identity, {"integer"});
    for (int i = 0; i < 3; ++i) {
      parted.partitions.push_back({fmt::format("part {}.{}", tables.size(), i), i * kPartitionWidth,
                                   (i + 1) * kPartitionWidth, true,
                                   identity == Identity::kFull || i == 1});
    }
    for (ScriptColumn& each : parted.columns) {
      each.pinned = each.pinned || each.key;
    }
  }

  ScriptTable& parent = maker.add(Identity::kPrimaryKey, {"integer"});
  parent.referenced = true;
  for (ScriptColumn& each : parent.columns) {
    each.pinned = each.pinned || each.key;
  }
  ScriptColumn reference = maker.plain_column();
  reference.type = "integer";
  reference.not_null = false;
  reference.pinned = true;
  reference.references = tables.size() - 1;
  maker.add(Identity::kPrimaryKey, {"integer"}).columns.push_back(reference);
  return tables;
}

std::string create_sql(const ScriptTable& table, const std::vector<ScriptTable>& all) {
  std::vector<std::string> parts;
  for (const ScriptColumn& column : table.columns) {
    parts.push_back(column_sql(column, all));
  }
  const std::string key = quoted_names(table, table.key_columns());
  if (!table.primary_key.empty()) {
    parts.push_back(
        fmt::format("CONSTRAINT {} PRIMARY KEY ({})", quote_identifier(table.primary_key), key));
  }
  std::string sql = fmt::format("CREATE TABLE {} ({})", table.sql_name(), fmt::join(parts, ", "));
  if (!table.partitions.empty()) {
    sql += fmt::format(" PARTITION BY RANGE ({})", key);
  }
  sql += ";";
  const auto identify = [&](const std::string& name, const char* identity) {
    sql += fmt::format(" ALTER TABLE {} REPLICA IDENTITY {};", name, identity);
  };
  const bool whole_rows = table.identity == ScriptTable::Identity::kFull;
  for (const ScriptPartition& partition : table.partitions) {
    const std::string name = "parts." + quote_identifier(partition.name);
    sql += fmt::format(" CREATE TABLE {} PARTITION OF {} FOR VALUES FROM ({}) TO ({});", name,
                       table.sql_name(), partition.from, partition.to);
    if (partition.whole_rows) {
      identify(name, "FULL");
    }
  }
  if (!table.partitions.empty()) {
    const std::string name = "parts." + quote_identifier(table.partitions.front().name + " others");
    sql += fmt::format(" CREATE TABLE {} PARTITION OF {} DEFAULT;", name, table.sql_name());
    if (whole_rows) {
      identify(name, "FULL");
    }
  }
  if (whole_rows) {
    identify(table.sql_name(), "FULL");
  } else if (table.only_appended() && !table.primary_key.empty()) {
    identify(table.sql_name(), "NOTHING");
  }
  if (!table.identity_index.empty()) {
    sql += fmt::format(
        " CREATE UNIQUE INDEX {0} ON {1} ({2});"
        " ALTER TABLE {1} REPLICA IDENTITY USING INDEX {0};",
        quote_identifier(table.identity_index), table.sql_name(), key);
  }
  return sql;
}

}  // namespace headgate::test
