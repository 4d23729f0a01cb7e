// One value, and the order of values.

#pragma once

#include <compare>
#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "support/sqlserver_double/decimal.hpp"
#include "support/sqlserver_double/moment.hpp"
#include "support/sqlserver_double/sql_type.hpp"

namespace headgate::test::sqlserver {

struct TypedValue;

struct Null {
  bool operator==(const Null&) const = default;
};

// What a value is follows from the kind of its type, which stands with the column or expression:
// NULL; bit to bigint; real and float; decimal to money in units of 10^-scale; characters as
// UTF-16; binaries, uniqueidentifier and CLR types as bytes; dates and times; a sql_variant, which
// brings its own type.
using Value = std::variant<Null, std::int64_t, double, Int128, std::u16string, std::string, Moment,
                           std::shared_ptr<const TypedValue>>;
using Row = std::vector<Value>;
using RowPtr = std::shared_ptr<const Row>;

struct TypedValue {
  SqlType type;
  Value value;
};

inline bool is_null(const Value& value) {
  return std::holds_alternative<Null>(value);
}
inline std::int64_t integer_of(const Value& value) {
  return std::get<std::int64_t>(value);
}
inline const std::u16string& text_of(const Value& value) {
  return std::get<std::u16string>(value);
}
inline const std::string& bytes_of(const Value& value) {
  return std::get<std::string>(value);
}

// Text from UTF-8.
Value text_value(std::string_view utf8);
// The UTF-8 of a text; empty for NULL.
std::string utf8_of(const Value& text);

// The order of two values of one type, neither NULL. Text compares as its type says;
// uniqueidentifiers by their last group first.
std::strong_ordering order(const Value& left, const Value& right, const SqlType& type);

// NULL comes first, as in ORDER BY and in an index.
std::strong_ordering order_nulls_first(const Value& left, const Value& right, const SqlType& type);

// Equal for equal values of one type, as order() has them; for hash tables.
std::string equality_key(const Value& value, const SqlType& type);

// Whether storing `after` over `before` changes any byte, which is what a log sees: unlike order(),
// case counts.
bool identical(const Value& before, const Value& after);

}  // namespace headgate::test::sqlserver
