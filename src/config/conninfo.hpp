// PostgreSQL connection strings, read as libpq reads them: to take the password out, and to see
// whether two of them name the same database.

#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headgate::config {

struct Conninfo {
  // Keyword and value, decoded, in the string's order; where a keyword stands twice, the last
  // counts.
  std::vector<std::pair<std::string, std::string>> parameters;

  // The string as it was, less the password wherever it stood.
  std::string without_password;

  // Why libpq would not take the string; everything else is then empty. Never quotes the string.
  std::string problem;

  // Empty when it is not there.
  std::string value(std::string_view keyword) const;
};

// Takes `keyword=value` strings and `postgresql://` URIs. Unknown keywords are not judged here.
Conninfo parse_conninfo(std::string_view text);

// Which database the string names, comparable with that of another one: host, port and database
// with libpq's own defaults, but not the environment's. Neither user nor options matter.
std::string database_identity(const Conninfo& conninfo);

}  // namespace headgate::config
