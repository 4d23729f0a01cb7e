#include "support/sqlserver_double/cdc.hpp"
#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/parser.hpp"
#include "support/sqlserver_double/session.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

// The arguments of a call by name; positional ones take the names in their order.
class Arguments {
 public:
  Arguments(const std::vector<NamedValue>& given, const std::vector<std::string>& names) {
    for (std::size_t at = 0; at < given.size(); ++at) {
      const std::string name =
          given[at].name.empty() && at < names.size() ? names[at] : lower(given[at].name);
      bool known = false;
      for (const std::string& expected : names) {
        known = known || name == expected;
      }
      if (!known) {
        throw SqlError(8145, name + " is not a parameter for this procedure.");
      }
      values_[name] = given[at].value;
    }
  }

  bool has(const std::string& name) const {
    const auto found = values_.find(name);
    return found != values_.end() && !is_null(found->second.value);
  }
  bool given(const std::string& name) const { return values_.contains(name); }
  std::string text(const std::string& name) const {
    const auto found = values_.find(name);
    return found == values_.end() ? std::string()
                                  : display_text(found->second.value, found->second.type);
  }
  std::int64_t number(const std::string& name, std::int64_t otherwise) const {
    const auto found = values_.find(name);
    return has(name) ? integer_of(convert(found->second.value, found->second.type,
                                          type_of(TypeKind::kBigInt)))
                     : otherwise;
  }
  Lsn lsn(const std::string& name) const {
    const auto found = values_.find(name);
    return bytes_of(convert(found->second.value, found->second.type, binary_type(10, true)));
  }
  void need(const std::string& procedure, const std::string& name) const {
    if (!given(name)) {
      throw SqlError(201,
                     "Procedure or function '" + procedure + "' expects parameter '" + name +
                         "', which was not supplied.",
                     16, 4);
    }
  }

 private:
  std::map<std::string, TypedValue> values_;
};

EnableTableArguments enable_arguments(const std::vector<NamedValue>& given) {
  const Arguments arguments(
      given,
      {"@source_schema", "@source_name", "@capture_instance", "@supports_net_changes", "@role_name",
       "@index_name", "@captured_column_list", "@filegroup_name", "@allow_partition_switch"});
  for (const char* name : {"@source_schema", "@source_name", "@role_name"}) {
    arguments.need("sp_cdc_enable_table", name);
  }
  EnableTableArguments result;
  result.schema = arguments.text("@source_schema");
  result.table = arguments.text("@source_name");
  result.capture_instance = arguments.text("@capture_instance");
  result.supports_net_changes = arguments.number("@supports_net_changes", 0) != 0;
  result.index_name = arguments.text("@index_name");
  if (arguments.has("@role_name")) {
    result.role_name = arguments.text("@role_name");
  }
  std::string column;
  for (const char c : arguments.text("@captured_column_list") + ",") {
    if (c == ',') {
      if (!column.empty()) {
        result.columns.push_back(column);
      }
      column.clear();
    } else if (c != '[' && c != ']' && (c != ' ' || !column.empty())) {
      column.push_back(c);
    }
  }
  return result;
}

void require_owner(const SessionState& session) {
  if (!session.is_sysadmin() && !session.has_role("db_owner")) {
    throw SqlError(22904,
                   "Caller is not authorized to initiate the requested action. DBO privileges are "
                   "required.");
  }
}

// A transaction that has written to the table is waited for, so that none is captured in part.
void wait_for_writers(const SessionState& session, const std::string& schema,
                      const std::string& name) {
  const TablePtr table = session.current_database().table(schema, name);
  const TransactionId own = session.transaction == nullptr ? 0 : session.transaction->id;
  if (!table) {
    return;
  }
  for (const auto& [writer, count] : table->writers) {
    if (writer != own) {
      throw LockedBy{writer};
    }
  }
}

void enable_table_when_quiet(const SessionState& session, const std::vector<NamedValue>& given) {
  const EnableTableArguments arguments = enable_arguments(given);
  wait_for_writers(session, arguments.schema, arguments.table);
  enable_table(session.engine, session.current_database(), arguments);
}

void disable_table_when_quiet(const SessionState& session, const std::vector<NamedValue>& given) {
  const Arguments arguments(given, {"@source_schema", "@source_name", "@capture_instance"});
  wait_for_writers(session, arguments.text("@source_schema"), arguments.text("@source_name"));
  disable_table(session.engine, session.current_database(), arguments.text("@source_schema"),
                arguments.text("@source_name"), arguments.text("@capture_instance"));
}

