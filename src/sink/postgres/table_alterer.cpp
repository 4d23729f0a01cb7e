#include "sink/postgres/table_alterer.hpp"

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "sink/postgres/target_table.hpp"

namespace headgate::sink::postgres {
namespace {

struct PresentColumn {
  std::string name;
  std::string type;  // with its modifier
  std::uint32_t type_oid;
};

// The table as the sink's catalog has it now, under the name of its record.
class PresentTable {
 public:
  PresentTable(pq::Connection& connection, const TableName& name)
      : connection_(connection), name_(name) {
    const pq::Result table = connection.exec(
        "SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')",
        {name.schema, name.table}, "look up table " + name.to_string());
    if (table.rows() == 0) {
      return;
    }
    oid_ = table.text(0, 0);
    const pq::Result rows = connection.exec(
        "SELECT attname, format_type(atttypid, atttypmod), atttypid FROM pg_attribute "
        "WHERE attrelid = $1::oid AND attnum > 0 AND NOT attisdropped",
        {oid_}, "read the columns of a table");
    for (int row = 0; row < rows.rows(); ++row) {
      columns_.push_back(
          {rows.text(row, 0), rows.text(row, 1), static_cast<std::uint32_t>(rows.integer(row, 2))});
    }
  }

  bool exists() const { return !oid_.empty(); }

  const PresentColumn* find(const std::string& name) const {
    const auto found = std::find_if(columns_.begin(), columns_.end(),
                                    [&](const auto& column) { return column.name == name; });
    return found == columns_.end() ? nullptr : &*found;
  }

  bool is_empty() const {
    return !connection_
                .exec(fmt::format("SELECT EXISTS (SELECT 1 FROM {})", quoted_table(name_)),
                      "look into a table")
                .boolean(0, 0);
  }

  // Whether some row has something else in `column` than `value`, an SQL expression. By their text,
  // since not every type has an equality.
  bool has_other_values(const std::string& column, const std::string& value) const {
    return connection_
        .exec(fmt::format("SELECT EXISTS (SELECT 1 FROM {} WHERE {}::pg_catalog.text IS DISTINCT "
                          "FROM ({})::pg_catalog.text)",
                          quoted_table(name_), pq::quote_identifier(column), value),
              "look into a column")
        .boolean(0, 0);
  }

  // Empty names where there is none.
  struct PrimaryKey {
    std::string constraint;
    std::set<std::string> columns;
  };
  PrimaryKey primary_key() const {
    const pq::Result rows = connection_.exec(
        "SELECT c.conname, a.attname FROM pg_constraint c JOIN pg_attribute a "
        "ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) "
        "WHERE c.conrelid = $1::oid AND c.contype = 'p'",
        {oid_}, "look up a primary key");
    PrimaryKey key;
    for (int row = 0; row < rows.rows(); ++row) {
      key.constraint = rows.text(row, 0);
      key.columns.insert(rows.text(row, 1));
    }
    return key;
  }

 private:
  pq::Connection& connection_;
  TableName name_;
  std::string oid_;
  std::vector<PresentColumn> columns_;
};

// Whether ALTER COLUMN TYPE without USING does here what it did at the source: the same cast, and
// one whose result depends on nothing but the value.
bool casts_alike(pq::Connection& connection, std::uint32_t from, const std::string& to) {
  const pq::Result known = connection.exec(
      "SELECT to_regtype($2)::oid = $1::oid "
      "    OR EXISTS (SELECT 1 FROM pg_cast c LEFT JOIN pg_proc p ON p.oid = c.castfunc "
      "               WHERE c.castsource = $1::oid AND c.casttarget = to_regtype($2)::oid "
      "               AND c.castcontext IN ('i', 'a') AND coalesce(p.provolatile = 'i', true)) "
      // Anything may be assigned to a string type, by way of its text.
      "    OR EXISTS (SELECT 1 FROM pg_type f JOIN pg_proc p ON p.oid = f.typoutput, pg_type t "
      "               WHERE f.oid = $1::oid AND t.oid = to_regtype($2)::oid "
      "               AND t.typcategory = 'S' AND p.provolatile = 'i')",
      {std::to_string(from), to}, "look up a cast");
  return !known.is_null(0, 0) && known.boolean(0, 0);
}

class Planner {
 public:
  Planner(pq::Connection& connection, const SinkConfig& now, const TableRecord& before)
      : connection_(connection),
        now_(now),
        before_(before),
        present_(connection, before.target),
        table_(quoted_table(before.target)) {}

