#include "support/script_ddl.hpp"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "demo/pg_session.hpp"
#include "support/script_values.hpp"

namespace headgate::test {

namespace {

using demo::quote_identifier;
using Identity = ScriptTable::Identity;

constexpr std::size_t kColumnsMax = 24;

std::string key_names(const ScriptTable& table) {
  std::vector<std::string> names;
  for (const std::size_t column : table.key_columns()) {
    names.push_back(quote_identifier(table.columns[column].name));
  }
  return fmt::format("{}", fmt::join(names, ", "));
}

bool may_change_key(const ScriptTable& table) {
  const bool any_key = table.identity == Identity::kPrimaryKey || table.identity == Identity::kFull;
  return any_key && !table.referenced && table.partitions.empty();
}

}  // namespace

std::string ScriptDdl::any(ScriptTable& table) {
  using Changed = ScriptTable::Changed;
  const auto choice = random_.between(1, 100);
  if (choice <= 25) {
    if (table.changed == Changed::kOtherwise) {
      return {};
    }
    table.changed = Changed::kOnlyAdded;
    return add_column(table);
  }
  if (choice <= 75) {
    if (table.changed != Changed::kNothing) {
      return {};
    }
    std::string sql = change_columns(table);
    table.changed = sql.empty() ? Changed::kNothing : Changed::kOtherwise;
    return sql;
  }
  if (choice <= 80) {
    return set_not_null(table);
  }
  if (choice <= 88) {
    return set_default(table);
  }
  if (choice <= 91) {
    return rename_table(table);
  }
  return choice <= 98 ? alter_partitions(table) : create_index(table);
}

std::string ScriptDdl::change_columns(ScriptTable& table) {
  switch (random_.between(0, 8)) {
    case 0:
    case 1:
      return drop_column(table);
    case 2:
      return rename_column(table);
    case 3:
      return rename_in_circle(table);
    case 4:
    case 5:
      return widen(table);
    case 6:
      return extend_key(table);
    case 7:
      return replace_key(table);
    default:
      return change_identity(table);
  }
}

std::string ScriptDdl::add_column(ScriptTable& table) {
  if (table.columns.size() >= kColumnsMax) {
    return {};
  }
  ScriptColumn column{.name = new_name("c"), .type = random_.pick(value_types()).name};
  std::string sql = fmt::format("ALTER TABLE {} ADD COLUMN {} {}", table.sql_name(),
                                quote_identifier(column.name), column.type);
  if (random_.chance(60)) {
    column.has_default = true;
    column.had_default = true;
    column.not_null = random_.chance(40);
    sql += " DEFAULT " + constant_of(column.type, random_) + (column.not_null ? " NOT NULL" : "");
  }
  column.fresh = true;
  column.after_gap = std::exchange(table.gap_at_end, false);
  table.columns.push_back(std::move(column));
  return sql;
}

std::string ScriptDdl::drop_column(ScriptTable& table) {
  ScriptColumn* column =
      free_column(table, [&](const ScriptColumn& each) { return !table.is_beside_gap(each); });
  if (column == nullptr || table.columns.size() < 3) {
    return {};
  }
  const std::string sql = fmt::format("ALTER TABLE {} DROP COLUMN {}", table.sql_name(),
                                      quote_identifier(column->name));
  const auto next =
      table.columns.erase(table.columns.begin() + std::distance(table.columns.data(), column));
  (next == table.columns.end() ? table.gap_at_end : next->after_gap) = true;
  return sql;
}

std::string ScriptDdl::rename_column(ScriptTable& table) {
  ScriptColumn& column = random_.pick(table.columns);
  if (table.is_beside_gap(column)) {
    return {};
  }
  const std::string from = std::exchange(column.name, new_name("c"));
  return fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", table.sql_name(),
                     quote_identifier(from), quote_identifier(column.name));
}

// Two or three columns exchange their names.
std::string ScriptDdl::rename_in_circle(ScriptTable& table) {
  if (table.has_gap()) {
    return {};
  }
  const std::size_t count =
      std::min<std::size_t>(table.columns.size(), static_cast<std::size_t>(random_.between(2, 3)));
  std::vector<std::size_t> places;
  while (places.size() < count) {
    const auto place = static_cast<std::size_t>(
        random_.between(0, static_cast<std::int64_t>(table.columns.size()) - 1));
    if (std::find(places.begin(), places.end(), place) == places.end()) {
      places.push_back(place);
    }
  }
  std::string sql;
  const auto rename = [&](const std::string& from, const std::string& to) {
    sql += fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {};", table.sql_name(),
                       quote_identifier(from), quote_identifier(to));
  };
  const std::string first = table.columns[places.front()].name;
  const std::string aside = new_name("c");
  rename(first, aside);
  for (std::size_t i = 1; i < count; ++i) {
    rename(table.columns[places[i]].name, table.columns[places[i - 1]].name);
  }
  rename(aside, table.columns[places.back()].name);
  for (std::size_t i = count; --i > 0;) {
    std::swap(table.columns[places[i - 1]].name, table.columns[places[i]].name);
  }
  return sql;
}

