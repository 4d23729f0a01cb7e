// The SQLite side of row_stream.hpp: values as PostgreSQL would print them.

#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sqlite3.h>

#include "base/error.hpp"
#include "base/hex.hpp"
#include "demo/row_stream.hpp"

namespace headgate::demo {

namespace {

// A float as PostgreSQL prints it: the shortest digits that read back, and an exponent outside of
// 1e-5 < |x| < 10^digits.
template <typename Float>
std::string float_text(Float value, int digits_max) {
  if (std::isnan(value)) {
    return "NaN";
  }
  if (std::isinf(value)) {
    return value < 0 ? "-Infinity" : "Infinity";
  }
  if (value == 0) {
    return std::signbit(value) ? "-0" : "0";
  }
  std::array<char, 64> buffer{};
  const auto [scientific_end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(),
                                                     value, std::chars_format::scientific);
  const std::string scientific(buffer.data(), scientific_end);
  const int exponent = std::atoi(scientific.c_str() + scientific.find('e') + 1);
  if (exponent < -4 || exponent >= digits_max) {
    return scientific;  // already d.ddde±XX
  }
  const auto [end, again] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed);
  return {buffer.data(), end};
}

}  // namespace

std::string float8_text(double value) {
  return float_text(value, 15);
}

namespace {

std::string marked(const char* storage, std::string_view text) {
  return fmt::format("({}) {}", storage, text);
}

std::string text_of(sqlite3_value* value) {
  const void* bytes = sqlite3_value_blob(value);
  const auto size = static_cast<std::size_t>(sqlite3_value_bytes(value));
  return {static_cast<const char*>(bytes), bytes == nullptr ? 0 : size};
}

bool is_integer_type(std::string_view type) {
  return type == "int2" || type == "int4" || type == "int8";
}

std::string integer_text(std::int64_t value, std::string_view type) {
  if (type == "bool" && (value == 0 || value == 1)) {
    return value == 1 ? "t" : "f";
  }
  const bool fits = is_integer_type(type) || type == "oid";
  return fits ? std::to_string(value) : marked("INTEGER", std::to_string(value));
}

// What PostgreSQL would print for `value` in a column of `type`; the value is not NULL.
std::string normalised(sqlite3_value* value, std::string_view type) {
  switch (sqlite3_value_type(value)) {
    case SQLITE_INTEGER:
      return integer_text(sqlite3_value_int64(value), type);
    case SQLITE_FLOAT: {
      const double number = sqlite3_value_double(value);
      if (type == "float4") {
        return float_text(static_cast<float>(number), 6);
      }
      const std::string text = float8_text(number);
      return type == "float8" ? text : marked("REAL", text);
    }
    case SQLITE_BLOB: {
      const std::string hex = to_hex(text_of(value));
      return type == "bytea" ? "\\x" + hex : marked("BLOB", hex);
    }
    default: {
      const std::string text = text_of(value);
      const bool wrong = type == "bool" || type == "bytea" || is_integer_type(type);
      return wrong ? marked("TEXT", text) : text;
    }
  }
}

// SQL function pg_text(value, type).
void pg_text(sqlite3_context* context, int, sqlite3_value** arguments) {
  if (sqlite3_value_type(arguments[0]) == SQLITE_NULL) {
    sqlite3_result_null(context);
    return;
  }
  const std::string text = normalised(arguments[0], text_of(arguments[1]));
  sqlite3_result_text64(context, text.data(), text.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

struct CloseSqlite {
  void operator()(sqlite3* database) const { sqlite3_close_v2(database); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Database = std::unique_ptr<sqlite3, CloseSqlite>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

[[noreturn]] void throw_sqlite(sqlite3* database, std::string_view what) {
  throw Error{ErrorKind::kOperator, fmt::format("{}: {}", what, sqlite3_errmsg(database))};
}

Statement prepare(sqlite3* database, const std::string& sql) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(database, sql.c_str(), -1, &statement, nullptr) != SQLITE_OK) {
    throw_sqlite(database, sql);
  }
  return Statement(statement);
}

class SqliteRowStream final : public RowStream {
 public:
  SqliteRowStream(sqlite3* database, const std::string& sql)
      : database_(database), statement_(prepare(database, sql)) {}

  std::optional<TextRow> next() override {
    const int result = sqlite3_step(statement_.get());
    if (result == SQLITE_DONE) {
      return std::nullopt;
    }
    if (result != SQLITE_ROW) {
      throw_sqlite(database_, "cannot read the SQLite sink");
    }
    TextRow row;
    for (int column = 0; column < sqlite3_column_count(statement_.get()); ++column) {
      if (sqlite3_column_type(statement_.get(), column) == SQLITE_NULL) {
        row.emplace_back();
      } else {
        row.emplace_back(text_of(sqlite3_column_value(statement_.get(), column)));
      }
    }
    return row;
  }

 private:
  sqlite3* database_;
  Statement statement_;
};

class SqliteRowSource final : public RowSource {
 public:
  explicit SqliteRowSource(const std::string& path) {
    sqlite3* database = nullptr;
    const int result = sqlite3_open_v2(path.c_str(), &database, SQLITE_OPEN_READONLY, nullptr);
    database_.reset(database);
    if (result != SQLITE_OK) {
      throw_sqlite(database, path);
    }
    sqlite3_busy_timeout(database, 10'000);
    sqlite3_create_function_v2(database, "pg_text", 2, SQLITE_UTF8 | SQLITE_DETERMINISTIC, nullptr,
                               pg_text, nullptr, nullptr, nullptr);
    if (sqlite3_exec(database, "BEGIN", nullptr, nullptr, nullptr) != SQLITE_OK) {
      throw_sqlite(database, path);
    }
  }

  std::vector<std::string> columns_of(const ComparedTable& table) override {
    const Statement statement =
        prepare(database_.get(), fmt::format("SELECT name FROM pragma_table_info({}) ORDER BY cid",
                                             quote_literal(named(table))));
    std::vector<std::string> names;
    while (sqlite3_step(statement.get()) == SQLITE_ROW) {
      names.push_back(text_of(sqlite3_column_value(statement.get(), 0)));
    }
    return names;
  }

  std::unique_ptr<RowStream> open(const ComparedTable& table) override {
    std::vector<std::string> values;
    std::vector<std::string> order;
    for (const ComparedColumn& column : table.columns) {
      values.push_back(fmt::format("pg_text({}, {})", quote_identifier(column.name),
                                   quote_literal(column.type)));
      if (order.size() < table.ordered_columns()) {
        order.push_back(fmt::format("{} COLLATE BINARY NULLS FIRST", values.size()));
      }
    }
    return std::make_unique<SqliteRowStream>(
        database_.get(), fmt::format("SELECT {} FROM {} ORDER BY {}", fmt::join(values, ", "),
                                     quote_identifier(named(table)), fmt::join(order, ", ")));
  }

 private:
  static std::string named(const ComparedTable& table) {
    return table.schema == "public" ? table.name : table.qualified();
  }

  Database database_;
};

}  // namespace

std::unique_ptr<RowSource> sqlite_rows(const std::string& path) {
  return std::make_unique<SqliteRowSource>(path);
}

}  // namespace headgate::demo
