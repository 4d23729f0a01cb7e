// Values of the source into SQLite and out again: in the column that we would create, each keeps
// its meaning or is refused.
//
// The first byte chooses the type, the second the kind; the rest is the value.

#include <array>
#include <cmath>
#include <cstring>
#include <map>

#include <fmt/format.h>

#include "base/error.hpp"
#include "base/hex.hpp"
#include "core/value_text.hpp"
#include "fuzz_target.hpp"
#include "sink/sqlite/type_map.hpp"
#include "sink/sqlite/value_binding.hpp"

namespace headgate::fuzz {
namespace {

using db::sqlite::Connection;
using db::sqlite::Statement;

struct Type {
  std::uint32_t oid;
  TypeFamily family;
};

constexpr std::array<Type, 18> kTypes = {{
    {16, TypeFamily::kBoolean},
    {20, TypeFamily::kInteger},
    {21, TypeFamily::kInteger},
    {23, TypeFamily::kInteger},
    {700, TypeFamily::kFloat},
    {701, TypeFamily::kFloat},
    {1700, TypeFamily::kNumeric},
    {25, TypeFamily::kText},
    {1043, TypeFamily::kText},
    {17, TypeFamily::kBytes},
    {1082, TypeFamily::kDate},
    {1083, TypeFamily::kTime},
    {1114, TypeFamily::kTimestamp},
    {1184, TypeFamily::kTimestampTz},
    {2950, TypeFamily::kUuid},
    {114, TypeFamily::kJson},
    {3802, TypeFamily::kJson},
    {26, TypeFamily::kOther},
}};

struct Stored {
  std::string type;
  std::string bytes;  // of text and BLOB
  std::int64_t integer = 0;
  double real = 0;
};

// One table per declared type, emptied after each value.
class Table {
 public:
  explicit Table(std::string_view declared)
      : connection_(":memory:"),
        insert_((create(declared), connection_), "INSERT INTO t VALUES (?1)", "store"),
        select_(connection_, "SELECT typeof(c), c FROM t", "read"),
        clear_(connection_, "DELETE FROM t", "clear") {}

  Stored store(const sink::sqlite::BoundColumn& column, const Value& value) {
    sink::sqlite::bind_value(insert_, 1, column, value);
    insert_.run();
    Stored stored;
    {
      auto rows = select_.rows();
      require(rows.next(), "what was inserted is there");
      stored.type = rows.text(0);
      if (stored.type == "integer") {
        stored.integer = rows.integer(1);
      } else if (stored.type == "real") {
        stored.real = rows.real(1);
      } else {
        stored.bytes = rows.text(1);
      }
    }
    clear_.run();
    return stored;
  }

 private:
  void create(std::string_view declared) {
    connection_.execute(fmt::format("CREATE TABLE t (c {}) STRICT", declared));
  }

  Connection connection_;
  Statement insert_;
  Statement select_;
  Statement clear_;
};

Table& table_of(TypeFamily family) {
  static std::map<std::string_view, Table> tables;
  const std::string_view declared = sink::sqlite::declared_type(family);
  return tables.try_emplace(declared, declared).first->second;
}

void check_integer(const Stored& stored, const std::string& text) {
  require(stored.type == "integer", "an integer is stored as one");
  char* end = nullptr;
  require(std::strtoll(text.c_str(), &end, 10) == stored.integer && *end == '\0',
          "an integer keeps its value");
}

void check_float(const Stored& stored, const std::string& text) {
  const double number = std::strtod(text.c_str(), nullptr);
  if (std::isfinite(number) && !(number == 0 && std::signbit(number))) {
    require(stored.type == "real" && stored.real == number, "a float keeps its value");
    return;
  }
  require(stored.type == "text", "what SQLite's numbers cannot hold is a text");
  const double kept = std::strtod(stored.bytes.c_str(), nullptr);
  require(std::isnan(number) ? std::isnan(kept)
                             : kept == number && std::signbit(kept) == std::signbit(number),
          "a special float keeps its value");
}

}  // namespace

HEADGATE_FUZZ_TARGET(sqlite_value) {
  InputReader fields(input);
  const Type type = kTypes[fields.byte() % kTypes.size()];
  const bool binary = fields.byte() % 2 == 1;
  const ExactCopy bytes(fields.rest());
  const Value value = binary ? Value::binary(bytes.view()) : Value::text(bytes.view());
  Column column;
  column.name = "c";
  column.type_oid = type.oid;
  column.family = type.family;
  column.native_type = "its type";

  Stored stored;
  try {
    stored = table_of(type.family).store({type.family, false, &column, "table t, column c"}, value);
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kRow, "a value that is none of its type is the row's fault");
    require(error.describe().find(kSecret) == std::string::npos, "an error never holds a value");
    return;
  }
  const std::string text = value_text(column, value);
  switch (type.family) {
    case TypeFamily::kBoolean:
      require(stored.type == "integer" &&
                  stored.integer == (text == "t" || text == "1" || text == "true" ? 1 : 0),
              "a boolean is 0 or 1");
      break;
    case TypeFamily::kInteger:
      check_integer(stored, text);
      break;
    case TypeFamily::kFloat:
      check_float(stored, text);
      break;
    case TypeFamily::kBytes:
      require(stored.type == "blob" &&
                  stored.bytes == from_hex(std::string_view(text).substr(2)).value_or("?"),
              "bytes stay as they are");
      break;
    default:
      require(stored.type == "text" && stored.bytes == text, "a text stays as it is");
  }
}

}  // namespace headgate::fuzz
