#include "demo/sqlserver/sqlserver_rows.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.hpp"
#include "base/hex.hpp"
#include "db/odbc/statement.hpp"

namespace headgate::demo::sqlserver {

namespace {

// {} is the column. Where the driver could print a value in its own way, the server does.
struct ComparedType {
  std::string_view name;      // SQL Server's
  std::string_view postgres;  // what stands for it in ComparedColumn
  const char* expression;
};

constexpr std::array<ComparedType, 10> kTypes{{
    {"bit", "bool", "{}"},
    {"int", "int4", "{}"},
    {"bigint", "int8", "{}"},
    {"float", "float8", "{}"},
    {"decimal", "numeric", "CONVERT(varchar(45), {})"},
    {"date", "date", "CONVERT(varchar(10), {}, 23)"},
    {"datetime2", "timestamp", "CONVERT(varchar(27), {}, 121)"},
    {"nvarchar", "text", "{}"},
    {"varchar", "varchar", "{}"},
    {"varbinary", "bytea", "{}"},
}};

std::string quoted(const std::string& name) {
  std::string text = "[";
  for (const char c : name) {
    text += c;
    text += c == ']' ? "]" : "";
  }
  return text + "]";
}

std::string qualified(const ComparedTable& table) {
  return quoted(table.schema) + "." + quoted(table.name);
}

std::string expression_of(const ComparedColumn& column) {
  const auto* type = std::find_if(kTypes.begin(), kTypes.end(), [&](const ComparedType& each) {
    return each.postgres == column.type;
  });
  return fmt::format(fmt::runtime(type->expression), quoted(column.name));
}

std::string text_of(odbc::Statement& row, std::size_t column, const std::string& type) {
  if (type == "bool") {
    return row.integer(column) == 0 ? "f" : "t";
  }
  if (type == "int4" || type == "int8") {
    return std::to_string(row.integer(column));
  }
  if (type == "float8") {
    return float8_text(row.real(column));
  }
  return type == "bytea" ? "\\x" + to_hex(row.bytes(column)) : row.text(column);
}

class SortedRows final : public RowStream {
 public:
  explicit SortedRows(TextRows rows) : rows_(std::move(rows)) {}

  std::optional<TextRow> next() override {
    if (next_ == rows_.size()) {
      return std::nullopt;
    }
    return std::move(rows_[next_++]);
  }

 private:
  TextRows rows_;
  std::size_t next_ = 0;
};

class SqlServerRowSource final : public RowSource {
 public:
  explicit SqlServerRowSource(odbc::Connection& session) : session_(session) {
    session_.execute("SET TRANSACTION ISOLATION LEVEL SNAPSHOT; BEGIN TRAN", "read the source");
  }

  std::vector<std::string> columns_of(const ComparedTable& table) override {
    std::vector<std::string> names;
    for (const ComparedColumn& column : table.columns) {
      names.push_back(column.name);
    }
    return names;
  }

  std::unique_ptr<RowStream> open(const ComparedTable& table) override {
    std::vector<std::string> expressions;
    for (const ComparedColumn& column : table.columns) {
      expressions.push_back(expression_of(column));
    }
    odbc::Statement statement(session_, "read table " + table.qualified());
    statement.execute(
        fmt::format("SELECT {} FROM {}", fmt::join(expressions, ", "), qualified(table)));
    TextRows rows;
    while (statement.next()) {
      TextRow& row = rows.emplace_back();
      for (std::size_t i = 0; i < table.columns.size(); ++i) {
        row.push_back(statement.is_null(i) ? std::nullopt
                                           : std::optional<std::string>(
                                                 text_of(statement, i, table.columns[i].type)));
      }
    }
    const auto keys = static_cast<std::ptrdiff_t>(table.ordered_columns());
    std::sort(rows.begin(), rows.end(), [keys](const TextRow& a, const TextRow& b) {
      return std::lexicographical_compare(a.begin(), a.begin() + keys, b.begin(), b.begin() + keys);
    });
    return std::make_unique<SortedRows>(std::move(rows));
  }

 private:
  odbc::Connection& session_;
};

ComparedColumn column_of(const std::string& table, odbc::Statement& row) {
  const std::string type = row.text(1);
  const auto* known = std::find_if(kTypes.begin(), kTypes.end(),
                                   [&](const ComparedType& each) { return each.name == type; });
  if (known == kTypes.end()) {
    throw Error{ErrorKind::kOperator,
                fmt::format("column {} of {} has type {}, which is not compared", row.text(0),
                            table, type)};
  }
  return {row.text(0), std::string(known->postgres)};
}

ComparedTable describe(odbc::Connection& source, const std::string& name) {
  const std::size_t dot = name.find('.');
  ComparedTable table;
  table.schema = name.substr(0, dot);
  table.name = name.substr(dot + 1);
  odbc::Statement statement(source, "read the columns of " + name);
  statement.bind_text(1, qualified(table));
  statement.execute(
      "SELECT c.name, t.name, COALESCE(k.key_ordinal, 0) FROM sys.columns AS c "
      "JOIN sys.types AS t ON t.user_type_id = c.user_type_id "
      "LEFT JOIN (SELECT ic.object_id, ic.column_id, ic.key_ordinal FROM sys.indexes AS i "
      "JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id "
      "WHERE i.is_primary_key = 1) AS k ON k.object_id = c.object_id AND k.column_id = c.column_id "
      "WHERE c.object_id = OBJECT_ID(?) "
      "ORDER BY CASE WHEN k.key_ordinal IS NULL THEN 1 ELSE 0 END, k.key_ordinal, c.column_id");
  while (statement.next()) {
    table.columns.push_back(column_of(name, statement));
    table.key_columns += statement.integer(2) > 0 ? 1U : 0U;
  }
  if (table.columns.empty()) {
    throw Error{ErrorKind::kOperator, "the source has no table " + name};
  }
  return table;
}

}  // namespace

std::vector<ComparedTable> describe_tables(odbc::Connection& source,
                                           const std::vector<std::string>& names) {
  std::vector<ComparedTable> tables;
  for (const std::string& name : names) {
    tables.push_back(describe(source, name));
  }
  return tables;
}

std::unique_ptr<RowSource> sqlserver_rows(odbc::Connection& session) {
  return std::make_unique<SqlServerRowSource>(session);
}

}  // namespace headgate::demo::sqlserver
