#include "support/sqlserver_double/sql_type.hpp"

#include <algorithm>
#include <map>

#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {
namespace {

struct Collation {
  const char* name;
  TextOrder order;
  bool utf8;
};

// The first of those that compare alike is the one that is told.
constexpr Collation kCollations[] = {
    {"SQL_Latin1_General_CP1_CI_AS", TextOrder::kDatabase, false},
    {"Latin1_General_CI_AS", TextOrder::kDatabase, false},
    {"Latin1_General_100_CI_AS_SC_UTF8", TextOrder::kDatabase, true},
    {"Latin1_General_CS_AS", TextOrder::kCaseSensitive, false},
    {"Latin1_General_CI_AI", TextOrder::kAccentInsensitive, false},
    {"Latin1_General_BIN2", TextOrder::kBinary, false},
};

}  // namespace

bool SqlType::is_text() const {
  switch (kind) {
    case TypeKind::kChar:
    case TypeKind::kVarChar:
    case TypeKind::kNChar:
    case TypeKind::kNVarChar:
    case TypeKind::kText:
    case TypeKind::kNText:
    case TypeKind::kXml:
      return true;
    default:
      return false;
  }
}

bool SqlType::is_unicode() const {
  return kind == TypeKind::kNChar || kind == TypeKind::kNVarChar || kind == TypeKind::kNText ||
         kind == TypeKind::kXml;
}

bool SqlType::is_bytes() const {
  return kind == TypeKind::kBinary || kind == TypeKind::kVarBinary || kind == TypeKind::kImage ||
         kind == TypeKind::kRowVersion;
}

bool SqlType::is_integer() const {
  return kind >= TypeKind::kBit && kind <= TypeKind::kBigInt;
}

bool SqlType::is_exact_scaled() const {
  return kind >= TypeKind::kSmallMoney && kind <= TypeKind::kNumeric;
}

bool SqlType::is_approximate() const {
  return kind == TypeKind::kReal || kind == TypeKind::kFloat;
}

bool SqlType::is_moment() const {
  return kind >= TypeKind::kTime && kind <= TypeKind::kDateTimeOffset;
}

bool SqlType::is_udt() const {
  return kind == TypeKind::kHierarchyId || kind == TypeKind::kGeography ||
         kind == TypeKind::kGeometry;
}

bool SqlType::is_large() const {
  const bool old_large =
      kind == TypeKind::kText || kind == TypeKind::kNText || kind == TypeKind::kImage;
  return old_large || kind == TypeKind::kXml || ((is_text() || is_bytes()) && is_max());
}

int SqlType::max_length() const {
  switch (kind) {
    case TypeKind::kBit:
    case TypeKind::kTinyInt:
      return 1;
    case TypeKind::kSmallInt:
      return 2;
    case TypeKind::kInt:
    case TypeKind::kReal:
    case TypeKind::kSmallMoney:
    case TypeKind::kSmallDateTime:
      return 4;
    case TypeKind::kBigInt:
    case TypeKind::kFloat:
    case TypeKind::kMoney:
    case TypeKind::kDateTime:
    case TypeKind::kRowVersion:
      return 8;
    case TypeKind::kDecimal:
    case TypeKind::kNumeric:
      return precision <= 9 ? 5 : precision <= 19 ? 9 : precision <= 28 ? 13 : 17;
    case TypeKind::kDate:
      return 3;
    case TypeKind::kTime:
      return scale <= 2 ? 3 : scale <= 4 ? 4 : 5;
    case TypeKind::kDateTime2:
      return scale <= 2 ? 6 : scale <= 4 ? 7 : 8;
    case TypeKind::kDateTimeOffset:
      return scale <= 2 ? 8 : scale <= 4 ? 9 : 10;
    case TypeKind::kUniqueIdentifier:
    case TypeKind::kText:
    case TypeKind::kNText:
    case TypeKind::kImage:
      return 16;
    case TypeKind::kXml:
    case TypeKind::kGeography:
    case TypeKind::kGeometry:
      return -1;
    case TypeKind::kHierarchyId:
      return 892;
    case TypeKind::kVariant:
      return 8016;
    case TypeKind::kNChar:
    case TypeKind::kNVarChar:
      return is_max() ? -1 : length * 2;
    case TypeKind::kBinary:
    case TypeKind::kVarBinary:
    case TypeKind::kChar:
    case TypeKind::kVarChar:
      return length;
  }
  return 0;
}

