#include "source/sqlserver/check_parts.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "db/odbc/statement.hpp"
#include "source/sqlserver/capture_instances.hpp"

namespace headgate::source::sqlserver {
namespace {

// HAS_PERMS_BY_NAME is NULL for what the login cannot even see.
std::string may_select(const std::string& object) {
  return fmt::format("ISNULL(HAS_PERMS_BY_NAME({}, N'OBJECT', N'SELECT'), 0)", literal(object));
}

}  // namespace

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamedMax); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kNamedMax) {
    text += fmt::format(" and {} more", names.size() - kNamedMax);
  }
  return text;
}

std::vector<std::string> unreadable(odbc::Connection& connection,
                                    const std::vector<std::string>& objects) {
  constexpr std::size_t kBranchesMax = 200;
  std::vector<std::string> refused;
  for (std::size_t from = 0; from < objects.size(); from += kBranchesMax) {
    std::string sql;
    for (std::size_t i = from; i < std::min(objects.size(), from + kBranchesMax); ++i) {
      sql += fmt::format("{}SELECT {} AS n, {} AS may", sql.empty() ? "" : " UNION ALL ", i,
                         may_select(objects[i]));
    }
    odbc::Statement rows(connection, "ask for our rights");
    rows.execute(sql);
    while (rows.next()) {
      if (rows.integer(1) == 0) {
        refused.push_back(objects.at(static_cast<std::size_t>(rows.integer(0))));
      }
    }
  }
  return refused;
}

}  // namespace headgate::source::sqlserver
