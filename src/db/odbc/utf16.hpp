// UTF-8, which we use, and UTF-16, which SQL Server's national types and ODBC's W functions use.
//
// Strict both ways: what is not well formed is told to the caller, never replaced. nvarchar may
// hold surrogates without their other half (SQL Server stores what it is given), and no UTF-8 text
// can.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace headgate::odbc {

// Nothing when `utf8` is not well-formed UTF-8.
std::optional<std::u16string> to_utf16(std::string_view utf8);

// Appends `utf16` to `out`; false, with `out` as before, when it holds a surrogate without its
// other half.
bool append_utf8(std::u16string_view utf16, std::string& out);

}  // namespace headgate::odbc
