#include "sink/sqlite/type_map.hpp"

#include <algorithm>
#include <string>

namespace headgate::sink::sqlite {
namespace {

std::string upper(std::string_view text) {
  std::string result(text);
  std::transform(result.begin(), result.end(), result.begin(), [](char c) {
    return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
  });
  return result;
}

Storage strict_storage(const std::string& type) {
  if (type == "INT" || type == "INTEGER") {
    return Storage::kStrictInteger;
  }
  if (type == "REAL") {
    return Storage::kStrictReal;
  }
  if (type == "TEXT") {
    return Storage::kStrictText;
  }
  return type == "BLOB" ? Storage::kStrictBlob : Storage::kAny;
}

bool is_integer(Storage storage) {
  return storage == Storage::kInteger || storage == Storage::kStrictInteger ||
         storage == Storage::kNumeric || storage == Storage::kAny;
}

bool is_text(Storage storage) {
  return storage == Storage::kText || storage == Storage::kStrictText || storage == Storage::kAny;
}

}  // namespace

std::string_view declared_type(TypeFamily family) {
  switch (family) {
    case TypeFamily::kBoolean:
    case TypeFamily::kInteger:
      return "INTEGER";
    case TypeFamily::kFloat:
      return "ANY";
    case TypeFamily::kBytes:
      return "BLOB";
    case TypeFamily::kNumeric:
    case TypeFamily::kText:
    case TypeFamily::kDate:
    case TypeFamily::kTime:
    case TypeFamily::kTimestamp:
    case TypeFamily::kTimestampTz:
    case TypeFamily::kUuid:
    case TypeFamily::kJson:
    case TypeFamily::kOther:
      return "TEXT";
  }
  return "TEXT";
}

Storage storage_of(std::string_view declared, bool strict) {
  const std::string type = upper(declared);
  const auto contains = [&](std::string_view part) { return type.find(part) != std::string::npos; };
  if (strict) {
    return strict_storage(type);
  }
  // The order of these rules is SQLite's: "CHARINT" is an integer.
  if (contains("INT")) {
    return Storage::kInteger;
  }
  if (contains("CHAR") || contains("CLOB") || contains("TEXT")) {
    return Storage::kText;
  }
  if (type.empty() || contains("BLOB")) {
    return Storage::kAny;
  }
  if (contains("REAL") || contains("FLOA") || contains("DOUB")) {
    return Storage::kReal;
  }
  return Storage::kNumeric;
}

bool can_hold(Storage storage, TypeFamily family) {
  switch (family) {
    case TypeFamily::kBoolean:
    case TypeFamily::kInteger:
      return is_integer(storage);
    case TypeFamily::kFloat:
      return storage == Storage::kReal || storage == Storage::kStrictReal ||
             storage == Storage::kNumeric || storage == Storage::kAny;
    case TypeFamily::kBytes:
      // No affinity ever converts a BLOB.
      return storage != Storage::kStrictInteger && storage != Storage::kStrictReal &&
             storage != Storage::kStrictText;
    case TypeFamily::kDate:
    case TypeFamily::kTime:
    case TypeFamily::kTimestamp:
    case TypeFamily::kTimestampTz:
    case TypeFamily::kUuid:
      // Columns declared DATE, TIMESTAMP or UUID are NUMERIC. No such text is a number as a whole:
      // each has dashes or colons inside, or is `infinity`.
      return is_text(storage) || storage == Storage::kNumeric;
    case TypeFamily::kNumeric:
    case TypeFamily::kText:
    case TypeFamily::kJson:
    case TypeFamily::kOther:
      return is_text(storage);
  }
  return false;
}

bool loses_negative_zero(Storage storage) {
  return storage == Storage::kReal || storage == Storage::kStrictReal ||
         storage == Storage::kNumeric;
}

}  // namespace headgate::sink::sqlite