std::string ScriptDdl::widen(ScriptTable& table) {
  ScriptColumn& column = random_.pick(table.columns);
  const std::vector<std::string>& wider = value_type(column.type).wider;
  if (column.pinned || column.generated || wider.empty() || table.has_fresh_column()) {
    return {};
  }
  const std::string& type = random_.pick(wider);
  if (column.key && value_type(type).key.empty()) {
    return {};
  }
  table.mixed_keys = table.mixed_keys || column.key;
  column.type = type;
  return fmt::format("ALTER TABLE {} ALTER COLUMN {} TYPE {}", table.sql_name(),
                     quote_identifier(column.name), column.type);
}

std::string ScriptDdl::set_not_null(ScriptTable& table) {
  ScriptColumn* column = free_column(table, [](const auto& each) { return !each.generated; });
  if (column == nullptr || table.only_appended()) {
    return {};
  }
  const std::string name = quote_identifier(column->name);
  column->not_null = !column->not_null;
  if (!column->not_null) {
    return fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", table.sql_name(), name);
  }
  return fmt::format(
      "UPDATE {0} SET {1} = {2} WHERE {1} IS NULL; ALTER TABLE {0} ALTER COLUMN {1} SET NOT NULL",
      table.sql_name(), name, constant_of(column->type, random_));
}

std::string ScriptDdl::set_default(ScriptTable& table) {
  // A default that came after its column cannot be told from one that filled the rows in a way that
  // the catalog does not know: the sinks would ask a person.
  ScriptColumn* column = free_column(table, [](const ScriptColumn& each) {
    return !each.generated && (each.has_default || !each.fresh);
  });
  if (column == nullptr) {
    return {};
  }
  const std::string name = quote_identifier(column->name);
  column->has_default = !column->has_default;
  return column->has_default
             ? fmt::format("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}", table.sql_name(), name,
                           constant_of(column->type, random_))
             : fmt::format("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT", table.sql_name(), name);
}

std::string ScriptDdl::new_primary_key(ScriptTable& table, bool had_one) {
  std::string sql;
  if (had_one) {
    sql = fmt::format("ALTER TABLE {} DROP CONSTRAINT {};", table.sql_name(),
                      quote_identifier(table.primary_key));
  }
  table.primary_key = new_name("key");
  return sql + fmt::format("ALTER TABLE {} ADD CONSTRAINT {} PRIMARY KEY ({})", table.sql_name(),
                           quote_identifier(table.primary_key), key_names(table));
}

// One more column in the primary key, whatever its values are.
std::string ScriptDdl::extend_key(ScriptTable& table) {
  if (table.primary_key.empty() || !may_change_key(table) || table.key_columns().size() > 1) {
    return {};
  }
  ScriptColumn* column = free_column(table, [](const ScriptColumn& each) {
    return each.not_null && !each.references && !value_type(each.type).key.empty();
  });
  if (column == nullptr) {
    return {};
  }
  column->key = true;
  table.mixed_keys = true;
  return new_primary_key(table, true);
}

// Another column, with new values, is the primary key; or the first one of a table without any.
std::string ScriptDdl::replace_key(ScriptTable& table) {
  if (!may_change_key(table)) {
    return {};
  }
  ScriptColumn* column = free_column(table, [](const ScriptColumn& each) {
    return !each.generated && !each.references && !value_type(each.type).key.empty();
  });
  if (column == nullptr) {
    return {};
  }
  constexpr std::int64_t kRowsMax = 20'000;
  const std::int64_t first = take_numbers(table, kRowsMax);
  const std::string name = quote_identifier(column->name);
  const std::string old_key = key_names(table);
  const std::string order = old_key.empty() ? "r::text" : fmt::format("ROW({})::text", old_key);
  std::string sql = fmt::format(
      "UPDATE {0} t SET {1} = {2} FROM (SELECT ctid AS c, {3} + row_number() OVER (ORDER BY {4}) AS"
      " i FROM {0} r) s WHERE t.ctid = s.c; ALTER TABLE {0} ALTER COLUMN {1} SET NOT NULL;",
      table.sql_name(), name, key_of(column->type, "s.i"), first - 1, order);
  for (ScriptColumn& each : table.columns) {
    each.key = false;
  }
  column->key = true;
  column->not_null = true;
  column->has_default = column->has_default && !column->fresh;
  table.mixed_keys = false;
  return sql + new_primary_key(table, !table.primary_key.empty());
}

