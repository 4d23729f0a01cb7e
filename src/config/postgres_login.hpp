// `dsn` and `password_file`, which a PostgreSQL source and a PostgreSQL sink share.

#pragma once

#include <string>

#include "config/section.hpp"

namespace headgate::config {

struct PostgresLogin {
  std::string conninfo;  // without the password; empty after a finding
  std::string password;  // from the file or from within the dsn
  std::string database;  // database_identity of the dsn
};

// Nothing of the dsn ever stands in a finding, since a password may be in it.
PostgresLogin read_postgres_login(const Section& section);

}  // namespace headgate::config
