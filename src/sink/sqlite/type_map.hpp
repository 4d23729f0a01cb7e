// Which SQLite column holds which values of the source without changing them. README.md has the
// table.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/schema.hpp"

namespace headgate::sink::sqlite {

// The type of a column that we create, in a STRICT table.
std::string_view declared_type(TypeFamily family);

// What a column does to the values that are stored in it: SQLite's affinities, and STRICT's types,
// which check instead of converting.
enum class Storage {
  kInteger,
  kReal,
  kText,
  kNumeric,  // turns text that looks like a number into one: '1.10' becomes 1.1
  kAny,      // keeps what it is given: BLOB or no type at all; ANY in a STRICT table
  kStrictInteger,
  kStrictReal,
  kStrictText,
  kStrictBlob,
};

// By the rules of https://www.sqlite.org/datatype3.html and stricttables.html.
Storage storage_of(std::string_view declared, bool strict);

// True when every value of `family` survives in such a column, or fails loudly as a row error.
bool can_hold(Storage storage, TypeFamily family);

// True when the column turns the text '-0', our form of the negative zero, into a plain 0.
bool loses_negative_zero(Storage storage);

}  // namespace headgate::sink::sqlite
