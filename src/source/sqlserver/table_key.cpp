#include "source/sqlserver/table_key.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate::source::sqlserver {
namespace {

constexpr std::array<std::string_view, 22> kComparable{
    "bit",       "tinyint",         "smallint", "int",        "bigint",
    "decimal",   "numeric",         "money",    "smallmoney", "date",
    "time",      "smalldatetime",   "datetime", "datetime2",  "datetimeoffset",
    "char",      "varchar",         "nchar",    "nvarchar",   "binary",
    "varbinary", "uniqueidentifier"};

bool is_binary(const DeclaredType& type) {
  return type.name == "binary" || type.name == "varbinary" || type.name == "timestamp";
}

// What value_text() prints of binary values, as T-SQL writes them.
std::string binary_literal(const std::string& value) {
  if (!value.starts_with("\\x") ||
      value.find_first_not_of("0123456789abcdefABCDEF", 2) != std::string::npos) {
    throw Error{ErrorKind::kOperator, "source: a stored key is not what its column's type prints"};
  }
  return "0x" + value.substr(2);
}

}  // namespace

TableKey::TableKey(const CaptureInstance& instance,
                   const std::map<std::uint32_t, ColumnFacts>& facts) {
  for (const std::size_t place : instance.key) {
    const CapturedColumn& column = instance.columns[place];
    const auto known = facts.find(column.column_id);
    const ColumnFacts of_column = known == facts.end() ? ColumnFacts{} : known->second;
    parts_.push_back({quoted(column.name), column.type, of_column.collation});
    comparable_ = comparable_ && !column.type.clr && !of_column.nullable &&
                  (is_binary(column.type) || std::find(kComparable.begin(), kComparable.end(),
                                                       column.type.name) != kComparable.end());
  }
}

std::string TableKey::columns() const {
  std::string names;
  for (const Part& part : parts_) {
    names += (names.empty() ? "" : ", ") + part.name;
  }
  return names;
}

std::string TableKey::literal_of(std::size_t part, const std::string& value) const {
  const auto& [name, type, collation] = parts_[part];
  if (is_binary(type)) {
    return binary_literal(value);
  }
  std::string text = value;
  if (type.name == "bit") {
    text = value == "t" ? "1" : "0";
  }
  std::string literal_text = literal(text);
  if ((type.name == "char" || type.name == "varchar") && !collation.empty()) {
    // Its code page: the database's may lack the character.
    literal_text += " COLLATE " + collation;
  }
  // 121: as ODBC writes dates, whatever the session's language.
  const bool date = type.name.find("date") != std::string::npos || type.name == "time";
  return fmt::format("CONVERT({}, {}{})", describe(type), literal_text, date ? ", 121" : "");
}

std::string TableKey::name_of(const Part& part, Where where) const {
  return where == Where::kTable || part.collation.empty()
             ? part.name
             : part.name + " COLLATE " + part.collation;
}

// a > x OR (a = x AND (b > y OR (b = y AND c >= z))), with `operation` > and `last` >=.
std::string TableKey::compare(const KeyText& key, const char* operation, const char* last,
                              Where where) const {
  std::string condition;
  for (std::size_t i = parts_.size(); i-- > 0;) {
    const std::string name = name_of(parts_[i], where);
    const std::string value = literal_of(i, key.at(i));
    condition = condition.empty() ? fmt::format("{} {} {}", name, last, value)
                                  : fmt::format("{0} {1} {2} OR ({0} = {2} AND ({3}))", name,
                                                operation, value, condition);
  }
  return parts_.size() == 1 ? condition
                            : fmt::format("{} {}= {} AND ({})", name_of(parts_.front(), where),
                                          operation, literal_of(0, key.front()), condition);
}

std::string TableKey::is(const KeyText& key, Where where) const {
  std::string condition;
  for (std::size_t i = 0; i < parts_.size(); ++i) {
    condition += fmt::format("{}{} = {}", i == 0 ? "" : " AND ", name_of(parts_[i], where),
                             literal_of(i, key.at(i)));
  }
  return condition;
}

std::string TableKey::condition(const KeyRange& range, Where where) const {
  std::string condition;
  for (const KeyText& key : range.only) {
    condition += fmt::format("{}({})", condition.empty() ? "" : " OR ", is(key, where));
  }
  if (!condition.empty()) {
    return "(" + condition + ")";
  }
  if (!range.after.empty()) {
    condition = "(" + compare(range.after, ">", ">", where) + ")";
  }
  if (!range.up_to.empty()) {
    condition += fmt::format("{}({})", condition.empty() ? "" : " AND ",
                             compare(range.up_to, "<", "<=", where));
  }
  return condition;
}

}  // namespace headgate::source::sqlserver
