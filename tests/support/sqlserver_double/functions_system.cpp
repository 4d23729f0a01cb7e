#include <algorithm>
#include <cctype>

#include "support/sqlserver_double/binder.hpp"
#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/query.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

using Values = std::vector<Value>;

SqlType int_type() {
  return type_of(TypeKind::kInt);
}
SqlType name_type() {
  return text_type(128, true);
}

Value name_value(const std::string& name) {
  return text_value(name);
}

std::string product_version(const ServerTraits& traits) {
  return std::to_string(traits.major_version) + ".0.4135.4";
}

Value as_variant(const SqlType& type, Value value) {
  return std::make_shared<const TypedValue>(TypedValue{type, std::move(value)});
}

Value server_property(const Engine& engine, const std::string& property) {
  const std::string name = lower(property);
  const ServerTraits& traits = engine.traits;
  const auto text = [](const std::string& value) {
    return as_variant(name_type(), name_value(value));
  };
  const auto number = [](std::int64_t value) { return as_variant(int_type(), value); };
  if (name == "productversion") {
    return text(product_version(traits));
  }
  if (name == "productmajorversion") {
    return text(std::to_string(traits.major_version));
  }
  if (name == "productlevel") {
    return text("RTM");
  }
  if (name == "edition") {
    return text(traits.edition);
  }
  if (name == "engineedition") {
    return number(traits.engine_edition);
  }
  if (name == "servername" || name == "machinename") {
    return text(engine.server_name);
  }
  if (name == "collation") {
    return text("SQL_Latin1_General_CP1_CI_AS");
  }
  if (name == "ishadrenabled" || name == "isclustered") {
    return number(0);
  }
  return Null{};
}

// "[dbo].[a.b]" into its parts.
Name split_name(const std::string& text) {
  Name name(1);
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '[') {
      for (++at; at < text.size(); ++at) {
        if (text[at] == ']') {
          if (at + 1 >= text.size() || text[at + 1] != ']') {
            break;
          }
          ++at;
        }
        name.back().push_back(text[at]);
      }
    } else if (text[at] == '.') {
      name.emplace_back();
    } else {
      name.back().push_back(text[at]);
    }
  }
  return name;
}

Value object_id(const SessionState& session, const std::string& text) {
  const Name name = split_name(text);
  try {
    if (const TablePtr table = find_table(session, name)) {
      return std::int64_t{table->object_id};
    }
    const ObjectName resolved = resolve(session, name);
    // Procedures and functions of CDC exist on every server, whatever its edition.
    if (lower(resolved.schema) == "sys" && lower(resolved.object).starts_with("sp_cdc_")) {
      return std::int64_t{-1073624922};
    }
    if (lower(resolved.schema) == "cdc" && resolved.database->cdc_enabled) {
      for (const CaptureInstance& instance : resolved.database->instances) {
        if (same_name(resolved.object, "fn_cdc_get_all_changes_" + instance.name)) {
          return std::int64_t{instance.object_id + 1};
        }
      }
      int id = 917578300;
      for (const char* view :
           {"change_tables", "captured_columns", "index_columns", "ddl_history"}) {
        if (same_name(resolved.object, view)) {
          return std::int64_t{id};
        }
        ++id;
      }
    }
  } catch (const SqlError&) {
  }
  return Null{};
}

// A function of texts to a value that depends on the session.
FunctionBinder of_session(SqlType type, std::function<Value(SessionState&, const Values&)> body) {
  return [type, body](Context& context, std::vector<Bound> args) {
    for (Bound& arg : args) {
      if (arg.type.is_text()) {
        arg = converted(std::move(arg), text_type(4000, true));
      }
    }
    return strict_function(type, args, [body, session = &context.session](const Values& values) {
      return body(*session, values);
    });
  };
}

