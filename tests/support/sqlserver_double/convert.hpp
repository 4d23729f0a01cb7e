// Values from one type to another, as CAST and CONVERT do and as storing in a column does.

#pragma once

#include <string>

#include "support/sqlserver_double/sql_value.hpp"

namespace headgate::test::sqlserver {

// What CONVERT(to, value, style) gives; text that is too long is cut silently. NULL stays NULL.
//
// Throws SqlError with the number a server uses: 245 or 8114 (text that is no number), 241 and 242
// (dates), 8115 and 220 (out of range), 8169 (uniqueidentifier), 529 (no such conversion).
Value convert(const Value& value, const SqlType& from, const SqlType& to, int style = 0);

// As convert(), but text and binary that do not fit throw 2628: a column never cuts. Chars and
// binaries of fixed length are padded.
Value converted_for_storage(const Value& value, const SqlType& from, const SqlType& to,
                            const std::string& column);

// The text that a conversion to nvarchar(max) gives, in UTF-8. NULL is an empty text.
std::string display_text(const Value& value, const SqlType& type);

// The type to which two operands are brought: the one of higher precedence, wide enough for both.
SqlType common_type(const SqlType& left, const SqlType& right);

// "6F9619FF-8B86-D011-B42D-00C04FC964FF", of the 16 bytes in wire order.
std::string guid_text(const std::string& bytes);

}  // namespace headgate::test::sqlserver
