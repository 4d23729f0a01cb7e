#include "config/postgres_login.hpp"

#include <fmt/format.h>

#include "config/conninfo.hpp"
#include "config/conninfo_keywords.hpp"
#include "config/secret_file.hpp"
#include "config/suggestion.hpp"

namespace headgate::config {
namespace {

// Names a mistyped keyword's neighbour, never the keyword: it may be a piece of a password that
// lacks its quotes. One without neighbours is left to libpq, which may know more than we do.
void check_keywords(const Section& section, const Conninfo& conninfo) {
  for (const auto& [keyword, value] : conninfo.parameters) {
    if (is_open_conninfo_keyword(keyword) || is_secret_conninfo_keyword(keyword)) {
      continue;
    }
    if (const auto meant = nearest(keyword, open_conninfo_keywords())) {
      section.fail("dsn", fmt::format("an unknown keyword in it, did you mean \"{}\"?", *meant));
    }
  }
}

}  // namespace

PostgresLogin read_postgres_login(const Section& section) {
  const auto dsn = section.required_text("dsn");
  const auto password = read_secret_file(section, "password_file");

  PostgresLogin login;
  login.password = password.value_or("");
  if (!dsn) {
    return login;
  }
  const Conninfo conninfo = parse_conninfo(dsn->value);
  if (!conninfo.problem.empty()) {
    section.fail("dsn", conninfo.problem,
                 "for example \"host=db1 dbname=shop user=headgate\", or "
                 "\"postgresql://headgate@db1/shop\"");
    return login;
  }
  check_keywords(section, conninfo);
  const std::string inner_password = conninfo.value("password");
  if (!inner_password.empty() && section.has("password_file")) {
    section.fail("password_file", "the dsn has a password too", "take it out of the dsn");
  } else if (!inner_password.empty()) {
    login.password = inner_password;
  }
  login.conninfo = conninfo.without_password;
  login.database = database_identity(conninfo);
  return login;
}

}  // namespace headgate::config