int SqlType::catalog_precision() const {
  switch (kind) {
    case TypeKind::kBit:
      return 1;
    case TypeKind::kTinyInt:
      return 3;
    case TypeKind::kSmallInt:
      return 5;
    case TypeKind::kInt:
    case TypeKind::kDate:
    case TypeKind::kSmallMoney:
      return 10;
    case TypeKind::kBigInt:
    case TypeKind::kMoney:
      return 19;
    case TypeKind::kReal:
      return 24;
    case TypeKind::kFloat:
      return 53;
    case TypeKind::kDecimal:
    case TypeKind::kNumeric:
      return precision;
    case TypeKind::kTime:
      return scale == 0 ? 8 : 9 + scale;
    case TypeKind::kSmallDateTime:
      return 16;
    case TypeKind::kDateTime:
      return 23;
    case TypeKind::kDateTime2:
      return scale == 0 ? 19 : 20 + scale;
    case TypeKind::kDateTimeOffset:
      return scale == 0 ? 26 : 27 + scale;
    default:
      return 0;
  }
}

int SqlType::catalog_scale() const {
  switch (kind) {
    case TypeKind::kMoney:
    case TypeKind::kSmallMoney:
      return 4;
    case TypeKind::kDateTime:
      return 3;
    default:
      return scale;
  }
}

SqlType type_of(TypeKind kind) {
  SqlType type;
  type.kind = kind;
  switch (kind) {
    case TypeKind::kDecimal:
    case TypeKind::kNumeric:
      type.precision = 18;
      break;
    case TypeKind::kMoney:
    case TypeKind::kSmallMoney:
      type.precision = kind == TypeKind::kMoney ? 19 : 10;
      type.scale = 4;
      break;
    case TypeKind::kTime:
    case TypeKind::kDateTime2:
    case TypeKind::kDateTimeOffset:
      type.scale = 7;
      break;
    case TypeKind::kRowVersion:
      type.length = 8;
      break;
    case TypeKind::kText:
    case TypeKind::kNText:
    case TypeKind::kImage:
    case TypeKind::kXml:
      type.length = kMaxLength;
      break;
    case TypeKind::kBinary:
    case TypeKind::kVarBinary:
    case TypeKind::kChar:
    case TypeKind::kVarChar:
    case TypeKind::kNChar:
    case TypeKind::kNVarChar:
      type.length = 1;
      break;
    default:
      break;
  }
  return type;
}

SqlType text_type(int length, bool unicode) {
  SqlType type = type_of(unicode ? TypeKind::kNVarChar : TypeKind::kVarChar);
  type.length = length > (unicode ? 4000 : 8000) ? kMaxLength : length;
  return type;
}

SqlType binary_type(int length, bool fixed) {
  SqlType type = type_of(fixed ? TypeKind::kBinary : TypeKind::kVarBinary);
  type.length = length > 8000 ? kMaxLength : length;
  return type;
}

SqlType decimal_type(int precision, int scale) {
  SqlType type = type_of(TypeKind::kDecimal);
  type.precision = precision;
  type.scale = scale;
  return type;
}

SqlType sysname_type() {
  SqlType type = text_type(128, true);
  type.sysname = true;
  return type;
}

