// The types of a SQL Server, as columns declare them.

#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::test::sqlserver {

// In ascending precedence: of two operands of different types, the lower one is converted to the
// higher one's type.
enum class TypeKind {
  kBinary,
  kVarBinary,
  kRowVersion,
  kChar,
  kVarChar,
  kNChar,
  kNVarChar,
  kUniqueIdentifier,
  kImage,
  kText,
  kNText,
  kBit,
  kTinyInt,
  kSmallInt,
  kInt,
  kBigInt,
  kSmallMoney,
  kMoney,
  kDecimal,
  kNumeric,
  kReal,
  kFloat,
  kTime,
  kDate,
  kSmallDateTime,
  kDateTime,
  kDateTime2,
  kDateTimeOffset,
  kXml,
  kHierarchyId,
  kGeography,
  kGeometry,
  kVariant,
};

constexpr int kMaxLength = -1;

// How text compares; trailing blanks never count.
enum class TextOrder {
  kDatabase,           // Latin letters without their case: also of who says nothing
  kCaseSensitive,      // the same, and of words that are equal then, small letters first
  kAccentInsensitive,  // without case and accents
  kBinary,             // by units
};

struct SqlType {
  TypeKind kind = TypeKind::kInt;
  int length = 0;     // of strings in characters (UTF-16 units for n-types), of binaries in bytes
  int precision = 0;  // decimal, numeric
  int scale = 0;      // decimal, numeric, time, datetime2, datetimeoffset
  bool utf8 = false;  // varchar or char with a UTF-8 collation
  TextOrder text_order = TextOrder::kDatabase;
  bool sysname = false;

  bool operator==(const SqlType&) const = default;

  bool is_text() const;          // any type whose value is characters, xml among them
  bool is_unicode() const;       // nchar, nvarchar, ntext, xml
  bool is_bytes() const;         // binary, varbinary, image, rowversion
  bool is_integer() const;       // bit to bigint
  bool is_exact_scaled() const;  // decimal, numeric, money, smallmoney
  bool is_approximate() const;   // real, float
  bool is_moment() const;        // date, time and the like
  bool is_udt() const;           // hierarchyid, geography, geometry
  bool is_max() const { return length == kMaxLength; }
  // Types whose value CDC leaves out where it did not change: varchar(max), xml, text and the like.
  bool is_large() const;

  // Bytes, as sys.columns gives it: -1 for max types.
  int max_length() const;
  int catalog_precision() const;
  int catalog_scale() const;
};

// Throws SqlError 448 for a collation that the double has not. Types without text stay as they are.
void set_collation(SqlType& type, const std::string& name);
// As sys.columns names it; empty for types that have none.
std::string collation_name(const SqlType& type);

SqlType type_of(TypeKind kind);
SqlType text_type(int length, bool unicode);
SqlType binary_type(int length, bool fixed = false);
SqlType decimal_type(int precision, int scale);
SqlType sysname_type();

// "nvarchar", "timestamp" and so on, as sys.types names it.
std::string name_of(const SqlType& type);
// With its length or precision: "decimal(10,2)", "varchar(max)".
std::string full_name_of(const SqlType& type);

// The type of that name (not case-sensitive; with the synonyms that T-SQL has), with the length or
// precision that a declaration without any has. None when there is none.
std::optional<SqlType> type_named(std::string_view name);

struct CatalogType {
  TypeKind kind;
  const char* name;
  int system_type_id;
  int user_type_id;
};

// The rows of sys.types.
const std::vector<CatalogType>& catalog_types();
const CatalogType& catalog_type_of(const SqlType& type);

}  // namespace headgate::test::sqlserver