Rowset help_jobs(const Engine& engine, const Database& database) {
  Rowset rowset{{{"job_id", type_of(TypeKind::kUniqueIdentifier)},
                 {"job_type", text_type(20, true)},
                 {"job_name", sysname_type()},
                 {"maxtrans", type_of(TypeKind::kInt)},
                 {"maxscans", type_of(TypeKind::kInt)},
                 {"continuous", type_of(TypeKind::kBit)},
                 {"pollinginterval", type_of(TypeKind::kBigInt)},
                 {"retention", type_of(TypeKind::kBigInt)},
                 {"threshold", type_of(TypeKind::kBigInt)}},
                {}};
  for (const Job* job : {&engine.capture_job, &engine.cleanup_job}) {
    const bool capture = job == &engine.capture_job;
    if (job->exists) {
      rowset.rows.push_back(std::make_shared<const Row>(
          Row{database.database_guid, text_value(capture ? "capture" : "cleanup"),
              text_value("cdc." + database.name + (capture ? "_capture" : "_cleanup")),
              std::int64_t{capture ? job->maxtrans : 0}, std::int64_t{capture ? job->maxscans : 0},
              std::int64_t{capture}, capture ? job->polling_seconds : 0,
              capture ? 0 : job->retention_minutes, capture ? 0 : job->threshold}));
    }
  }
  return rowset;
}

void change_job(Engine& engine, const std::vector<NamedValue>& given) {
  const Arguments arguments(given, {"@job_type", "@maxtrans", "@maxscans", "@continuous",
                                    "@pollinginterval", "@retention", "@threshold"});
  Job& job = arguments.text("@job_type") == "cleanup" ? engine.cleanup_job : engine.capture_job;
  job.maxtrans = static_cast<int>(arguments.number("@maxtrans", job.maxtrans));
  job.maxscans = static_cast<int>(arguments.number("@maxscans", job.maxscans));
  job.polling_seconds = arguments.number("@pollinginterval", job.polling_seconds);
  job.retention_minutes = arguments.number("@retention", job.retention_minutes);
  job.threshold = arguments.number("@threshold", job.threshold);
}

void rename(Session& session, const std::vector<NamedValue>& given) {
  const Arguments arguments(given, {"@objname", "@newname", "@objtype"});
  SessionState& state = session.state();
  std::string text = arguments.text("@objname");
  Name name(1);
  for (const char c : text) {
    if (c == '.') {
      name.emplace_back();
    } else if (c != '[' && c != ']') {
      name.back().push_back(c);
    }
  }
  Database& database = state.current_database();
  if (lower(arguments.text("@objtype")) == "column") {
    const std::string column = name.back();
    name.pop_back();
    const TablePtr table = find_table(state, name);
    const auto place = table ? table->shape->place_of(column) : std::nullopt;
    if (!place) {
      throw SqlError(
          15248,
          "Either the parameter @objname is ambiguous or the claimed @objtype (COLUMN) is wrong.",
          11);
    }
    if (table->tracked_by_cdc) {
      throw SqlError(4928, "Cannot alter column '" + column + "' because it is 'REPLICATED'.");
    }
    auto shape = std::make_shared<TableShape>(*table->shape);
    shape->columns[*place].name = arguments.text("@newname");
    table->shape = shape;
    return;
  }
  const TablePtr table = find_table(state, name);
  if (!table) {
    throw SqlError(
        15225, "No item by the name of '" + text + "' could be found in the current database.", 11);
  }
  database.rename_table(*table, arguments.text("@newname"));
  table->modify_date = state.engine.local_now();
}

}  // namespace

void Session::execute(const ExecStatement& exec) {
  if (exec.text) {
    const TypedValue text = evaluate(*exec.text);
    run_parametrised(display_text(text.value, text.type), {}, *sink_);
    return;
  }
  std::vector<NamedValue> arguments;
  for (const auto& argument : exec.args) {
    if (argument.expr) {
      arguments.push_back({argument.name, evaluate(*argument.expr)});
    }
  }
  call(exec.procedure.back(), arguments);
  if (!exec.result_variable.empty()) {
    state_.variables.at(lower(exec.result_variable)).value = std::int64_t{0};
  }
}

