#include "support/sqlserver_double/catalog_views.hpp"
#include "support/sqlserver_double/cdc.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

const SqlType kInt = type_of(TypeKind::kInt);
const SqlType kSmall = type_of(TypeKind::kSmallInt);
const SqlType kBig = type_of(TypeKind::kBigInt);
const SqlType kDateTime = type_of(TypeKind::kDateTime);
const SqlType kGuid = type_of(TypeKind::kUniqueIdentifier);

void require(Context& context, const std::string& permission, int number_without) {
  if (!context.session.may(permission)) {
    std::string upper = permission;
    for (char& c : upper) {
      c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
    }
    throw SqlError(number_without,
                   upper + " permission was denied on object 'server', database 'master'.", 14);
  }
}

// 2022 split the old right; either is taken.
void require_database_state(Context& context) {
  if (!context.session.may("view database performance state") &&
      !context.session.may("view server state")) {
    require(context, "view database state", 262);
  }
}

Rowset recovery_status_view(Context& context) {
  Rowset rowset = empty_rowset({{"database_id", kInt, false},
                                {"database_guid", kGuid},
                                {"family_guid", kGuid},
                                {"last_log_backup_lsn", decimal_type(25, 0)},
                                {"recovery_fork_guid", kGuid},
                                {"first_recovery_fork_guid", kGuid},
                                {"fork_point_lsn", decimal_type(25, 0)}});
  for (const auto& [key, database] : context.engine().databases) {
    add_row(rowset, {number(database->id), database->database_guid, database->family_guid, Null{},
                     database->recovery_fork_guid, Null{}, Null{}});
  }
  return rowset;
}

// One aggregate row (session 0) and one of the last scan, behind it the one under way. An empty
// scan's LSNs are zeros with a NUL behind them, which real servers send too.
Rowset log_scan_view(Context& context, Database& database) {
  const SqlType lsn_text = text_type(23, true);
  Rowset rowset = empty_rowset({{"session_id", kInt},
                                {"start_time", kDateTime},
                                {"end_time", kDateTime},
                                {"duration", kInt},
                                {"scan_phase", text_type(200, true)},
                                {"error_count", kInt},
                                {"start_lsn", lsn_text},
                                {"current_lsn", lsn_text},
                                {"end_lsn", lsn_text},
                                {"tran_count", kBig},
                                {"last_commit_lsn", lsn_text},
                                {"last_commit_time", kDateTime},
                                {"log_record_count", kBig},
                                {"schema_change_count", kInt},
                                {"command_count", kBig},
                                {"first_begin_cdc_lsn", lsn_text},
                                {"last_commit_cdc_lsn", lsn_text},
                                {"last_commit_cdc_time", kDateTime},
                                {"latency", kInt},
                                {"empty_scan_count", kInt},
                                {"failed_sessions_count", kInt}});
  if (!database.cdc_enabled || database.captured_upto.empty() || !database.last_scan ||
      context.session.read_only_intent) {
    return rowset;
  }
  const LogScan& last = *database.last_scan;
  const Value began = rounded(last.began, kDateTime);
  const Value now = rounded(last.ended, kDateTime);
  const Value upto = text_value(colon_text(database.captured_upto));
  std::u16string empty_lsn = utf16_of_utf8(colon_text(zero_lsn()));
  empty_lsn.push_back(u'\0');
  for (const std::int64_t session : {std::int64_t{0}, last.session, last.session + 1}) {
    const bool under_way = session > last.session;
    if (under_way && !database.scanning) {
      continue;
    }
    add_row(rowset, {number(session),
                     under_way ? now : began,
                     under_way ? Value(Null{}) : now,
                     number(0),
                     text_value("Done"),
                     number(0),
                     empty_lsn,
                     upto,
                     upto,
                     number(1),
                     upto,
                     now,
                     number(1),
                     number(0),
                     number(1),
                     upto,
                     upto,
                     now,
                     number(static_cast<std::int64_t>(database.uncaptured.size())),
                     number(under_way ? 0 : last.empty_scans),
                     number(0)});
  }
  return rowset;
}

Rowset cdc_errors_view(const Database& database) {
  Rowset rowset = empty_rowset({{"session_id", kInt},
                                {"phase_number", kInt},
                                {"entry_time", kDateTime},
                                {"error_number", kInt},
                                {"error_severity", kInt},
                                {"error_state", kInt},
                                {"error_message", text_type(1024, true)},
                                {"start_lsn", text_type(23, true)},
                                {"begin_lsn", text_type(23, true)},
                                {"sequence_value", text_type(23, true)}});
  for (const CaptureFailure& failure : database.capture_failures) {
    add_row(rowset, {number(1), number(3), rounded(failure.time, kDateTime), number(failure.number),
                     number(16), number(1), text_value("of the double"), Null{}, Null{}, Null{}});
  }
  return rowset;
}

// Of Windows' names, which SQL Server knows on Linux, too.
Rowset time_zones_view(Context& context) {
  Rowset rowset = empty_rowset({{"name", sysname_type()},
                                {"current_utc_offset", text_type(6, true)},
                                {"is_currently_dst", type_of(TypeKind::kBit)}});
  for (const TimeZone& zone : time_zones()) {
    const int minutes = zone.offset_at_utc(context.engine().utc_now());
    const int size = minutes < 0 ? -minutes : minutes;
    const auto digits = [](int value) { return (value < 10 ? "0" : "") + std::to_string(value); };
    add_row(rowset,
            {text_value(zone.name),
             text_value((minutes < 0 ? "-" : "+") + digits(size / 60) + ":" + digits(size % 60)),
             number(minutes != zone.minutes)});
  }
  return rowset;
}

