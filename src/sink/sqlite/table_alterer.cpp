#include "sink/sqlite/table_alterer.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "db/sqlite/statement.hpp"
#include "sink/sqlite/table_catalog.hpp"
#include "sink/sqlite/table_shape.hpp"
#include "sink/sqlite/type_map.hpp"
#include "sink/sqlite/value_binding.hpp"

namespace headgate::sink::sqlite {
namespace {

using db::sqlite::quote_identifier;

// `numeric(10,2)`: its name, and the numbers in parentheses. `numeric(10,2)[]` is named
// `numeric[]`.
struct ParsedType {
  std::string name;
  std::vector<int> numbers;
};

ParsedType parse_type(std::string_view type) {
  const auto open = type.find('(');
  if (open == std::string_view::npos) {
    return {std::string(type), {}};
  }
  ParsedType parsed{std::string(type.substr(0, open)), {}};
  if (const auto close = type.rfind(')'); close != std::string_view::npos) {
    parsed.name += type.substr(close + 1);
  }
  std::string_view rest = type.substr(open + 1);
  while (!rest.empty()) {
    int number = 0;
    const auto [end, failure] = std::from_chars(rest.data(), rest.data() + rest.size(), number);
    if (failure != std::errc{}) {
      break;
    }
    parsed.numbers.push_back(number);
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    rest = rest.starts_with(',') ? rest.substr(1) : std::string_view{};
  }
  return parsed;
}

bool is_string(std::string_view name) {
  return name == "text" || name == "character varying";
}

// Whether the source prints every value as it did before, once it has turned it into the new type
// by itself (ALTER COLUMN TYPE without USING).
bool prints_alike(const Column& from, const Column& to) {
  const ParsedType a = parse_type(from.native_type);
  const ParsedType b = parse_type(to.native_type);
  if (from.family == TypeFamily::kInteger && to.family == TypeFamily::kInteger) {
    return true;
  }
  if (from.family == TypeFamily::kInteger && b.name == "numeric") {
    return b.numbers.size() < 2 || b.numbers[1] == 0;
  }
  if (a.name == "numeric" && b.name == "numeric") {
    // The digits behind the point stay as many; the others either fit or failed at the source.
    return b.numbers.empty() ||
           (a.numbers.size() == 2 && b.numbers.size() == 2 && a.numbers[1] == b.numbers[1]);
  }
  if (is_string(b.name)) {
    // A shorter length cuts blanks off.
    const bool fits = b.numbers.empty() ||
                      (a.name == b.name && !a.numbers.empty() && a.numbers[0] <= b.numbers[0]);
    return fits &&
           (is_string(a.name) || a.name == "uuid" || a.name == "json" || a.name == "jsonb" ||
            from.family == TypeFamily::kInteger || a.name == "numeric");
  }
  return false;
}

// A value as SQL, written as the sink would store it.
std::string literal(db::sqlite::Connection& connection, const Column& column,
                    const std::string& text) {
  db::sqlite::Statement quote(connection, "SELECT quote(?1)", "quote a default");
  BoundColumn bound;
  bound.family = column.family;
  bound.column = &column;
  bound.label = "column " + column.name;
  bind_value(quote, 1, bound, Value::text(text));
  db::sqlite::Rows rows = quote.rows();
  rows.next();
  return std::string(rows.text(0));
}

bool is_used_by_view(db::sqlite::Connection& connection) {
  return connection.query_integer(
             "SELECT EXISTS (SELECT 1 FROM main.sqlite_schema WHERE type = 'view')") != 0;
}

class Planner {
 public:
  Planner(db::sqlite::Connection& connection, const SinkConfig& now, const TableRecord& before)
      : connection_(connection),
        now_(now),
        before_(before),
        present_(read_catalog(connection, before.target.table)),
        table_(quote_identifier(before.target.table)) {}

  AlterationPlan plan() {
    TableAlteration todo = compare(before_, now_);
    if (!present_ || present_->type != "table") {
      obstacle(fmt::format("table {} is not there", before_.target.table));
      return std::move(plan_);
    }
    todo.forget_done(
        now_, [&](const std::string& column) { return find(column) != nullptr; }, fold_case);
    check_present(todo);
    if (todo.table_renamed) {
      rename_table();
    }
    check_values(todo);
    if (needs_rebuild(todo)) {
      rebuild(todo);
    } else {
      alter(todo);
    }
    return std::move(plan_);
  }

 private:
  void add(std::string statement) { plan_.statements.push_back(std::move(statement)); }

