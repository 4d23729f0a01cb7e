#include "support/sqlserver_double/session_state.hpp"

#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

Database& SessionState::current_database() const {
  Database* found = engine.database(database);
  if (found == nullptr) {
    throw SqlError(911, "Database '" + database +
                            "' does not exist. Make sure that the name is entered correctly.");
  }
  return *found;
}

bool SessionState::is_sysadmin() const {
  const auto found = engine.logins.find(lower(login));
  return found != engine.logins.end() && found->second.sysadmin;
}

bool SessionState::may(const std::string& permission) const {
  const auto found = engine.logins.find(lower(login));
  return found != engine.logins.end() &&
         (found->second.sysadmin || found->second.permissions.contains("role:db_owner") ||
          found->second.permissions.contains(permission));
}

bool SessionState::may_select(const std::string& schema, const std::string& object) const {
  return may("select") || may("select:schema." + lower(schema)) ||
         may("select:" + lower(schema) + "." + lower(object)) || may("role:db_datareader");
}

bool SessionState::has_role(const std::string& role) const {
  return may("role:" + lower(role));
}

bool may_read_instance(const SessionState& session, const Database& database,
                       const CaptureInstance& instance) {
  const TablePtr source = database.table(instance.source_object_id);
  return source && session.may_select(source->schema, source->name) &&
         (!instance.role_name || session.has_role(*instance.role_name));
}

}  // namespace headgate::test::sqlserver