Rowset services_view(Context& context) {
  Rowset rowset = empty_rowset({{"servicename", text_type(256, true)},
                                {"startup_type", kInt},
                                {"startup_type_desc", text_type(256, true)},
                                {"status", kInt},
                                {"status_desc", text_type(256, true)}});
  const bool agent = context.engine().agent_running;
  add_row(rowset, {text_value("SQL Server (MSSQLSERVER)"), number(2), text_value("Automatic"),
                   number(4), text_value("Running")});
  add_row(rowset, {text_value("SQL Server Agent (MSSQLSERVER)"), number(2), text_value("Automatic"),
                   number(agent ? 4 : 1), text_value(agent ? "Running" : "Stopped")});
  return rowset;
}

Rowset current_transaction_view(Context& context) {
  Rowset rowset = empty_rowset({{"transaction_id", kBig},
                                {"transaction_sequence_num", kBig},
                                {"transaction_is_snapshot", type_of(TypeKind::kBit)}});
  const Transaction* transaction = context.session.transaction;
  const auto id = transaction == nullptr ? 0 : static_cast<std::int64_t>(transaction->id);
  add_row(rowset,
          {number(id), number(id), number(context.session.isolation == Isolation::kSnapshot)});
  return rowset;
}

Rowset database_transactions_view(Context& context, Database& database) {
  Rowset rowset =
      empty_rowset({{"transaction_id", kBig},
                    {"database_id", kInt},
                    {"database_transaction_begin_lsn", decimal_type(25, 0)},
                    {"database_transaction_most_recent_savepoint_lsn", decimal_type(25, 0)}});
  const Transaction* transaction = context.session.transaction;
  if (transaction != nullptr) {
    const auto logged = transaction->logged.find(&database);
    add_row(rowset,
            {number(static_cast<std::int64_t>(transaction->id)), number(database.id),
             logged == transaction->logged.end() ? Value(Null{})
                                                 : Value(decimal_lsn(logged->second.begin_lsn)),
             transaction->savepoint_lsn.empty() ? Value(Null{})
                                                : Value(decimal_lsn(transaction->savepoint_lsn))});
  }
  return rowset;
}

Rowset sessions_view(Context& context) {
  Rowset rowset = empty_rowset({{"session_id", kSmall, false},
                                {"login_name", text_type(128, true)},
                                {"program_name", text_type(128, true)},
                                {"host_name", text_type(128, true)},
                                {"transaction_isolation_level", kSmall}});
  const SessionState& session = context.session;
  const std::int64_t level = session.isolation == Isolation::kSnapshot
                                 ? 5
                                 : static_cast<std::int64_t>(session.isolation) + 1;
  add_row(rowset, {number(session.spid), text_value(session.login), text_value(session.application),
                   text_value(session.host), number(level)});
  return rowset;
}

Rowset configurations_view() {
  const SqlType variant = type_of(TypeKind::kVariant);
  Rowset rowset = empty_rowset({{"configuration_id", kInt, false},
                                {"name", text_type(35, true)},
                                {"value", variant},
                                {"value_in_use", variant}});
  const Value value = std::make_shared<const TypedValue>(TypedValue{kInt, std::int64_t{65536}});
  add_row(rowset, {number(1536), text_value("max text repl size (B)"), value, value});
  return rowset;
}

}  // namespace

std::optional<Rowset> server_view(Context& context, Database& database, const std::string& name) {
  if (name == "database_recovery_status") {
    return recovery_status_view(context);
  }
  if (name == "dm_cdc_log_scan_sessions") {
    require_database_state(context);
    return log_scan_view(context, database);
  }
  if (name == "dm_cdc_errors") {
    require_database_state(context);
    return cdc_errors_view(database);
  }
  if (name == "time_zone_info") {
    return time_zones_view(context);
  }
  if (name == "dm_server_services" && context.engine().traits.engine_edition != 5) {
    require(context, "view server state", 300);
    return services_view(context);
  }
  if (name == "dm_tran_current_transaction") {
    require(context, "view server state", 300);
    return current_transaction_view(context);
  }
  if (name == "dm_tran_database_transactions") {
    require(context, "view server state", 300);
    return database_transactions_view(context, database);
  }
  if (name == "dm_exec_sessions") {
    return sessions_view(context);
  }
  if (name == "configurations") {
    return configurations_view();
  }
  return std::nullopt;
}

std::optional<Rowset> information_view(Context& context, Database& database,
                                       const std::string& name) {
  static_cast<void>(context);
  const SqlType text = text_type(128, true);
  if (name == "tables") {
    Rowset rowset = empty_rowset({{"TABLE_CATALOG", text},
                                  {"TABLE_SCHEMA", text},
                                  {"TABLE_NAME", text},
                                  {"TABLE_TYPE", text}});
    for (const auto& [id, table] : database.tables()) {
      add_row(rowset, {text_value(database.name), text_value(table->schema),
                       text_value(table->name), text_value("BASE TABLE")});
    }
    return rowset;
  }
  if (name == "columns") {
    Rowset rowset = empty_rowset({{"TABLE_CATALOG", text},
                                  {"TABLE_SCHEMA", text},
                                  {"TABLE_NAME", text},
                                  {"COLUMN_NAME", text},
                                  {"ORDINAL_POSITION", kInt},
                                  {"IS_NULLABLE", text},
                                  {"DATA_TYPE", text}});
    for (const auto& [id, table] : database.tables()) {
      std::int64_t ordinal = 0;
      for (const Column& column : table->shape->columns) {
        add_row(rowset,
                {text_value(database.name), text_value(table->schema), text_value(table->name),
                 text_value(column.name), number(++ordinal),
                 text_value(column.nullable ? "YES" : "NO"), text_value(name_of(column.type))});
      }
    }
    return rowset;
  }
  return std::nullopt;
}

}  // namespace headgate::test::sqlserver
