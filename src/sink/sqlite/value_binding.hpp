// Values of the source as parameters of a SQLite statement.

#pragma once

#include <string>

#include "core/schema.hpp"
#include "core/value.hpp"
#include "db/sqlite/statement.hpp"

namespace headgate::sink::sqlite {

// One column as its values are bound: what it holds at the source, what the sink's column does to
// it, and its name for errors ("table orders, column total").
struct BoundColumn {
  TypeFamily family = TypeFamily::kOther;
  bool negative_zero_lost = false;
  const Column* column = nullptr;  // of the table's SinkConfig, which outlives this
  std::string label;
};

// Binds `value` so that the sink keeps its meaning. Bytes that need no conversion are not copied:
// the row must stay until the statement has run.
//
// Throws Error{kRow} that names the column, never the value, when it is no value of its type or was
// not sent.
void bind_value(db::sqlite::Statement& statement, int parameter, const BoundColumn& column,
                const Value& value);

}  // namespace headgate::sink::sqlite