  AlterationPlan plan() {
    TableAlteration todo = compare(before_, now_);
    if (!present_.exists()) {
      obstacle(fmt::format("table {} is not there", before_.target.to_string()));
      return std::move(plan_);
    }
    todo.forget_done(now_,
                     [&](const std::string& column) { return present_.find(column) != nullptr; });
    for (const std::size_t column : todo.present) {
      check_present(now_.output.columns[column]);
    }
    if (todo.table_renamed) {
      rename_table();
    }
    if (todo.key_changed) {
      drop_key();
    }
    for (const std::string& column : todo.dropped) {
      add("ALTER TABLE {} DROP COLUMN {}", table_, pq::quote_identifier(column));
    }
    for (const auto& [from, to] : todo.rename_steps(now_)) {
      add("ALTER TABLE {} RENAME COLUMN {} TO {}", table_, pq::quote_identifier(from),
          pq::quote_identifier(to));
    }
    for (const TableAlteration::Retyped& retype : todo.retyped) {
      alter_type(todo, retype);
    }
    for (const std::size_t column : todo.added) {
      add_column(now_.output.columns[column]);
    }
    if (todo.key_changed && !now_.output.key.empty()) {
      std::vector<std::string> key;
      for (const std::string& name : now_.primary_key()) {
        key.push_back(pq::quote_identifier(name));
      }
      add("ALTER TABLE {} ADD PRIMARY KEY ({})", table_, fmt::join(key, ", "));
    }
    return std::move(plan_);
  }

 private:
  template <typename... Parts>
  void add(fmt::format_string<Parts...> format, Parts&&... parts) {
    plan_.statements.push_back(fmt::format(format, std::forward<Parts>(parts)...));
  }

  void obstacle(std::string why) {
    if (plan_.obstacle.empty()) {
      plan_.obstacle = std::move(why);
    }
  }

  void rename_table() {
    const TableName& to = now_.output.name;
    if (PresentTable(connection_, to).exists()) {
      obstacle(fmt::format("a table {} is in the way", to.to_string()));
    }
    if (before_.target.schema != to.schema) {
      const pq::Result schema = connection_.exec("SELECT to_regnamespace(quote_ident($1)) IS NULL",
                                                 {to.schema}, "look up a schema");
      if (schema.boolean(0, 0)) {
        add("CREATE SCHEMA {}", pq::quote_identifier(to.schema));
      }
      add("ALTER TABLE {} SET SCHEMA {}", table_, pq::quote_identifier(to.schema));
      table_ = quoted_table({to.schema, before_.target.table});
    }
    if (before_.target.table != to.table) {
      add("ALTER TABLE {} RENAME TO {}", table_, pq::quote_identifier(to.table));
    }
    table_ = quoted_table(to);
  }

  void drop_key() {
    std::set<std::string> ours;
    for (const std::size_t column : before_.source.key) {
      ours.insert(before_.source.columns[column].name);
    }
    if (const auto key = present_.primary_key(); !key.constraint.empty()) {
      add("ALTER TABLE {} DROP CONSTRAINT {}", table_, pq::quote_identifier(key.constraint));
      if (key.columns != ours) {
        obstacle("its primary key is not the one that the source had, so somebody has made it");
      }
    }
    for (const std::size_t column : before_.source.key) {
      const std::string& name = before_.source.columns[column].name;
      if (present_.find(name) != nullptr) {
        add("ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL", table_, pq::quote_identifier(name));
      }
    }
  }

