// What the server tells of the machinery that fills and empties the change tables: SQL Server
// Agent, the capture job and its scans of the log, the clean-up job, and how old what is.
//
// Most of it needs rights beyond reading change tables, and services hide parts of it. Each
// question is asked alone, so that what one login may not see leaves the rest; what cannot be known
// is not guessed. Nothing here changes anything.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "core/lsn.hpp"
#include "db/odbc/connection.hpp"

namespace headgate::source::sqlserver {

using std::chrono::seconds;

// Which server this is, and who we are on it.
struct ServerFacts {
  std::string version;     // 16.0.4135.4; Azure's services say 12.0 whatever they are
  std::string edition;     // Developer Edition (64-bit)
  int engine_edition = 0;  // SERVERPROPERTY('EngineEdition')
  std::string database;
  std::string login;
  std::string user;      // in the database
  bool writable = true;  // else a readable secondary: capture runs on another server

  int major() const;
  // Azure SQL Database, or the one in Fabric: no Agent, no msdb.
  bool is_azure_database() const { return engine_edition == 5 || engine_edition == 12; }
  bool is_managed_instance() const { return engine_edition == 8; }
  // Version numbers mean what they say, and the Agent is a service of its own.
  bool is_box_product() const { return engine_edition >= 1 && engine_edition <= 4; }
};
ServerFacts read_server(odbc::Connection& connection);

// Why a question has no answer.
enum class Unknown {
  kNotAsked,   // not where this kind of server would have it
  kNotTold,    // the view is there, and says nothing
  kForbidden,  // the login lacks a right, or the object is not there
  kPassing,    // a lock, a time-out, a lost connection
};

// What one question brought.
template <typename T>
struct Answer {
  std::optional<T> value{};
  Unknown why = Unknown::kNotAsked;  // with no value
  std::string refusal{};             // the server's words, with kForbidden and kPassing

  bool known() const { return value.has_value(); }
  bool forbidden() const { return !value && why == Unknown::kForbidden; }
  bool passing() const { return !value && why == Unknown::kPassing; }
};

// Whether SQL Server Agent runs. Not known where there is none, or without VIEW SERVER STATE.
Answer<bool> read_agent(odbc::Connection& connection);

// cdc_jobs: what the jobs are told to do.
struct CaptureJobs {
  bool capture = false;    // there is such a job
  bool continuous = true;  // else it runs when its schedule says
  seconds polling{5};
  bool cleanup = false;
  seconds retention{0};
};
Answer<CaptureJobs> read_jobs(odbc::Connection& connection, const ServerFacts& server);

// Whether the capture job is being executed now, as msdb's activity says.
Answer<bool> read_capture_job_runs(odbc::Connection& connection);

// The capture process's sessions of reading the log.
struct LogScans {
  bool active = false;  // one is under way
  std::optional<seconds>
      since_last{};             // since the last finished one; none since the server's start
  bool last_was_empty = false;  // it found nothing: everything was captured then
};
Answer<LogScans> read_scans(odbc::Connection& connection);

// The newest entry of sys.dm_cdc_errors. Its text quotes rows, so it stays there.
struct CaptureError {
  std::int64_t number = 0;
  seconds ago{0};
};
Answer<CaptureError> read_last_error(odbc::Connection& connection);

// How old commits are, by the server's clock: as clean-up counts, in its local time. Needs no more
// than reading does.
struct CommitAges {
  LSN newest_lsn;  // of what is captured
  seconds newest{0};
  std::optional<seconds> position{};  // of the last commit up to the position; none: cleaned up
  std::optional<seconds> next{};  // of the first commit behind it; none: nothing is captured there
};
// None while nothing was ever captured. Throws OdbcError.
std::optional<CommitAges> read_ages(odbc::Connection& connection, const LSN& position);

// "5 h 12 min", "3 d", "40 s": the two largest units.
std::string in_words(seconds time);
}  // namespace headgate::source::sqlserver