void Session::call(const std::string& procedure, const std::vector<NamedValue>& arguments) {
  std::string name = lower(procedure);
  if (const auto dot = name.rfind('.'); dot != std::string::npos) {
    name.erase(0, dot + 1);
  }
  if (name == "sp_executesql") {
    if (arguments.empty()) {
      throw SqlError(
          201,
          "Procedure or function 'sp_executesql' expects parameter '@statement', which was not "
          "supplied.",
          16, 4);
    }
    const auto text = [&arguments](std::size_t at) {
      return display_text(arguments[at].value.value, arguments[at].value.type);
    };
    std::vector<NamedValue> parameters;
    const auto definitions =
        arguments.size() > 1 ? parse_parameters(text(1)) : std::vector<ParameterDef>();
    for (std::size_t at = 0; at < definitions.size(); ++at) {
      TypedValue value{definitions[at].type, Null{}};
      for (std::size_t given = 2; given < arguments.size(); ++given) {
        const bool named = !arguments[given].name.empty();
        if (named ? same_name(arguments[given].name, definitions[at].name) : given == at + 2) {
          value.value =
              convert(arguments[given].value.value, arguments[given].value.type, value.type);
        }
      }
      parameters.push_back({definitions[at].name, std::move(value)});
    }
    run_parametrised(text(0), std::move(parameters), *sink_);
    return;
  }
  if (name.starts_with("sp_cdc_") && call_cdc(name, arguments)) {
    return;
  }
  if (name == "sp_rename") {
    {
      std::lock_guard lock(state_.engine.mutex);
      rename(*this, arguments);
    }
    sink_->done(std::nullopt);
    return;
  }
  if (name == "sp_addrolemember") {
    std::lock_guard lock(state_.engine.mutex);
    const Arguments named(arguments, {"@rolename", "@membername"});
    const auto login = state_.engine.logins.find(lower(named.text("@membername")));
    if (login == state_.engine.logins.end()) {
      throw SqlError(
          15410,
          "User or role '" + named.text("@membername") + "' does not exist in this database.", 11);
    }
    login->second.permissions.insert("role:" + lower(named.text("@rolename")));
    return;
  }
  throw SqlError(2812, "Could not find stored procedure '" + procedure + "'.", 16, 62);
}

bool Session::call_cdc(const std::string& name, const std::vector<NamedValue>& given) {
  Engine& engine = state_.engine;
  if (name == "sp_cdc_enable_table" || name == "sp_cdc_disable_table") {
    with_locks(false, [&] {
      require_owner(state_);
      name == "sp_cdc_enable_table" ? enable_table_when_quiet(state_, given)
                                    : disable_table_when_quiet(state_, given);
    });
    sink_->done(std::nullopt);
    return true;
  }
  std::optional<Rowset> result;
  {
    std::unique_lock lock(engine.mutex);
    Database& database = state_.current_database();
    require_owner(state_);
    if (name == "sp_cdc_enable_db") {
      if (engine.traits.engine_edition == 4) {
        throw SqlError(22988,
                       "This instance of SQL Server is the " + engine.traits.edition +
                           ". Change data capture is only available in the Enterprise, Developer, "
                           "Enterprise Evaluation, and Standard editions.");
      }
      enable_database(engine, database);
    } else if (name == "sp_cdc_disable_db") {
      disable_database(engine, database);
    } else if (name == "sp_cdc_cleanup_change_table") {
      const Arguments arguments(
          given, {"@capture_instance", "@low_water_mark", "@threshold", "@fcleanupfailed"});
      cleanup_change_table(engine, database, arguments.text("@capture_instance"),
                           arguments.has("@low_water_mark")
                               ? arguments.lsn("@low_water_mark")
                               : max_lsn(engine, database).value_or(zero_lsn()));
    } else if (name == "sp_cdc_scan") {
      const Arguments arguments(given,
                                {"@maxtrans", "@maxscans", "@continuous", "@pollinginterval"});
      capture(engine, database,
              static_cast<std::size_t>(arguments.number("@maxtrans", 500) *
                                       arguments.number("@maxscans", 10)));
    } else if (name == "sp_cdc_help_jobs") {
      result = help_jobs(engine, database);
    } else if (name == "sp_cdc_change_job") {
      change_job(engine, given);
    } else if (name == "sp_cdc_start_job" || name == "sp_cdc_stop_job") {
      if (!engine.agent_running) {
        throw SqlError(
            22022,
            "SQLServerAgent is not currently running so it cannot be notified of this action.");
      }
      const Arguments arguments(given, {"@job_type"});
      Job& job = arguments.text("@job_type") == "cleanup" ? engine.cleanup_job : engine.capture_job;
      job.running = name == "sp_cdc_start_job";
      engine.changed.notify_all();
    } else if (name == "sp_cdc_add_job" || name == "sp_cdc_drop_job") {
      const Arguments arguments(given, {"@job_type", "@start_job"});
      Job& job = arguments.text("@job_type") == "cleanup" ? engine.cleanup_job : engine.capture_job;
      job.exists = name == "sp_cdc_add_job";
      job.running = job.exists && engine.agent_running;
    } else {
      return false;
    }
  }
  if (result) {
    sink_->rows(std::move(result->columns), std::move(result->rows), true);
  } else {
    sink_->done(std::nullopt);
  }
  return true;
}

}  // namespace headgate::test::sqlserver
