#include "source/sqlserver/type_map.hpp"

#include <array>
#include <string_view>

#include <fmt/format.h>

namespace headgate::source::sqlserver {
namespace {

using odbc::FetchAs;

// OIDs of PostgreSQL's built-in types (catalog/pg_type.dat), which never change.
constexpr std::uint32_t kBool = 16;
constexpr std::uint32_t kBytea = 17;
constexpr std::uint32_t kInt8 = 20;
constexpr std::uint32_t kInt2 = 21;
constexpr std::uint32_t kInt4 = 23;
constexpr std::uint32_t kText = 25;
constexpr std::uint32_t kFloat4 = 700;
constexpr std::uint32_t kFloat8 = 701;
constexpr std::uint32_t kVarchar = 1043;
constexpr std::uint32_t kDate = 1082;
constexpr std::uint32_t kTime = 1083;
constexpr std::uint32_t kTimestamp = 1114;
constexpr std::uint32_t kNumeric = 1700;
constexpr std::uint32_t kUuid = 2950;

// Digits of a second that PostgreSQL keeps.
constexpr int kPostgresDigits = 6;

TypeMapping mapping(TypeFamily family, std::string postgres_type, std::uint32_t oid,
                    FetchAs fetch) {
  TypeMapping result;
  result.family = family;
  result.postgres_type = std::move(postgres_type);
  result.postgres_oid = oid;
  result.fetch = fetch;
  return result;
}

TypeMapping text_of(TypeFamily family, FetchAs fetch) {
  return mapping(family, "text", kText, fetch);
}

TypeMapping timestamp(int digits) {
  return mapping(TypeFamily::kTimestamp, fmt::format("timestamp({}) without time zone", digits),
                 kTimestamp, FetchAs::kPrinted);
}

TypeMapping numeric(int precision, int scale) {
  return mapping(TypeFamily::kNumeric, fmt::format("numeric({},{})", precision, scale), kNumeric,
                 FetchAs::kPrinted);
}

// The declared length counts bytes (varchar) or UTF-16 units (nvarchar): never fewer than
// characters.
//
// varchar is converted by the server: for a byte that the column's code page lacks, the driver
// would put a question mark (seen with FreeTDS 1.3.17).
TypeMapping characters(const DeclaredType& type, bool wide) {
  if (type.max_length < 0) {
    TypeMapping unlimited = text_of(TypeFamily::kText, FetchAs::kText);
    unlimited.may_be_unrecorded = true;
    unlimited.expression = wide ? "{}" : "CONVERT(nvarchar(max), {})";
    return unlimited;
  }
  const int length = wide ? type.max_length / 2 : type.max_length;
  TypeMapping limited = mapping(TypeFamily::kText, fmt::format("character varying({})", length),
                                kVarchar, FetchAs::kText);
  constexpr int kNvarcharMax = 4000;
  if (!wide) {
    limited.expression = length <= kNvarcharMax ? fmt::format("CONVERT(nvarchar({}), {{}})", length)
                                                : std::string("CONVERT(nvarchar(max), {})");
  }
  return limited;
}

TypeMapping binary(bool unlimited) {
  TypeMapping bytes = mapping(TypeFamily::kBytes, "bytea", kBytea, FetchAs::kBytes);
  bytes.may_be_unrecorded = unlimited;
  return bytes;
}

TypeMapping converted(const char* expression) {
  TypeMapping text = text_of(TypeFamily::kOther, FetchAs::kText);
  text.expression = expression;
  return text;
}

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  for (const std::string_view candidate : names) {
    if (name == candidate) {
      return true;
    }
  }
  return false;
}

}  // namespace