std::string ScriptDdl::change_identity(ScriptTable& table) {
  if (table.primary_key.empty() || !table.partitions.empty() || table.only_appended()) {
    return {};
  }
  const std::string alter = fmt::format("ALTER TABLE {} REPLICA IDENTITY ", table.sql_name());
  std::string drop_index;
  if (!table.identity_index.empty()) {
    drop_index = fmt::format("; DROP INDEX shop.{}",
                             quote_identifier(std::exchange(table.identity_index, {})));
    for (ScriptColumn& column : table.columns) {
      column.identity = false;
    }
  }
  if (table.identity == Identity::kIndex) {
    table.identity = random_.chance(50) ? Identity::kFull : Identity::kPrimaryKey;
    return alter + (table.identity == Identity::kFull ? "FULL" : "DEFAULT") + drop_index;
  }
  if (table.identity == Identity::kFull) {
    table.identity = Identity::kPrimaryKey;
    return alter + "DEFAULT";
  }
  if (random_.chance(50)) {
    table.identity = Identity::kFull;
    return alter + "FULL";
  }
  // The key, and with it any other column, tells rows apart.
  std::string names = key_names(table);
  for (ScriptColumn& column : table.columns) {
    column.identity = column.key;
  }
  ScriptColumn* more = free_column(table, [](const ScriptColumn& each) {
    return each.not_null && !each.generated && !value_type(each.type).key.empty();
  });
  if (more != nullptr) {
    more->identity = true;
    names += ", " + quote_identifier(more->name);
  }
  table.identity = Identity::kIndex;
  table.identity_index = new_name("identity");
  return fmt::format("CREATE UNIQUE INDEX {} ON {} ({}); {} USING INDEX {}",
                     quote_identifier(table.identity_index), table.sql_name(), names, alter,
                     quote_identifier(table.identity_index));
}

std::string ScriptDdl::rename_table(ScriptTable& table) {
  const std::string from = table.sql_name();
  table.name = new_name("table");
  return fmt::format("ALTER TABLE {} RENAME TO {}", from, quote_identifier(table.name));
}

// What a partition holds when it comes or goes is not in the log: it is empty then.
std::string ScriptDdl::alter_partitions(ScriptTable& table) {
  if (table.partitions.empty()) {
    return {};
  }
  ScriptPartition& partition = random_.pick(table.partitions);
  const std::string name = "parts." + quote_identifier(partition.name);
  const std::string bounds =
      fmt::format("FOR VALUES FROM ({}) TO ({})", partition.from, partition.to);
  if (partition.attached && random_.chance(60)) {
    partition.attached = false;
    return fmt::format(
        "DELETE FROM {} WHERE {} >= {} AND {} < {}; ALTER TABLE {} DETACH PARTITION {}",
        table.sql_name(), key_names(table), partition.from, key_names(table), partition.to,
        table.sql_name(), name);
  }
  if (table.has_fresh_default()) {
    return {};  // older partitions hold a default that the new one does not
  }
  const bool whole_rows = table.identity == Identity::kFull || random_.chance(40);
  const auto identity = [&](const std::string& of) {
    return whole_rows ? fmt::format("; ALTER TABLE {} REPLICA IDENTITY FULL", of) : std::string{};
  };
  if (!partition.attached) {
    partition.attached = true;
    // It has missed what was done to the others meanwhile.
    return fmt::format(
        "DROP TABLE {0}; CREATE TABLE {0} (LIKE {1} INCLUDING ALL){3};"
        "ALTER TABLE {1} ATTACH PARTITION {0} {2}",
        name, table.sql_name(), bounds, identity(name));
  }
  const std::int64_t from = table.partitions.back().to;
  const std::int64_t width = partition.to - partition.from;
  table.partitions.push_back({new_name("part"), from, from + width, true});
  const std::string made = "parts." + quote_identifier(table.partitions.back().name);
  return fmt::format("CREATE TABLE {} PARTITION OF {} FOR VALUES FROM ({}) TO ({}){}", made,
                     table.sql_name(), from, from + width, identity(made));
}

std::string ScriptDdl::create_index(ScriptTable& table) {
  return fmt::format("CREATE INDEX ON {} ((1))", table.sql_name());
}

ScriptColumn* ScriptDdl::free_column(ScriptTable& table,
                                     const std::function<bool(const ScriptColumn&)>& fits) {
  std::vector<ScriptColumn*> found;
  for (ScriptColumn& column : table.columns) {
    if (!column.key && !column.identity && !column.pinned && fits(column)) {
      found.push_back(&column);
    }
  }
  return found.empty() ? nullptr : random_.pick(found);
}

}  // namespace headgate::test