  void obstacle(std::string why) {
    if (plan_.obstacle.empty()) {
      plan_.obstacle = std::move(why);
    }
  }

  const CatalogColumn* find(const std::string& name) const {
    const auto found = std::find_if(
        present_->columns.begin(), present_->columns.end(),
        [&](const CatalogColumn& column) { return fold_case(column.name) == fold_case(name); });
    return found == present_->columns.end() ? nullptr : &*found;
  }

  void rename_table() {
    const std::string& to = now_.output.name.table;
    if (fold_case(to) == fold_case(before_.target.table)) {
      return;  // one name to SQLite
    }
    if (read_catalog(connection_, to)) {
      obstacle(fmt::format("a table {} is in the way", to));
    }
    add(fmt::format("ALTER TABLE {} RENAME TO {}", table_, quote_identifier(to)));
    table_ = quote_identifier(to);
  }

  void check_values(const TableAlteration& todo) {
    for (const TableAlteration::Retyped& retype : todo.retyped) {
      const Column& column = now_.output.columns[retype.column];
      if (!prints_alike(retype.from, column)) {
        obstacle(
            fmt::format("what the source made of the values in column {} is not in its log; "
                        "bring them to its form",
                        column.name));
      }
    }
    for (const std::size_t added : todo.added) {
      const Column& column = now_.output.columns[added];
      if (column.fill.kind == ColumnFill::Kind::kUnknown && !is_empty()) {
        obstacle(
            fmt::format("the values that the source gave column {} in the rows that were "
                        "there already are not in its log; copy them after the statement",
                        column.name));
      }
    }
  }

  bool is_empty() const {
    return connection_.query_integer("SELECT NOT EXISTS (SELECT 1 FROM main." +
                                     quote_identifier(before_.target.table) + ")") != 0;
  }

  // Somebody was here before us. What an unknown fill was, only they know.
  void check_present(const TableAlteration& todo) {
    for (const std::size_t place : todo.present) {
      const Column& column = now_.output.columns[place];
      if (column.fill.kind != ColumnFill::Kind::kUnknown &&
          connection_.query_integer(
              fmt::format("SELECT EXISTS (SELECT 1 FROM main.{} WHERE {} IS NOT {})",
                          quote_identifier(before_.target.table), quote_identifier(column.name),
                          fill(column))) != 0) {
        obstacle(
            fmt::format("column {} is there already, and its rows hold something else than the "
                        "source gave them",
                        column.name));
      }
    }
  }

  bool needs_rebuild(const TableAlteration& todo) const {
    return todo.key_changed ||
           std::any_of(todo.retyped.begin(), todo.retyped.end(), [&](const auto& retype) {
             const Column& column = now_.output.columns[retype.column];
             const CatalogColumn* present = find(name_before(todo, retype.column));
             return present != nullptr &&
                    !can_hold(storage_of(present->declared_type, present_->strict), column.family);
           });
  }

  std::string name_before(const TableAlteration& todo, std::size_t column) const {
    const auto renamed = std::find_if(todo.renamed.begin(), todo.renamed.end(),
                                      [&](const auto& entry) { return entry.column == column; });
    return renamed == todo.renamed.end() ? now_.output.columns[column].name : renamed->from;
  }

  std::string fill(const Column& column) const {
    return column.fill.kind == ColumnFill::Kind::kText
               ? literal(connection_, column, column.fill.text)
               : "NULL";
  }

  void alter(const TableAlteration& todo) {
    for (const std::string& column : todo.dropped) {
      add(fmt::format("ALTER TABLE {} DROP COLUMN {}", table_, quote_identifier(column)));
    }
    for (const auto& [from, to] : todo.rename_steps(now_, fold_case)) {
      add(fmt::format("ALTER TABLE {} RENAME COLUMN {} TO {}", table_, quote_identifier(from),
                      quote_identifier(to)));
    }
    for (const std::size_t added : todo.added) {
      const Column& column = now_.output.columns[added];
      const std::string name = quote_identifier(column.name);
      const std::string_view type = declared_type(column.family);
      // The default is for the rows that are there; every later row brings its own value.
      const bool filled = column.fill.kind == ColumnFill::Kind::kText;
      // SQLite turns the default of such a column into an integer where it can, although a value
      // that is written there stays what it is. (Triggers of the sink are worth more than that.)
      const bool writes = filled && type == "ANY" && !present_->has_triggers;
      add(fmt::format("ALTER TABLE {} ADD COLUMN {} {}{}", table_, name, type,
                      filled && !writes ? " DEFAULT " + fill(column) : std::string{}));
      if (writes) {
        add(fmt::format("UPDATE {} SET {} = {}", table_, name, fill(column)));
      }
    }
  }