Value has_permission(SessionState& session, const Values& args) {
  const std::string securable = utf8_of(args[0]);
  const std::string kind = args.size() > 1 ? lower(utf8_of(args[1])) : "";
  const std::string permission = args.size() > 2 ? lower(utf8_of(args[2])) : "";
  bool may = session.may(permission);
  if (kind == "object" && permission == "select") {
    const ObjectName name = resolve(session, split_name(securable));
    may = session.may_select(name.schema, name.object);
  } else if (kind == "schema" && permission == "select") {
    may = session.may("select") ||
          session.may("select:schema." + lower(split_name(securable).back()));
  }
  return std::int64_t{may};
}

Value database_property(SessionState& session, const Values& args) {
  const Database* database = session.engine.database(utf8_of(args[0]));
  const std::string property = lower(utf8_of(args[1]));
  if (database == nullptr) {
    return Null{};
  }
  const auto text = [](const std::string& value) {
    return as_variant(name_type(), name_value(value));
  };
  if (property == "collation") {
    return text("SQL_Latin1_General_CP1_CI_AS");
  }
  if (property == "updateability") {
    return text("READ_WRITE");
  }
  if (property == "status") {
    return text("ONLINE");
  }
  return Null{};
}

Value column_property(SessionState& session, const Values& args) {
  const TablePtr table = session.current_database().table(static_cast<int>(integer_of(args[0])));
  const auto place = table ? table->shape->place_of(utf8_of(args[1])) : std::nullopt;
  if (!place) {
    return Null{};
  }
  const Column& column = table->shape->columns[*place];
  const std::string property = lower(utf8_of(args[2]));
  return property == "isidentity"   ? Value(std::int64_t{column.identity})
         : property == "iscomputed" ? Value(std::int64_t{column.computed != nullptr})
         : property == "allowsnull" ? Value(std::int64_t{column.nullable})
         : property == "columnid"   ? Value(std::int64_t{column.id})
                                    : Value(Null{});
}

Value variant_property(const Values& args, const SqlType& type) {
  const bool variant = type.kind == TypeKind::kVariant;
  const SqlType inner = variant ? std::get<7>(args[0])->type : type;
  const std::string property = lower(utf8_of(args[1]));
  return property == "basetype"    ? as_variant(name_type(), name_value(name_of(inner)))
         : property == "precision" ? as_variant(int_type(), std::int64_t{inner.catalog_precision()})
         : property == "scale"     ? as_variant(int_type(), std::int64_t{inner.catalog_scale()})
         : property == "maxlength" ? as_variant(int_type(), std::int64_t{inner.max_length()})
                                   : Value(Null{});
}

const SqlError* caught_error(const SessionState& session) {
  return session.caught.empty() ? nullptr : &session.caught.back();
}

void add_error_functions(FunctionTable& table) {
  const auto number = [](int (SqlError::*member)() const) {
    return of_session(int_type(), [member](SessionState& session, const Values&) -> Value {
      const SqlError* error = caught_error(session);
      return error == nullptr ? Value(Null{}) : Value(std::int64_t{(error->*member)()});
    });
  };
  table["error_number"] = number(&SqlError::number);
  table["error_severity"] = number(&SqlError::severity);
  table["error_state"] = number(&SqlError::state);
  table["error_message"] =
      of_session(text_type(4000, true), [](SessionState& session, const Values&) {
        const SqlError* error = caught_error(session);
        return error == nullptr ? Value(Null{}) : text_value(error->what());
      });
}

