// The checks for a person who asks: what keeps capturing going, and what the first copy needs.

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "db/odbc/statement.hpp"
#include "source/sqlserver/capture_health.hpp"
#include "source/sqlserver/check_parts.hpp"
#include "source/sqlserver/server_check.hpp"

namespace headgate::source::sqlserver {
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