TypeMapping map_type(const DeclaredType& type) {
  const std::string& name = type.name;
  if (name == "bit") {
    return mapping(TypeFamily::kBoolean, "boolean", kBool, FetchAs::kInteger);
  }
  if (is_one_of(name, {"tinyint", "smallint"})) {
    return mapping(TypeFamily::kInteger, "smallint", kInt2, FetchAs::kInteger);
  }
  if (name == "int") {
    return mapping(TypeFamily::kInteger, "integer", kInt4, FetchAs::kInteger);
  }
  if (name == "bigint") {
    return mapping(TypeFamily::kInteger, "bigint", kInt8, FetchAs::kInteger);
  }
  if (name == "real") {
    return mapping(TypeFamily::kFloat, "real", kFloat4, FetchAs::kFloat);
  }
  if (name == "float") {
    // float(1) to float(24) are stored, and named by sys.types, as real.
    return mapping(TypeFamily::kFloat, "double precision", kFloat8, FetchAs::kFloat);
  }
  if (is_one_of(name, {"decimal", "numeric"})) {
    return numeric(type.precision, type.scale);
  }
  if (name == "money") {
    return numeric(19, 4);
  }
  if (name == "smallmoney") {
    return numeric(10, 4);
  }
  if (name == "date") {
    return mapping(TypeFamily::kDate, "date", kDate, FetchAs::kPrinted);
  }
  if (name == "time") {
    return type.scale > kPostgresDigits
               ? text_of(TypeFamily::kTime, FetchAs::kPrinted)
               : mapping(TypeFamily::kTime, fmt::format("time({}) without time zone", type.scale),
                         kTime, FetchAs::kPrinted);
  }
  if (name == "smalldatetime") {
    return timestamp(0);
  }
  if (name == "datetime") {
    return timestamp(3);
  }
  if (name == "datetime2") {
    return type.scale > kPostgresDigits ? text_of(TypeFamily::kTimestamp, FetchAs::kPrinted)
                                        : timestamp(type.scale);
  }
  if (name == "datetimeoffset") {
    return text_of(TypeFamily::kOther, FetchAs::kPrinted);
  }
  if (is_one_of(name, {"char", "varchar"})) {
    return characters(type, false);
  }
  if (is_one_of(name, {"nchar", "nvarchar", "sysname"})) {
    return characters(type, true);
  }
  if (is_one_of(name, {"text", "ntext"})) {
    TypeMapping text = text_of(TypeFamily::kText, FetchAs::kText);
    text.may_be_unrecorded = true;
    text.no_old_value = true;
    return text;
  }
  if (is_one_of(name, {"binary", "varbinary", "timestamp", "rowversion"})) {
    return binary(type.max_length < 0);
  }
  if (name == "image") {
    TypeMapping bytes = binary(true);
    bytes.no_old_value = true;
    return bytes;
  }
  if (name == "uniqueidentifier") {
    return mapping(TypeFamily::kUuid, "uuid", kUuid, FetchAs::kPrinted);
  }
  if (name == "xml") {
    TypeMapping text = text_of(TypeFamily::kOther, FetchAs::kText);
    text.may_be_unrecorded = true;
    return text;
  }
  if (type.clr) {
    return binary(true);  // in its own serialised form
  }
  // sql_variant: as text, a fixed-length value of it would never end (FreeTDS 1.3.17). json, vector
  // and what is newer than this: the driver does not know their tokens.
  return converted("CONVERT(nvarchar(max), {})");
}

std::string describe(const DeclaredType& type) {
  const std::string& name = type.name;
  const bool wide = is_one_of(name, {"nchar", "nvarchar"});
  if (wide || is_one_of(name, {"char", "varchar", "binary", "varbinary"})) {
    return type.max_length < 0 ? name + "(max)"
                               : fmt::format("{}({})", name, type.max_length / (wide ? 2 : 1));
  }
  if (is_one_of(name, {"decimal", "numeric"})) {
    return fmt::format("{}({},{})", name, type.precision, type.scale);
  }
  if (is_one_of(name, {"time", "datetime2", "datetimeoffset"})) {
    return fmt::format("{}({})", name, type.scale);
  }
  return name;
}

std::string normalised(const TypeMapping& mapping, std::string printed) {
  if (mapping.family == TypeFamily::kBoolean) {
    return printed == "0" ? "f" : "t";
  }
  if (mapping.family == TypeFamily::kNumeric) {
    const std::size_t sign = printed.starts_with('-') ? 1 : 0;
    if (printed.size() > sign && printed[sign] == '.') {
      printed.insert(sign, 1, '0');
    }
  }
  return printed;
}

}  // namespace headgate::source::sqlserver
