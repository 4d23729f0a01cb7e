// A fetched column as the bytes that sinks get.

#pragma once

#include <cstddef>
#include <string>

#include "db/odbc/statement.hpp"
#include "source/sqlserver/capture_instances.hpp"

namespace headgate::source::sqlserver {

// Of the current row of `rows`, what stands in `place`, where `column` was selected by its
// mapping's expression and fetched as it says: text as sinks expect it, or raw bytes. The same for
// a row of a table and one of its change table. REQUIRES: not NULL.
std::string fetched_value(odbc::Statement& rows, std::size_t place, const CapturedColumn& column);

}  // namespace headgate::source::sqlserver