void add_name_functions(FunctionTable& table) {
  table["db_name"] =
      of_session(name_type(), [](SessionState& session, const Values& args) -> Value {
        if (args.empty()) {
          return name_value(session.current_database().name);
        }
        for (const auto& [key, database] : session.engine.databases) {
          if (database->id == integer_of(args[0])) {
            return name_value(database->name);
          }
        }
        return Null{};
      });
  table["db_id"] = of_session(int_type(), [](SessionState& session, const Values& args) -> Value {
    const Database* database =
        args.empty() ? &session.current_database() : session.engine.database(utf8_of(args[0]));
    return database == nullptr ? Value(Null{}) : Value(std::int64_t{database->id});
  });
  table["object_id"] = of_session(int_type(), [](SessionState& session, const Values& args) {
    return object_id(session, utf8_of(args[0]));
  });
  table["object_name"] =
      of_session(name_type(), [](SessionState& session, const Values& args) -> Value {
        const TablePtr found =
            session.current_database().table(static_cast<int>(integer_of(args[0])));
        return found ? name_value(found->name) : Value(Null{});
      });
  table["object_schema_name"] =
      of_session(name_type(), [](SessionState& session, const Values& args) -> Value {
        const TablePtr found =
            session.current_database().table(static_cast<int>(integer_of(args[0])));
        return found ? name_value(found->schema) : Value(Null{});
      });
  table["schema_name"] =
      of_session(name_type(), [](SessionState& session, const Values& args) -> Value {
        for (const auto& [name, id] : session.current_database().schemas) {
          if (id == (args.empty() ? 1 : integer_of(args[0]))) {
            return name_value(name);
          }
        }
        return Null{};
      });
  table["schema_id"] =
      of_session(int_type(), [](SessionState& session, const Values& args) -> Value {
        const auto& schemas = session.current_database().schemas;
        const auto found = schemas.find(args.empty() ? "dbo" : lower(utf8_of(args[0])));
        return found == schemas.end() ? Value(Null{}) : Value(std::int64_t{found->second});
      });
  table["type_name"] = of_session(name_type(), [](SessionState&, const Values& args) -> Value {
    for (const CatalogType& type : catalog_types()) {
      if (type.user_type_id == integer_of(args[0])) {
        return name_value(type.name);
      }
    }
    return integer_of(args[0]) == 256 ? name_value("sysname") : Value(Null{});
  });
  table["col_name"] =
      of_session(name_type(), [](SessionState& session, const Values& args) -> Value {
        const TablePtr found =
            session.current_database().table(static_cast<int>(integer_of(args[0])));
        const auto place =
            found ? found->shape->place_of_id(static_cast<int>(integer_of(args[1]))) : std::nullopt;
        return place ? name_value(found->shape->columns[*place].name) : Value(Null{});
      });
  table["col_length"] = of_session(
      type_of(TypeKind::kSmallInt), [](SessionState& session, const Values& args) -> Value {
        const TablePtr found = find_table(session, split_name(utf8_of(args[0])));
        const auto place = found ? found->shape->place_of(utf8_of(args[1])) : std::nullopt;
        return place ? Value(std::int64_t{found->shape->columns[*place].type.max_length()})
                     : Value(Null{});
      });
  table["columnproperty"] = of_session(int_type(), column_property);
  for (const char* name : {"suser_sname", "suser_name", "original_login", "system_user"}) {
    table[name] = of_session(name_type(), [](SessionState& session, const Values&) {
      return name_value(session.login);
    });
  }
  for (const char* name : {"user_name", "current_user", "session_user"}) {
    table[name] = of_session(name_type(), [](SessionState& session, const Values&) {
      return name_value(session.is_sysadmin() ? "dbo" : session.login);
    });
  }
  table["host_name"] = of_session(
      name_type(), [](SessionState& session, const Values&) { return name_value(session.host); });
  table["app_name"] = of_session(name_type(), [](SessionState& session, const Values&) {
    return name_value(session.application);
  });
}

