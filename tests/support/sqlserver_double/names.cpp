// Names of objects into what they mean for a session.

#include "support/sqlserver_double/query.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

ObjectName resolve(const SessionState& session, const Name& name) {
  ObjectName result;
  result.database = &session.current_database();
  result.object = name.back();
  result.schema =
      name.size() >= 2 && !name[name.size() - 2].empty() ? name[name.size() - 2] : "dbo";
  if (name.size() >= 3) {
    result.database = session.engine.database(name[name.size() - 3]);
    if (result.database == nullptr) {
      throw invalid_object(name[name.size() - 3] + "." + result.schema + "." + result.object);
    }
  }
  return result;
}

TablePtr find_table(const SessionState& session, const Name& name) {
  const std::string& object = name.back();
  if (object.starts_with("@") || object.starts_with("#")) {
    const auto found = session.table_variables.find(lower(object));
    return found == session.table_variables.end() ? nullptr : found->second;
  }
  const ObjectName resolved = resolve(session, name);
  return resolved.database->table(resolved.schema, resolved.object);
}

void require_select(const SessionState& session, const ObjectName& name) {
  if (!session.may_select(name.schema, name.object)) {
    throw SqlError(229,
                   "The SELECT permission was denied on the object '" + name.object +
                       "', database '" + name.database->name + "', schema '" + name.schema + "'.",
                   14, 5);
  }
}

}  // namespace headgate::test::sqlserver