const std::vector<CatalogType>& catalog_types() {
  static const std::vector<CatalogType> types = {
      {TypeKind::kImage, "image", 34, 34},
      {TypeKind::kText, "text", 35, 35},
      {TypeKind::kUniqueIdentifier, "uniqueidentifier", 36, 36},
      {TypeKind::kDate, "date", 40, 40},
      {TypeKind::kTime, "time", 41, 41},
      {TypeKind::kDateTime2, "datetime2", 42, 42},
      {TypeKind::kDateTimeOffset, "datetimeoffset", 43, 43},
      {TypeKind::kTinyInt, "tinyint", 48, 48},
      {TypeKind::kSmallInt, "smallint", 52, 52},
      {TypeKind::kInt, "int", 56, 56},
      {TypeKind::kSmallDateTime, "smalldatetime", 58, 58},
      {TypeKind::kReal, "real", 59, 59},
      {TypeKind::kMoney, "money", 60, 60},
      {TypeKind::kDateTime, "datetime", 61, 61},
      {TypeKind::kFloat, "float", 62, 62},
      {TypeKind::kVariant, "sql_variant", 98, 98},
      {TypeKind::kNText, "ntext", 99, 99},
      {TypeKind::kBit, "bit", 104, 104},
      {TypeKind::kDecimal, "decimal", 106, 106},
      {TypeKind::kNumeric, "numeric", 108, 108},
      {TypeKind::kSmallMoney, "smallmoney", 122, 122},
      {TypeKind::kBigInt, "bigint", 127, 127},
      {TypeKind::kHierarchyId, "hierarchyid", 240, 128},
      {TypeKind::kGeometry, "geometry", 240, 129},
      {TypeKind::kGeography, "geography", 240, 130},
      {TypeKind::kVarBinary, "varbinary", 165, 165},
      {TypeKind::kVarChar, "varchar", 167, 167},
      {TypeKind::kBinary, "binary", 173, 173},
      {TypeKind::kChar, "char", 175, 175},
      {TypeKind::kRowVersion, "timestamp", 189, 189},
      {TypeKind::kNVarChar, "nvarchar", 231, 231},
      {TypeKind::kNChar, "nchar", 239, 239},
      {TypeKind::kXml, "xml", 241, 241},
  };
  return types;
}

const CatalogType& catalog_type_of(const SqlType& type) {
  static const CatalogType sysname = {TypeKind::kNVarChar, "sysname", 231, 256};
  if (type.sysname) {
    return sysname;
  }
  const auto& types = catalog_types();
  return *std::find_if(types.begin(), types.end(),
                       [&type](const CatalogType& row) { return row.kind == type.kind; });
}

std::string name_of(const SqlType& type) {
  return catalog_type_of(type).name;
}

std::string full_name_of(const SqlType& type) {
  std::string name = type.sysname ? "nvarchar" : name_of(type);
  switch (type.kind) {
    case TypeKind::kDecimal:
    case TypeKind::kNumeric:
      return name + "(" + std::to_string(type.precision) + "," + std::to_string(type.scale) + ")";
    case TypeKind::kTime:
    case TypeKind::kDateTime2:
    case TypeKind::kDateTimeOffset:
      return name + "(" + std::to_string(type.scale) + ")";
    case TypeKind::kBinary:
    case TypeKind::kVarBinary:
    case TypeKind::kChar:
    case TypeKind::kVarChar:
    case TypeKind::kNChar:
    case TypeKind::kNVarChar:
      return name + (type.is_max() ? "(max)" : "(" + std::to_string(type.length) + ")");
    default:
      return name;
  }
}

std::optional<SqlType> type_named(std::string_view name) {
  static const std::map<std::string, std::string> synonyms = {
      {"integer", "int"},           {"dec", "decimal"},  {"rowversion", "timestamp"},
      {"character", "char"},        {"double", "float"}, {"national", "nchar"},
      {"double precision", "float"}};
  std::string wanted = lower(name);
  if (wanted == "sysname") {
    return sysname_type();
  }
  if (const auto synonym = synonyms.find(wanted); synonym != synonyms.end()) {
    wanted = synonym->second;
  }
  for (const CatalogType& type : catalog_types()) {
    if (wanted == type.name) {
      return type_of(type.kind);
    }
  }
  return std::nullopt;
}

void set_collation(SqlType& type, const std::string& name) {
  for (const Collation& collation : kCollations) {
    if (same_name(collation.name, name)) {
      if (type.is_text() && type.kind != TypeKind::kXml) {
        type.text_order = collation.order;
        type.utf8 = collation.utf8 && !type.is_unicode();
      }
      return;
    }
  }
  if (lower(name) == "database_default") {
    set_collation(type, kCollations[0].name);
    return;
  }
  throw SqlError(448, "Invalid collation '" + name + "'.");
}

std::string collation_name(const SqlType& type) {
  if (type.is_text() && type.kind != TypeKind::kXml) {
    for (const Collation& collation : kCollations) {
      if (collation.order == type.text_order && collation.utf8 == type.utf8) {
        return collation.name;
      }
    }
  }
  return {};
}

}  // namespace headgate::test::sqlserver
