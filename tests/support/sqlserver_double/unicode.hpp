// The three encodings of a SQL Server's text: UTF-16 in nvarchar, code page 1252 in varchar, and
// UTF-8 in varchar of a UTF-8 collation and in everything a C++ test writes.

#pragma once

#include <string>
#include <string_view>

namespace headgate::test::sqlserver {

// Malformed bytes become U+FFFD.
std::u16string utf16_of_utf8(std::string_view text);

// A surrogate without its other half, which nvarchar may hold, becomes U+FFFD.
std::string utf8_of_utf16(std::u16string_view text);

// What the code page lacks becomes '?', as it does on a server.
std::string cp1252_of_utf16(std::u16string_view text);
std::u16string utf16_of_cp1252(std::string_view text);

// Raw little-endian UTF-16, as it stands on the wire. An odd last byte is dropped.
std::u16string utf16_of_bytes(std::string_view bytes);
std::string bytes_of_utf16(std::u16string_view text);

// One unit in lower case, for Latin letters; others are returned as they are.
char16_t lower(char16_t unit);
std::u16string lower(std::u16string_view text);
// ASCII only: identifiers and keywords.
std::string lower(std::string_view text);
bool same_name(std::string_view left, std::string_view right);

}  // namespace headgate::test::sqlserver
