#include "source/sqlserver/capture_state.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "db/odbc/statement.hpp"

namespace headgate::source::sqlserver {
namespace {

// They are asked beside the stream, on its connection: a server that hangs may not hold that up.
constexpr Duration kAnswerMax = std::chrono::seconds(5);

std::optional<seconds> seconds_of(const odbc::Statement& rows, std::size_t column) {
  if (rows.is_null(column)) {
    return std::nullopt;
  }
  // A clock that was set back makes ages negative.
  return seconds(std::max<std::int64_t>(0, rows.integer(column)));
}

// An Error of `question` is a refusal.
template <typename T>
Answer<T> ask(const std::function<std::optional<T>()>& question) {
  Answer<T> answer;
  try {
    answer.value = question();
    answer.why = Unknown::kNotTold;
  } catch (const Error& error) {
    answer.refusal = error.what();
    answer.why = error.kind() == ErrorKind::kTransient ? Unknown::kPassing : Unknown::kForbidden;
  }
  return answer;
}

}  // namespace

int ServerFacts::major() const {
  int number = 0;
  std::from_chars(version.data(), version.data() + version.size(), number);
  return number;
}

ServerFacts read_server(odbc::Connection& connection) {
  odbc::Statement rows(connection, "look at the server");
  rows.execute(
      "SELECT CONVERT(nvarchar(128), SERVERPROPERTY('ProductVersion')), "
      "CONVERT(nvarchar(128), SERVERPROPERTY('Edition')), "
      "CONVERT(int, SERVERPROPERTY('EngineEdition')), DB_NAME(), SUSER_SNAME(), USER_NAME(), "
      "CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Updateability'))");
  ServerFacts facts;
  if (rows.next()) {
    facts.version = rows.text(0);
    facts.edition = rows.text(1);
    facts.engine_edition = static_cast<int>(rows.integer(2));
    facts.database = rows.text(3);
    facts.login = rows.text(4);
    facts.user = rows.text(5);
    facts.writable = rows.is_null(6) || rows.text(6) != "READ_ONLY";
    rows.drain();
  }
  return facts;
}

Answer<bool> read_agent(odbc::Connection& connection) {
  return ask<bool>([&]() -> std::optional<bool> {
    odbc::Statement rows(connection, "see whether SQL Server Agent runs");
    rows.set_timeout(kAnswerMax);
    rows.execute(
        "SELECT status FROM sys.dm_server_services WHERE servicename LIKE N'SQL Server Agent%'");
    if (!rows.next() || rows.is_null(0)) {
      return std::nullopt;
    }
    constexpr std::int64_t kRunning = 4;
    const bool runs = rows.integer(0) == kRunning;
    rows.drain();
    return runs;
  });
}

Answer<CaptureJobs> read_jobs(odbc::Connection& connection, const ServerFacts& server) {
  return ask<CaptureJobs>([&]() -> std::optional<CaptureJobs> {
    odbc::Statement rows(connection, "read cdc_jobs");
    rows.set_timeout(kAnswerMax);
    rows.execute(
        fmt::format("SELECT job_type, CONVERT(int, continuous), pollinginterval, retention FROM {}",
                    server.is_azure_database() ? "cdc.cdc_jobs"
                                               : "msdb.dbo.cdc_jobs WHERE database_id = DB_ID()"));
    CaptureJobs jobs;
    while (rows.next()) {
      if (rows.text(0) == "capture") {
        jobs.capture = true;
        jobs.continuous = rows.is_null(1) || rows.integer(1) != 0;
        jobs.polling = seconds_of(rows, 2).value_or(jobs.polling);
      } else if (rows.text(0) == "cleanup") {
        jobs.cleanup = true;
        jobs.retention = 60 * seconds_of(rows, 3).value_or(seconds(0));
      }
    }
    return jobs;
  });
}

Answer<bool> read_capture_job_runs(odbc::Connection& connection) {
  return ask<bool>([&]() -> std::optional<bool> {
    odbc::Statement rows(connection, "see whether the capture job runs");
    rows.set_timeout(kAnswerMax);
    rows.execute(
        "SELECT COUNT(*) FROM msdb.dbo.cdc_jobs j "
        "JOIN msdb.dbo.sysjobactivity a ON a.job_id = j.job_id "
        "WHERE j.database_id = DB_ID() AND j.job_type = N'capture' "
        "AND a.session_id = (SELECT MAX(s.session_id) FROM msdb.dbo.syssessions s) "
        "AND a.start_execution_date IS NOT NULL AND a.stop_execution_date IS NULL");
    if (!rows.next()) {
      return std::nullopt;
    }
    const bool runs = rows.integer(0) > 0;
    rows.drain();
    return runs;
  });
}

Answer<LogScans> read_scans(odbc::Connection& connection) {
  return ask<LogScans>([&]() -> std::optional<LogScans> {
    odbc::Statement rows(connection, "look at the capture process's scans");
    rows.set_timeout(kAnswerMax);
    // Session 0 is the sum of all. The newest may be under way; the one before it has ended.
    rows.execute(
        "SELECT TOP (2) DATEDIFF_BIG(second, end_time, GETDATE()), empty_scan_count "
        "FROM sys.dm_cdc_log_scan_sessions WHERE session_id <> 0 ORDER BY session_id DESC");
    LogScans scans;
    bool any = false;
    while (rows.next()) {
      any = true;
      if (rows.is_null(0)) {
        scans.active = true;
      } else if (!scans.since_last) {
        scans.since_last = seconds_of(rows, 0);
        scans.last_was_empty = !rows.is_null(1) && rows.integer(1) > 0;
      }
    }
    // Empty since the server's start or a failover, and on a secondary.
    return any ? std::optional(scans) : std::nullopt;
  });
}

Answer<CaptureError> read_last_error(odbc::Connection& connection) {
  return ask<CaptureError>([&]() -> std::optional<CaptureError> {
    odbc::Statement rows(connection, "look at the capture process's errors");
    rows.set_timeout(kAnswerMax);
    rows.execute(
        "SELECT TOP (1) error_number, DATEDIFF_BIG(second, entry_time, GETDATE()) "
        "FROM sys.dm_cdc_errors ORDER BY entry_time DESC");
    if (!rows.next() || rows.is_null(0)) {
      return std::nullopt;
    }
    CaptureError error{rows.integer(0), seconds_of(rows, 1).value_or(seconds(0))};
    rows.drain();
    return error;
  });
}

namespace {

// The age of one row of the mapping, and its LSN.
std::optional<std::pair<LSN, seconds>> age_of(odbc::Connection& connection,
                                              const std::string& rest) {
  odbc::Statement rows(connection, "look how old commits are");
  rows.set_timeout(kAnswerMax);
  rows.execute(
      "SELECT TOP (1) start_lsn, DATEDIFF_BIG(second, tran_end_time, GETDATE()) "
      "FROM cdc.lsn_time_mapping " +
      rest);
  if (!rows.next()) {
    return std::nullopt;
  }
  std::pair<LSN, seconds> age{LSN::from_bytes(rows.bytes(0)),
                              seconds_of(rows, 1).value_or(seconds(0))};
  rows.drain();
  return age;
}

}  // namespace

std::optional<CommitAges> read_ages(odbc::Connection& connection, const LSN& position) {
  const auto newest = age_of(connection, "ORDER BY start_lsn DESC");
  if (!newest) {
    return std::nullopt;
  }
  CommitAges ages;
  ages.newest_lsn = newest->first;
  ages.newest = newest->second;
  if (position.is_zero()) {
    return ages;
  }
  if (const auto at =
          age_of(connection,
                 fmt::format("WHERE start_lsn <= {} ORDER BY start_lsn DESC", position.to_hex()))) {
    ages.position = at->second;
  }
  if (const auto next = age_of(
          connection, fmt::format("WHERE start_lsn > {} ORDER BY start_lsn", position.to_hex()))) {
    ages.next = next->second;
  }
  return ages;
}

std::string in_words(seconds time) {
  struct Unit {
    std::int64_t length;
    const char* name;
  };
  constexpr std::array<Unit, 4> kUnits{{{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}}};
  const std::int64_t whole = std::max<std::int64_t>(0, time.count());
  for (std::size_t i = 0; i + 1 < kUnits.size(); ++i) {
    if (whole >= kUnits[i].length) {
      const std::int64_t rest = whole % kUnits[i].length / kUnits[i + 1].length;
      const std::string first = fmt::format("{} {}", whole / kUnits[i].length, kUnits[i].name);
      return rest == 0 ? first : fmt::format("{} {} {}", first, rest, kUnits[i + 1].name);
    }
  }
  return fmt::format("{} s", whole);
}

}  // namespace headgate::source::sqlserver