  // The steps that https://www.sqlite.org/lang_altertable.html describes for what ALTER TABLE
  // cannot do.
  void rebuild(const TableAlteration& todo) {
    if (present_->has_triggers || is_used_by_view(connection_)) {
      obstacle("the table must be built anew, and triggers or views of the sink may depend on it");
    }
    check_own_columns(todo);
    const std::vector<std::string> indexes = index_statements();
    if (!indexes.empty() &&
        (todo.table_renamed || !todo.renamed.empty() || !todo.dropped.empty())) {
      obstacle(
          "the table must be built anew, and indexes of the sink name what is renamed or gone");
    }
    TableSchema output = now_.output;
    output.name.table = "headgate_new_" + now_.output.name.table;
    const std::string fresh = quote_identifier(output.name.table);
    std::vector<std::string> columns;
    std::vector<std::string> values;
    for (std::size_t i = 0; i < output.columns.size(); ++i) {
      columns.push_back(quote_identifier(output.columns[i].name));
      values.push_back(value_of(todo, i));
    }
    add(create_table_sql(output));
    add(fmt::format("INSERT INTO {} ({}) SELECT {} FROM {}", fresh, fmt::join(columns, ", "),
                    fmt::join(values, ", "), table_));
    add(fmt::format("DROP TABLE {}", table_));
    add(fmt::format("ALTER TABLE {} RENAME TO {}", fresh, table_));
    plan_.statements.insert(plan_.statements.end(), indexes.begin(), indexes.end());
  }

  void check_own_columns(const TableAlteration& todo) {
    for (const CatalogColumn& column : present_->columns) {
      const auto is = [&](const std::string& name) {
        return fold_case(name) == fold_case(column.name);
      };
      const bool known = std::any_of(now_.output.columns.begin(), now_.output.columns.end(),
                                     [&](const Column& wanted) { return is(wanted.name); }) ||
                         std::any_of(todo.dropped.begin(), todo.dropped.end(), is) ||
                         std::any_of(todo.renamed.begin(), todo.renamed.end(),
                                     [&](const auto& rename) { return is(rename.from); });
      if (!known) {
        obstacle(fmt::format(
            "the table must be built anew, and its column {} is not one of the source's",
            column.name));
      }
    }
  }

  std::string value_of(const TableAlteration& todo, std::size_t place) const {
    const Column& column = now_.output.columns[place];
    if (std::find(todo.added.begin(), todo.added.end(), place) != todo.added.end()) {
      return fill(column);
    }
    const std::string name = quote_identifier(name_before(todo, place));
    const bool retyped = std::any_of(todo.retyped.begin(), todo.retyped.end(),
                                     [&](const auto& retype) { return retype.column == place; });
    return retyped && declared_type(column.family) == "TEXT" ? fmt::format("CAST({} AS TEXT)", name)
                                                             : name;
  }

  // Those that a person made; the key's own comes with the table.
  std::vector<std::string> index_statements() const {
    db::sqlite::Statement query(connection_,
                                "SELECT sql FROM main.sqlite_schema WHERE type = 'index' "
                                "AND tbl_name = ?1 COLLATE NOCASE AND sql IS NOT NULL",
                                "read the indexes of a table");
    query.bind_text(1, before_.target.table);
    db::sqlite::Rows rows = query.rows();
    std::vector<std::string> statements;
    while (rows.next()) {
      statements.emplace_back(rows.text(0));
    }
    return statements;
  }

  db::sqlite::Connection& connection_;
  const SinkConfig& now_;
  const TableRecord& before_;
  std::optional<CatalogTable> present_;
  std::string table_;  // quoted, under its name at this step
  AlterationPlan plan_;
};

}  // namespace

AlterationPlan plan_alteration(db::sqlite::Connection& connection, const SinkConfig& now,
                               const TableRecord& before) {
  return Planner(connection, now, before).plan();
}

AlterationPlan plan_replacement(const SinkConfig& now, const TableRecord& occupant) {
  AlterationPlan plan;
  plan.statements = {fmt::format("DROP TABLE {}", quote_identifier(occupant.target.table)),
                     create_table_sql(now.output)};
  plan.obstacle = "only a person knows whether every row of the new one is still to come";
  return plan;
}

}  // namespace headgate::sink::sqlite
