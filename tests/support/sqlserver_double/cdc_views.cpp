#include "support/sqlserver_double/catalog_views.hpp"
#include "support/sqlserver_double/cdc.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

const SqlType kInt = type_of(TypeKind::kInt);
const SqlType kBit = type_of(TypeKind::kBit);
const SqlType kBig = type_of(TypeKind::kBigInt);
const SqlType kDateTime = type_of(TypeKind::kDateTime);
const SqlType kName = sysname_type();
const SqlType kLsn = binary_type(10, true);

Rowset change_tables_view(Database& database) {
  Rowset rowset = empty_rowset({{"object_id", kInt, false},
                                {"version", kInt},
                                {"source_object_id", kInt},
                                {"capture_instance", kName, false},
                                {"start_lsn", kLsn},
                                {"end_lsn", kLsn},
                                {"supports_net_changes", kBit},
                                {"has_drop_pending", kBit},
                                {"role_name", kName},
                                {"index_name", kName},
                                {"filegroup_name", kName},
                                {"create_date", kDateTime},
                                {"partition_switch", kBit, false}});
  for (const CaptureInstance& instance : database.instances) {
    add_row(rowset, {number(instance.object_id), number(0), number(instance.source_object_id),
                     text_value(instance.name), instance.start_lsn, Null{},
                     number(instance.supports_net_changes), number(0),
                     instance.role_name ? text_value(*instance.role_name) : Value(Null{}),
                     name_or_null(instance.index_name), Null{}, instance.create_date, number(1)});
  }
  return rowset;
}

Rowset captured_columns_view(Database& database) {
  Rowset rowset = empty_rowset({{"object_id", kInt, false},
                                {"column_name", kName, false},
                                {"column_id", kInt},
                                {"column_type", kName, false},
                                {"column_ordinal", kInt, false},
                                {"is_computed", kBit}});
  for (const CaptureInstance& instance : database.instances) {
    for (const CapturedColumn& column : instance.columns) {
      add_row(rowset,
              {number(instance.object_id), text_value(column.name), number(column.column_id),
               text_value(name_of(column.type)), number(column.ordinal), number(column.computed)});
    }
  }
  return rowset;
}

Rowset cdc_index_columns_view(Database& database) {
  Rowset rowset = empty_rowset({{"object_id", kInt, false},
                                {"column_name", kName, false},
                                {"index_ordinal", type_of(TypeKind::kTinyInt), false},
                                {"column_id", kInt, false}});
  for (const CaptureInstance& instance : database.instances) {
    std::int64_t ordinal = 0;
    for (const std::string& name : instance.index_columns) {
      const CapturedColumn* column = instance.column(name);
      add_row(rowset, {number(instance.object_id), text_value(name), number(++ordinal),
                       number(column == nullptr ? 0 : column->column_id)});
    }
  }
  return rowset;
}

// One row for each DDL statement and instance, also for instances that are younger than it.
Rowset ddl_history_view(Database& database) {
  Rowset rowset = empty_rowset({{"source_object_id", kInt},
                                {"object_id", kInt, false},
                                {"required_column_update", kBit},
                                {"ddl_command", text_type(kMaxLength, true)},
                                {"ddl_lsn", kLsn},
                                {"ddl_time", kDateTime}});
  for (const CapturedDdl& ddl : database.ddl_history) {
    for (const CaptureInstance* instance : database.instances_of(ddl.source_object_id)) {
      add_row(rowset, {number(ddl.source_object_id), number(instance->object_id),
                       number(ddl.required_column_update), text_value(ddl.command), ddl.lsn,
                       rounded(ddl.time, kDateTime)});
    }
  }
  return rowset;
}

const std::string& job_id(const Database& database, bool capture) {
  return capture ? database.database_guid : database.family_guid;
}

// Of this start of the Agent, which is number 1.
Rowset job_activity_view(Context& context) {
  Rowset rowset = empty_rowset({{"session_id", kInt, false},
                                {"job_id", type_of(TypeKind::kUniqueIdentifier), false},
                                {"run_requested_date", kDateTime},
                                {"start_execution_date", kDateTime},
                                {"stop_execution_date", kDateTime}});
  const Engine& engine = context.engine();
  for (const auto& [key, database] : engine.databases) {
    if (!database->cdc_enabled || !engine.capture_job.exists) {
      continue;
    }
    const Value began = rounded(database->create_date, kDateTime);
    add_row(rowset,
            {number(1), job_id(*database, true), began, began,
             engine.capture_job.running ? Value(Null{}) : rounded(engine.local_now(), kDateTime)});
    add_row(rowset, {number(1), job_id(*database, false), began, began, began});
  }
  return rowset;
}

Rowset agent_sessions_view() {
  Rowset rowset = empty_rowset({{"session_id", kInt, false}, {"agent_start_date", kDateTime}});
  add_row(rowset, {number(1), Null{}});
  return rowset;
}

Rowset jobs_view(Context& context) {
  Rowset rowset = empty_rowset({{"database_id", kInt, false},
                                {"job_type", text_type(20, true), false},
                                {"job_id", type_of(TypeKind::kUniqueIdentifier)},
                                {"maxtrans", kInt},
                                {"maxscans", kInt},
                                {"continuous", kBit},
                                {"pollinginterval", kBig},
                                {"retention", kBig},
                                {"threshold", kBig}});
  const Engine& engine = context.engine();
  for (const auto& [key, database] : engine.databases) {
    if (!database->cdc_enabled) {
      continue;
    }
    for (const Job* job : {&engine.capture_job, &engine.cleanup_job}) {
      const bool capture = job == &engine.capture_job;
      if (job->exists) {
        add_row(rowset, {number(database->id), text_value(capture ? "capture" : "cleanup"),
                         job_id(*database, capture), number(capture ? job->maxtrans : 0),
                         number(capture ? job->maxscans : 0), number(capture),
                         number(capture ? job->polling_seconds : 0),
                         number(capture ? 0 : job->retention_minutes),
                         number(capture ? 0 : job->threshold)});
      }
    }
  }
  return rowset;
}

}  // namespace

std::optional<Rowset> cdc_view(Context& context, Database& database, const std::string& name) {
  if (name == "cdc_jobs") {
    // msdb has the table from the first database with CDC on; Azure SQL Database has it in cdc.
    const bool azure = context.engine().traits.engine_edition == 5;
    bool any = false;
    for (const auto& [key, other] : context.engine().databases) {
      any = any || other->cdc_enabled;
    }
    if (!any || azure != database.cdc_enabled) {
      return std::nullopt;
    }
    require_select(context.session, {&database, azure ? "cdc" : "dbo", name});
    return jobs_view(context);
  }
  if ((name == "sysjobactivity" || name == "syssessions") && same_name(database.name, "msdb")) {
    require_select(context.session, {&database, "dbo", name});
    return name == "syssessions" ? agent_sessions_view() : job_activity_view(context);
  }
  if (!database.cdc_enabled) {
    return std::nullopt;
  }
  const bool known = name == "change_tables" || name == "captured_columns" ||
                     name == "index_columns" || name == "ddl_history";
  if (known) {
    require_select(context.session, {&database, "cdc", name});
  }
  return name == "change_tables"      ? std::optional<Rowset>(change_tables_view(database))
         : name == "captured_columns" ? std::optional<Rowset>(captured_columns_view(database))
         : name == "index_columns"    ? std::optional<Rowset>(cdc_index_columns_view(database))
         : name == "ddl_history"      ? std::optional<Rowset>(ddl_history_view(database))
                                      : std::nullopt;
}

}  // namespace headgate::test::sqlserver
