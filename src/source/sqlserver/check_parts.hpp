// What the checks of server_check.hpp have in common.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "db/odbc/connection.hpp"

namespace headgate::source::sqlserver {

// Tables and columns named in one line; the rest is counted.
constexpr std::size_t kNamedMax = 20;

// "a, b and 3 more".
std::string joined(const std::vector<std::string>& names);

// Which of these objects, as T-SQL names them, the login may not read.
std::vector<std::string> unreadable(odbc::Connection& connection,
                                    const std::vector<std::string>& objects);

}  // namespace headgate::source::sqlserver