void add_property_functions(FunctionTable& table) {
  const SqlType variant = type_of(TypeKind::kVariant);
  table["serverproperty"] = of_session(variant, [](SessionState& session, const Values& args) {
    return server_property(session.engine, utf8_of(args[0]));
  });
  table["databasepropertyex"] = of_session(variant, database_property);
  table["connectionproperty"] = of_session(variant, [](SessionState&, const Values& args) -> Value {
    return lower(utf8_of(args[0])) == "net_transport" ? as_variant(name_type(), name_value("TCP"))
                                                      : Value(Null{});
  });
  table["sql_variant_property"] = [variant](Context&, std::vector<Bound> args) {
    const SqlType type = args[0].type;
    return strict_function(variant, args,
                           [type](const Values& values) { return variant_property(values, type); });
  };
  table["has_perms_by_name"] = [](Context& context, std::vector<Bound> args) {
    Bound bound;
    bound.type = int_type();
    for (Bound& arg : args) {
      arg = converted(std::move(arg), text_type(4000, true));
    }
    bound.eval = [args, session = &context.session](const Frame& frame) {
      Values values;
      for (const Bound& arg : args) {
        values.push_back(arg.eval(frame));
      }
      return has_permission(*session, values);
    };
    return bound;
  };
  table["is_srvrolemember"] =
      of_session(int_type(), [](SessionState& session, const Values& args) -> Value {
        return std::int64_t{session.is_sysadmin() || session.has_role(utf8_of(args[0]))};
      });
  table["is_member"] =
      of_session(int_type(), [](SessionState& session, const Values& args) -> Value {
        return std::int64_t{session.has_role(utf8_of(args[0]))};
      });
  table["is_rolemember"] = table["is_member"];
  table["has_dbaccess"] =
      of_session(int_type(), [](SessionState& session, const Values& args) -> Value {
        return session.engine.database(utf8_of(args[0])) != nullptr ? Value(std::int64_t{1})
                                                                    : Value(Null{});
      });
  table["scope_identity"] =
      of_session(decimal_type(38, 0), [](SessionState& session, const Values&) -> Value {
        return is_null(session.identity) ? session.identity
                                         : Value(Int128{integer_of(session.identity)});
      });
  table["xact_state"] =
      of_session(type_of(TypeKind::kSmallInt), [](SessionState& session, const Values&) -> Value {
        return std::int64_t{session.doomed ? -1 : session.tran_count > 0 ? 1 : 0};
      });
  table["newid"] = [](Context&, std::vector<Bound>) {
    Bound bound;
    bound.type = type_of(TypeKind::kUniqueIdentifier);
    bound.eval = [](const Frame&) -> Value { return random_guid(); };
    return bound;
  };
  table["newsequentialid"] = table["newid"];
}

FunctionTable make_functions() {
  FunctionTable table;
  add_error_functions(table);
  add_name_functions(table);
  add_property_functions(table);
  return table;
}

}  // namespace

const FunctionTable& system_functions() {
  static const FunctionTable table = make_functions();
  return table;
}

TypedValue system_variable(const SessionState& session, const std::string& name) {
  const ServerTraits& traits = session.engine.traits;
  if (name == "@@version") {
    return {text_type(300, true),
            text_value("Microsoft SQL Server double (an emulation for tests) - " +
                       product_version(traits) + " " + traits.edition)};
  }
  if (name == "@@servername") {
    return {name_type(), name_value(session.engine.server_name)};
  }
  if (name == "@@language") {
    return {name_type(), name_value("us_english")};
  }
  if (name == "@@identity") {
    return {decimal_type(38, 0), is_null(session.identity)
                                     ? session.identity
                                     : Value(Int128{integer_of(session.identity)})};
  }
  const std::map<std::string, std::int64_t> numbers = {
      {"@@trancount", session.tran_count},
      {"@@rowcount", session.rowcount},
      {"@@error", session.last_error},
      {"@@spid", session.spid},
      {"@@lock_timeout", session.lock_timeout_ms.value_or(-1)},
      {"@@textsize", 2147483647},
      {"@@max_precision", 38},
      {"@@microsoftversion", std::int64_t{traits.major_version} << 24},
      {"@@options", 5496},
      {"@@datefirst", 7}};
  const auto found = numbers.find(name);
  if (found == numbers.end()) {
    throw SqlError(137, "Must declare the scalar variable \"" + name + "\".", 15, 2);
  }
  return {int_type(), found->second};
}

}  // namespace headgate::test::sqlserver