  void alter_type(const TableAlteration& todo, const TableAlteration::Retyped& retype) {
    const Column& column = now_.output.columns[retype.column];
    const auto renamed = std::find_if(
        todo.renamed.begin(), todo.renamed.end(),
        [&](const TableAlteration::Renamed& entry) { return entry.column == retype.column; });
    const PresentColumn* present =
        present_.find(renamed == todo.renamed.end() ? column.name : renamed->from);
    const std::string type = sink_type(connection_, column);
    if (present == nullptr || (present->type == type && type != "text")) {
      return;  // done already
    }
    const bool as_source = present->type == sink_type(connection_, retype.from);
    add("ALTER TABLE {} ALTER COLUMN {} TYPE {}", table_, pq::quote_identifier(column.name), type);
    const bool stands_in = type == "text" && column.native_type != "text";  // for a user's type
    if (stands_in || !as_source || !casts_alike(connection_, present->type_oid, type)) {
      obstacle(
          fmt::format("what the source made of the values in column {} is not in its log; "
                      "give the statement the same USING clause",
                      column.name));
    }
  }

  // The value that the source gave the rows that were there, as SQL. REQUIRES: it is known.
  std::string fill(const Column& column, const std::string& type) const {
    return column.fill.kind == ColumnFill::Kind::kText
               ? fmt::format("{}::{}", connection_.quote_literal(column.fill.text), type)
               : "NULL";
  }

  // Somebody was here before us. What an unknown fill was, only they know.
  void check_present(const Column& column) {
    if (column.fill.kind != ColumnFill::Kind::kUnknown &&
        present_.has_other_values(column.name, fill(column, sink_type(connection_, column)))) {
      obstacle(
          fmt::format("column {} is there already, and its rows hold something else than "
                      "the source gave them",
                      column.name));
    }
  }

  void add_column(const Column& column) {
    const std::string name = pq::quote_identifier(column.name);
    const std::string type = sink_type(connection_, column);
    switch (column.fill.kind) {
      case ColumnFill::Kind::kNull:
        add("ALTER TABLE {} ADD COLUMN {} {}", table_, name, type);
        return;
      case ColumnFill::Kind::kText:
        // The default is for the rows that are there; every later row brings its own value.
        add("ALTER TABLE {} ADD COLUMN {} {} DEFAULT {}", table_, name, type, fill(column, type));
        add("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT", table_, name);
        return;
      case ColumnFill::Kind::kUnknown:
        add("ALTER TABLE {} ADD COLUMN {} {}", table_, name, type);
        if (!present_.is_empty()) {
          obstacle(
              fmt::format("the values that the source gave column {} in the rows that were "
                          "there already are not in its log; copy them after the statement",
                          column.name));
        }
        return;
    }
  }

  pq::Connection& connection_;
  const SinkConfig& now_;
  const TableRecord& before_;
  PresentTable present_;
  std::string table_;  // quoted, under its name at this step
  AlterationPlan plan_;
};

}  // namespace

AlterationPlan plan_alteration(pq::Connection& connection, const SinkConfig& now,
                               const TableRecord& before) {
  return Planner(connection, now, before).plan();
}

AlterationPlan plan_replacement(pq::Connection& connection, const SinkConfig& now,
                                const TableRecord& occupant) {
  // Of two tables, equal ids of columns mean nothing.
  TableRecord by_name = occupant;
  for (Column& column : by_name.source.columns) {
    column.source_id = 0;
  }
  SinkConfig wanted = now;
  for (Column& column : wanted.output.columns) {
    column.source_id = 0;
    column.fill = {};  // no rows are left
  }
  AlterationPlan plan = plan_alteration(connection, wanted, by_name);
  plan.statements.insert(plan.statements.begin(), "DELETE FROM " + quoted_table(occupant.target));
  plan.obstacle = "only a person knows whether every row of the new one is still to come";
  return plan;
}

}  // namespace headgate::sink::postgres
