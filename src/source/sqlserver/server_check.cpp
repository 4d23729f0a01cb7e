#include "source/sqlserver/server_check.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "db/odbc/statement.hpp"
#include "source/sqlserver/capture_health.hpp"

namespace headgate::source::sqlserver {
namespace {

// Tables and columns named in one line; the rest is counted.
constexpr std::size_t kNamedMax = 20;

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

// The numbers of 13.0.4001.0.
std::vector<int> numbers_of(const std::string& version) {
  std::vector<int> numbers;
  const char* at = version.data();
  const char* const end = at + version.size();
  while (at < end) {
    int number = 0;
    const auto [stop, failure] = std::from_chars(at, end, number);
    if (failure != std::errc{}) {
      break;
    }
    numbers.push_back(number);
    at = stop < end && *stop == '.' ? stop + 1 : end;
  }
  return numbers;
}

std::string lower(std::string text) {
  for (char& c : text) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return text;
}

bool same_but_for_case(const TableName& a, const TableName& b) {
  return lower(a.schema) == lower(b.schema) && lower(a.table) == lower(b.table);
}

// HAS_PERMS_BY_NAME is NULL for what the login cannot even see.
std::string may_select(const std::string& object) {
  return fmt::format("ISNULL(HAS_PERMS_BY_NAME({}, N'OBJECT', N'SELECT'), 0)", literal(object));
}

// Which of these objects the login may not read.
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

struct ServerTable {
  TableName name;
  bool memory_optimized = false;
  bool history = false;  // of a temporal table
};

std::vector<ServerTable> tables_of(odbc::Connection& connection) {
  odbc::Statement rows(connection, "list the tables");
  rows.execute(
      "SELECT SCHEMA_NAME(schema_id), name, CONVERT(int, is_memory_optimized), "
      "CONVERT(int, temporal_type) FROM sys.tables WHERE is_ms_shipped = 0");
  std::vector<ServerTable> tables;
  while (rows.next()) {
    ServerTable table;
    table.name = {rows.text(0), rows.text(1)};
    table.memory_optimized = !rows.is_null(2) && rows.integer(2) != 0;
    table.history = !rows.is_null(3) && rows.integer(3) == 1;
    tables.push_back(std::move(table));
  }
  return tables;
}

// Instances of tables that the login cannot see: names are hidden from who has no right on them.
std::vector<std::string> instances_of_hidden_tables(odbc::Connection& connection) {
  odbc::Statement rows(connection, "look for tables that are hidden from us");
  rows.execute(
      "SELECT capture_instance FROM cdc.change_tables WHERE OBJECT_NAME(source_object_id) IS NULL");
  std::vector<std::string> names;
  while (rows.next()) {
    names.push_back(rows.text(0));
  }
  return names;
}

Finding check_named_table(const TableName& name, const std::vector<ServerTable>& tables,
                          const std::vector<std::string>& hidden, const ServerFacts& server) {
  const auto exact = std::find_if(tables.begin(), tables.end(),
                                  [&](const ServerTable& table) { return table.name == name; });
  if (exact != tables.end()) {
    if (exact->memory_optimized) {
      return Finding::error(
          fmt::format("source: table {} is memory-optimized: such tables cannot be captured",
                      name.to_string()),
          "take it out of `tables`");
    }
    return Finding::error(fmt::format("source: table {} is not captured", name.to_string()),
                          enable_table(name))
        .mended_by("source", {enable_table(name)});
  }
  const auto other = std::find_if(tables.begin(), tables.end(), [&](const ServerTable& table) {
    return same_but_for_case(table.name, name);
  });
  if (other != tables.end()) {
    return Finding::error(fmt::format("source: there is no table {}, but {}", name.to_string(),
                                      other->name.to_string()),
                          "write the name in `tables` as the server has it, letter by letter");
  }
  if (!hidden.empty()) {
    return Finding::error(
        fmt::format("source: there is no table {} that {} may see; of other captured tables it may "
                    "not see the names (capture instances {})",
                    name.to_string(), server.user, joined(hidden)),
        fmt::format("GRANT VIEW DEFINITION TO {};", quoted(server.user)));
  }
  return Finding::error(
      fmt::format("source: table {} does not exist, or {} may not see it", name.to_string(),
                  server.user),
      fmt::format("correct `tables`, or GRANT VIEW DEFINITION TO {};", quoted(server.user)));
}

}  // namespace

std::string enable_table(const TableName& table) {
  std::string statement =
      fmt::format("EXEC sys.sp_cdc_enable_table @source_schema = {}, @source_name = {}",
                  literal(table.schema), literal(table.table));
  // The default, schema_table, may be too long (error 22927). Lengths in characters: bytes are as
  // many or more.
  constexpr std::size_t kInstanceMax = 100;
  if (table.schema.size() + 1 + table.table.size() > kInstanceMax) {
    std::string name = (table.schema + "_" + table.table).substr(0, kInstanceMax);
    while (!name.empty() && (static_cast<unsigned char>(name.back()) & 0xC0U) == 0x80U) {
      name.pop_back();  // not in the middle of a character
    }
    if (!name.empty() && static_cast<unsigned char>(name.back()) >= 0xC0U) {
      name.pop_back();
    }
    statement += ", @capture_instance = " + literal(name);
  }
  return statement + ", @role_name = NULL;";
}

Finding check_version(const ServerFacts& server) {
  constexpr int kSynapse = 6;
  constexpr int kServerless = 11;  // Synapse's, and Fabric's endpoints
  if (server.engine_edition == kSynapse || server.engine_edition == kServerless) {
    return Finding::error(
        fmt::format("source: {} captures no changes", server.edition),
        "name a SQL Server, an Azure SQL Database or a Managed Instance in source.dsn");
  }
  const std::string what = fmt::format("source: SQL Server {}, {}", server.version, server.edition);
  // SP1 of 2016 brought change data capture to the Standard Edition, and AT TIME ZONE its views.
  const std::vector<int> floor{13, 0, 4001};
  if (server.is_box_product() && numbers_of(server.version) < floor) {
    return Finding::error(what + " is older than SQL Server 2016 SP1 (13.0.4001)",
                          "upgrade the server");
  }
  return Finding::ok(what);
}

Finding check_capture_is_on(odbc::Connection& connection, const ServerFacts& server) {
  odbc::Statement rows(connection, "look at the database");
  rows.execute(
      "SELECT CONVERT(int, is_cdc_enabled) FROM sys.databases WHERE database_id = DB_ID()");
  if (!rows.next()) {
    throw Error{ErrorKind::kOperator, "source: the database is not in sys.databases",
                "name a database in source.dsn (Database=…)"};
  }
  const bool enabled = rows.integer(0) != 0;
  rows.drain();
  if (enabled) {
    return Finding::ok(
        fmt::format("source: change data capture is on in database {}", server.database));
  }
  const std::string off =
      fmt::format("source: change data capture is off in database {}", server.database);
  constexpr int kExpress = 4;
  if (server.engine_edition == kExpress || server.edition.starts_with("Web")) {
    return Finding::error(
        fmt::format("{}, and {} has none", off, server.edition),
        "move to the Standard, Enterprise or Developer edition (2016 SP1 or later)");
  }
  if (server.database == "master" || server.database == "msdb") {
    return Finding::error(off, "name the database in source.dsn (Database=…)");
  }
  const std::string enable = "EXEC sys.sp_cdc_enable_db;";
  return Finding::error(off, server.is_azure_database()
                                 ? enable + " (as db_owner); then enable the tables"
                                 : fmt::format("USE {}; {} (as sysadmin); then enable the tables",
                                               quoted(server.database), enable))
      .mended_by("source", {enable});
}

namespace {

// fn_cdc_get_min_lsn makes the check of the functions that are read: zeros are a refusal.
Findings check_functions(odbc::Connection& connection, const ServerFacts& server) {
  odbc::Statement rows(connection, "ask for our access to the capture instances");
  rows.execute(
      "SELECT capture_instance, role_name, OBJECT_SCHEMA_NAME(source_object_id), "
      "OBJECT_NAME(source_object_id) FROM cdc.change_tables WHERE "
      "sys.fn_cdc_get_min_lsn(capture_instance) = 0x00000000000000000000");
  Findings findings;
  const std::string user = quoted(server.user);
  while (rows.next()) {
    std::vector<std::string> statements;
    if (!rows.is_null(3)) {
      statements.push_back(fmt::format("GRANT SELECT ON {}.{} TO {};", quoted(rows.text(2)),
                                       quoted(rows.text(3)), user));
    }
    if (!rows.is_null(1)) {
      statements.push_back(fmt::format("ALTER ROLE {} ADD MEMBER {};", quoted(rows.text(1)), user));
    }
    std::string remedy;
    for (const std::string& statement : statements) {
      remedy += (remedy.empty() ? "" : " ") + statement;
    }
    findings.push_back(
        Finding::error(fmt::format("source: the functions of capture instance {} refuse user {}: "
                                   "they want SELECT on all its columns of the table, and "
                                   "membership in its gating role",
                                   rows.text(0), server.user),
                       remedy)
            .mended_by("source", statements));
  }
  return findings;
}

}  // namespace

Findings check_reading(odbc::Connection& connection, const ServerFacts& server, QueryMode mode) {
  {
    odbc::Statement rows(connection, "ask for our rights");
    rows.execute("SELECT ISNULL(HAS_PERMS_BY_NAME(N'cdc', N'SCHEMA', N'SELECT'), 0)");
    const bool all = rows.next() && rows.integer(0) != 0;
    rows.close();
    if (all) {
      return mode == QueryMode::kFunctions ? check_functions(connection, server) : Findings{};
    }
  }
  std::vector<std::string> refused = unreadable(
      connection, {"[cdc].[change_tables]", "[cdc].[captured_columns]", "[cdc].[index_columns]",
                   "[cdc].[lsn_time_mapping]", "[cdc].[ddl_history]"});
  if (refused.empty() && mode == QueryMode::kDirect) {
    std::vector<std::string> change_tables;
    odbc::Statement rows(connection, "list the capture instances");
    rows.execute("SELECT capture_instance FROM cdc.change_tables");
    while (rows.next()) {
      change_tables.push_back("[cdc]." + quoted(rows.text(0) + "_CT"));
    }
    refused = unreadable(connection, change_tables);
  }
  if (refused.empty()) {
    return mode == QueryMode::kFunctions ? check_functions(connection, server) : Findings{};
  }
  std::string grant = fmt::format("GRANT SELECT ON SCHEMA::[cdc] TO {};", quoted(server.user));
  if (mode == QueryMode::kFunctions) {
    // What is mirrored stays behind the functions and the gating roles.
    grant = fmt::format("GRANT VIEW DEFINITION ON SCHEMA::[cdc] TO {};", quoted(server.user));
    for (const std::string& table : refused) {
      grant += fmt::format(" GRANT SELECT ON {} TO {};", table, quoted(server.user));
    }
  }
  return {Finding::error(
              fmt::format("source: user {} may not read {}", server.user, joined(refused)), grant)
              .mended_by("source", {grant})};
}

Findings check_tables(odbc::Connection& connection, const ServerFacts& server,
                      const TableFilter& filter, const std::vector<CaptureInstance>& all) {
  const auto captured = [&](const TableName& name) {
    return std::any_of(all.begin(), all.end(),
                       [&](const CaptureInstance& instance) { return instance.table == name; });
  };
  const std::vector<ServerTable> tables = tables_of(connection);
  const std::vector<TableName> named = filter.named();
  Findings findings;
  std::optional<std::vector<std::string>> hidden;
  for (const TableName& name : named) {
    if (!captured(name)) {
      if (!hidden) {
        hidden = instances_of_hidden_tables(connection);
      }
      findings.push_back(check_named_table(name, tables, *hidden, server));
    }
  }
  std::vector<std::string> left_out;
  std::string statements;
  for (const ServerTable& table : tables) {
    const bool asked_for =
        filter.matches(table.name) && !table.memory_optimized && !table.history &&
        std::find(named.begin(), named.end(), table.name) == named.end() && !captured(table.name);
    if (asked_for) {
      if (left_out.size() < kNamedMax) {
        statements += (statements.empty() ? "" : " ") + enable_table(table.name);
      }
      left_out.push_back(table.name.to_string());
    }
  }
  if (!left_out.empty()) {
    findings.push_back(Finding::warning(
        fmt::format("source: {} `tables` but {} not captured, and so not followed: {}",
                    left_out.size() == 1 ? "one table matches" : "tables match",
                    left_out.size() == 1 ? "is" : "are", joined(left_out)),
        statements));
  }
  return findings;
}

namespace {

Finding hidden_from_us(const std::string& what, const std::string& refusal,
                       const std::string& grant) {
  return Finding::warning(fmt::format("source: {} cannot be seen by this login: {}", what, refusal),
                          grant);
}

// What cannot be seen, with the grant that shows it. Unknown for another reason: nothing is said.
void add_rights(Findings& findings, const CaptureSight& sight, const ServerFacts& server) {
  const std::string login = quoted(server.login);
  if (sight.agent.forbidden()) {
    findings.push_back(
        hidden_from_us("whether SQL Server Agent runs", sight.agent.refusal,
                       fmt::format("USE [master]; GRANT VIEW SERVER STATE TO {};", login)));
  }
  if (sight.jobs.forbidden() || sight.job_runs.forbidden()) {
    const bool jobs = sight.jobs.forbidden();
    findings.push_back(hidden_from_us(
        jobs ? "the capture and clean-up jobs" : "whether the capture job runs",
        jobs ? sight.jobs.refusal : sight.job_runs.refusal,
        server.is_azure_database()
            ? fmt::format("GRANT SELECT ON SCHEMA::[cdc] TO {};", quoted(server.user))
            : fmt::format(
                  "USE [msdb]; IF USER_ID({0}) IS NULL CREATE USER {1} FOR LOGIN {1}; GRANT SELECT "
                  "ON dbo.cdc_jobs TO {1}; GRANT SELECT ON dbo.sysjobactivity TO {1}; GRANT SELECT "
                  "ON dbo.syssessions TO {1};",
                  literal(server.login), login)));
  }
  if (sight.scans.forbidden()) {
    findings.push_back(
        hidden_from_us("the capture process's scans of the log", sight.scans.refusal,
                       fmt::format("GRANT VIEW DATABASE STATE TO {};", quoted(server.user))));
  }
}

Finding finding_of(const Judgement& judgement) {
  return judgement.urgency == Urgency::kWatch ? Finding::warning(judgement.what, judgement.remedy)
                                              : Finding::error(judgement.what, judgement.remedy);
}

void add_jobs(Findings& findings, const CaptureJobs& jobs) {
  if (!jobs.cleanup) {
    findings.push_back(
        Finding::warning("source: there is no clean-up job: the change tables grow without end",
                         "EXEC sys.sp_cdc_add_job @job_type = N'cleanup';"));
    return;
  }
  constexpr seconds kShort = std::chrono::hours(24);
  if (jobs.retention < kShort) {
    findings.push_back(Finding::warning(
        fmt::format("source: clean-up keeps changes for {} only: a stop of headgate or of a sink "
                    "that lasts longer loses what follows",
                    in_words(jobs.retention)),
        "EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = 4320;"));
    return;
  }
  findings.push_back(
      Finding::ok(fmt::format("source: clean-up keeps changes for {}", in_words(jobs.retention))));
}

}  // namespace

Findings check_capture(odbc::Connection& connection, const ServerFacts& server,
                       const std::vector<SinkStand>& sinks, const Options& options) {
  Findings findings;
  CaptureSight sight = look_at_capture(connection, server, {});
  // Beside a person who waits for the answer a standstill is a failure, though the daemon goes on
  // and hands over what was captured before.
  const auto capture = judge_capture(sight, options);
  if (capture && capture->urgency != Urgency::kNone) {
    Finding finding = Finding::error(capture->what, capture->remedy, ErrorKind::kTransient);
    if (capture->remedy.starts_with("EXEC sys.sp_cdc_start_job") ||
        capture->remedy.starts_with("EXEC sys.sp_cdc_add_job")) {
      finding = std::move(finding).mended_by("source", {capture->remedy});
    }
    findings.push_back(std::move(finding));
  } else if (sight.ages) {
    findings.push_back(Finding::ok(fmt::format(
        "source: captured up to {}, {} ago{}", sight.ages->newest_lsn.to_string(),
        in_words(sight.ages->newest), capture ? "" : "; whether that is all cannot be seen")));
  }
  if (sight.jobs.known()) {
    add_jobs(findings, *sight.jobs.value);
  }
  for (const SinkStand& sink : sinks) {
    sight.ages = read_ages(connection, sink.position.lsn);
    const auto position = judge_position(sight, sink.position.lsn, options);
    if (position && position->urgency != Urgency::kNone) {
      Finding finding = finding_of(*position);
      finding.what += fmt::format(" ({})", sink.sink);
      findings.push_back(std::move(finding));
    }
  }
  add_rights(findings, sight, server);
  return findings;
}

namespace {

bool is_large(const CapturedColumn& column) {
  const std::string& type = column.type.name;
  return column.type.max_length == -1 || type == "text" || type == "ntext" || type == "image" ||
         type == "xml";
}

// An application's statement fails when it writes more than this into such a column.
void add_large_values(Findings& findings, odbc::Connection& connection,
                      const std::vector<CaptureInstance>& ours) {
  std::vector<std::string> tables;
  for (const CaptureInstance& instance : ours) {
    if (std::any_of(instance.columns.begin(), instance.columns.end(), is_large)) {
      tables.push_back(instance.table.to_string());
    }
  }
  if (tables.empty()) {
    return;
  }
  odbc::Statement rows(connection, "ask for max text repl size");
  rows.execute(
      "SELECT CONVERT(bigint, value_in_use) FROM sys.configurations WHERE configuration_id = 1536");
  if (rows.next() && rows.integer(0) >= 0) {
    findings.push_back(Finding::warning(
        fmt::format("source: an application's statement that writes more than {} bytes into a "
                    "captured column of unlimited length fails (error 7139): {}",
                    rows.integer(0), joined(tables)),
        "EXEC sys.sp_configure N'max text repl size (B)', -1; RECONFIGURE;"));
  }
}

// char and varchar in another collation than the database's: capture converts them through the
// database's code page.
void add_collations(Findings& findings, odbc::Connection& connection,
                    const std::vector<CaptureInstance>& ours) {
  std::map<std::int64_t, std::vector<std::string>> columns;  // by change table
  {
    odbc::Statement rows(connection, "compare collations");
    rows.execute(
        "SELECT ct.object_id, c.name, c.collation_name FROM cdc.change_tables ct "
        "JOIN cdc.captured_columns cc ON cc.object_id = ct.object_id "
        "JOIN sys.columns c ON c.object_id = ct.source_object_id AND c.name = cc.column_name "
        "WHERE c.system_type_id IN (35, 167, 175) AND c.collation_name <> "
        "CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Collation'))");
    while (rows.next()) {
      columns[rows.integer(0)].push_back(fmt::format("{} ({})", rows.text(1), rows.text(2)));
    }
  }
  for (const CaptureInstance& instance : ours) {
    if (const auto found = columns.find(instance.change_table); found != columns.end()) {
      findings.push_back(Finding::warning(
          fmt::format("source: columns of table {} have another collation than the database, and "
                      "letters beyond ASCII may be captured wrongly: {}",
                      instance.table.to_string(), joined(found->second)),
          "make them nvarchar, or give them the database's collation, and make a new capture "
          "instance"));
    }
  }
}

void add_gating_roles(Findings& findings, odbc::Connection& connection, const ServerFacts& server,
                      const std::vector<CaptureInstance>& ours) {
  std::map<std::string, std::vector<std::string>> gated;  // by role
  {
    odbc::Statement rows(connection, "look for gating roles");
    rows.execute(
        "SELECT object_id, role_name FROM cdc.change_tables WHERE role_name IS NOT NULL "
        "AND ISNULL(IS_ROLEMEMBER(role_name), 0) = 0 AND ISNULL(IS_ROLEMEMBER(N'db_owner'), 0) = "
        "0");
    while (rows.next()) {
      const auto instance =
          std::find_if(ours.begin(), ours.end(), [&](const CaptureInstance& candidate) {
            return candidate.change_table == rows.integer(0);
          });
      if (instance != ours.end()) {
        gated[rows.text(1)].push_back(instance->name);
      }
    }
  }
  for (const auto& [role, instances] : gated) {
    findings.push_back(Finding::warning(
        fmt::format("source: user {} is no member of role {}, which gates the capture instances "
                    "{}: their change tables are read without its functions, which alone are known "
                    "to ask for the role",
                    server.user, role, joined(instances)),
        fmt::format("ALTER ROLE {} ADD MEMBER {};", quoted(role), quoted(server.user))));
  }
}

// What the server says to who asks as a copy point does (ScanFence); empty: nothing.
std::string refuses_log_places(odbc::Connection& connection) {
  try {
    for (const char* view : {"sys.dm_tran_database_transactions", "sys.dm_tran_current_transaction",
                             "sys.dm_cdc_log_scan_sessions"}) {
      odbc::Statement rows(connection, "look for the places of transactions in the log");
      rows.execute(fmt::format("SELECT COUNT(*) FROM {}", view));
      rows.next();
      rows.drain();
    }
  } catch (const odbc::OdbcError& error) {
    if (error.kind() != ErrorKind::kOperator) {
      throw;
    }
    return error.what();
  }
  return {};
}

// What stops writers, or what that would be good for.
void add_locking(Findings& findings, const std::vector<CaptureInstance>& ours,
                 const Options& options) {
  if (options.lock_tables) {
    findings.push_back(Finding::ok(fmt::format(
        "source: tables are locked against writers while a copy point begins, for {} ms at most "
        "(snapshot.locking: brief)",
        std::chrono::duration_cast<std::chrono::milliseconds>(options.table_lock_timeout)
            .count())));
    return;
  }
  std::vector<std::string> keyless;
  for (const CaptureInstance& instance : ours) {
    if (instance.key.empty()) {
      keyless.push_back(instance.table.to_string());
    }
  }
  if (!keyless.empty()) {
    findings.push_back(Finding::warning(
        fmt::format("source: a copy of a table without a key waits as long as rows of it that are "
                    "like others change all the time: {}",
                    joined(keyless)),
        "give it a primary key, or set snapshot.locking: brief, which stops its writers for "
        "moments"));
  }
}

void add_first_copy(Findings& findings, odbc::Connection& connection, const ServerFacts& server,
                    const std::vector<CaptureInstance>& ours, const Options& options) {
  add_locking(findings, ours, options);
  std::vector<std::string> tables;
  for (const CaptureInstance& instance : ours) {
    tables.push_back(quoted(instance.table.schema) + "." + quoted(instance.table.table));
  }
  const std::vector<std::string> refused = unreadable(connection, tables);
  if (!refused.empty()) {
    std::vector<std::string> grants;
    std::string remedy;
    for (const std::string& table : refused) {
      grants.push_back(fmt::format("GRANT SELECT ON {} TO {};", table, quoted(server.user)));
      remedy += (remedy.empty() ? "" : " ") + grants.back();
    }
    findings.push_back(
        Finding::error(fmt::format("source: user {} may not read {}, which the first "
                                   "copy needs",
                                   server.user, joined(refused)),
                       remedy)
            .mended_by("source", grants));
  }
  if (const std::string refusal = refuses_log_places(connection); !refusal.empty()) {
    const std::string grant =
        server.is_azure_database()
            ? fmt::format("GRANT VIEW DATABASE STATE TO {};", quoted(server.user))
            : fmt::format("USE [master]; GRANT VIEW SERVER STATE TO {};", quoted(server.login));
    findings.push_back(
        Finding::error(fmt::format("source: login {} may not see where in the log its transactions "
                                   "stand, which the first copy needs: {}",
                                   server.login, refusal),
                       grant)
            .mended_by("source", {grant}));
  }
  odbc::Statement rows(connection, "look for snapshot isolation");
  rows.execute(
      "SELECT CONVERT(int, snapshot_isolation_state) FROM sys.databases WHERE database_id = "
      "DB_ID()");
  constexpr std::int64_t kOn = 1;
  if (rows.next() && rows.integer(0) != kOn) {
    rows.drain();
    const std::string allow =
        fmt::format("ALTER DATABASE {} SET ALLOW_SNAPSHOT_ISOLATION ON;", quoted(server.database));
    findings.push_back(Finding::error("source: snapshot isolation is not allowed, and the first "
                                      "copy needs it",
                                      allow)
                           .mended_by("source", {allow}));
  }
}

}  // namespace

Findings check_details(odbc::Connection& connection, const ServerFacts& server,
                       const std::vector<CaptureInstance>& ours, const Options& options) {
  Findings findings;
  if (options.query_mode == QueryMode::kDirect) {
    add_gating_roles(findings, connection, server, ours);  // the functions have told already
  }
  add_collations(findings, connection, ours);
  if (!server.is_azure_database()) {
    add_large_values(findings, connection, ours);
  }
  if (options.copy_rows) {
    add_first_copy(findings, connection, server, ours, options);
  }
  return findings;
}

}  // namespace headgate::source::sqlserver
