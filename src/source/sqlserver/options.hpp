// Options of a SQL Server source. Plain values; config/ fills them.

#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "pipeline/snapshot_capturer.hpp"

namespace headgate::source::sqlserver {

// How the rows of change tables are read.
enum class QueryMode {
  // SELECT from the change tables, along their clustered index.
  kDirect,
  // cdc.fn_cdc_get_all_changes_…, for logins that may not SELECT from the change tables: the server
  // checks the gating role, and the range. Slower, and without __$command_id.
  kFunctions,
};

struct Options {
  // ODBC's, as the user gave it, and the password from password_file.
  std::string connection_string;
  std::string password;

  // In the configuration's order, as for PostgreSQL.
  std::vector<std::string> tables;

  // How often the server is asked whether something was captured.
  Duration poll_interval = std::chrono::milliseconds(500);

  QueryMode query_mode = QueryMode::kDirect;

  // Connections that read change tables at the same time. One is enough until the tables of a
  // window wait for the server rather than for us; each further one costs a session, a thread, and
  // a page of rows more per table.
  std::size_t readers = 1;

  // Transactions in one window, and rows in one page of a change table.
  std::size_t window_transactions_max = 500;
  std::size_t page_rows = 2000;

  // A lock of somebody else (the capture job's, the clean-up's) is waited for so long, and a
  // statement's answer.
  Duration lock_timeout = std::chrono::seconds(10);
  Duration statement_timeout = std::chrono::seconds(60);

  // With nothing captured, how often the sinks' positions follow, so that three quiet days do not
  // look like a gap.
  Duration idle_advance_interval = std::chrono::seconds(10);

  // How often the capture process and the clean-up's distance are looked at; how far capturing may
  // be behind the log, or a sink behind what is captured, before that is a warning, and an error.
  Duration gap_check_interval = std::chrono::minutes(1);
  Duration warning_lag = std::chrono::hours(1);
  Duration critical_lag = std::chrono::hours(6);

  // Where the server's clock stands: a name that the server knows (Windows') or an IANA one. Empty:
  // what the server says itself.
  std::string time_zone;

  // The rows that are there already are copied first, which needs more rights than following does.
  bool copy_rows = false;
  // Tables that are captured for the first time, once sinks know others: copied, or left out with
  // all their changes, or (neither) followed from their first change.
  bool copy_new_tables = false;
  bool ignore_new_tables = false;
  // Its chunks. A copy point comes only when the capture process has read the log to where the
  // point was asked for. It looks at the log every five seconds unless told otherwise, so a point
  // is made good use of; and it may be behind, while the server keeps row versions for us: not
  // longer than the second time.
  CopyOptions chunks{.round_max = std::chrono::seconds(5),
                     .point_wait_max = std::chrono::minutes(10)};
  // A commit that is captured is given so long to be seen by new snapshots. The capture process
  // reads the log, which has a commit a moment before the transaction that waited for its log to be
  // written is ended.
  Duration commit_settles = std::chrono::seconds(1);
  // Instead of that: tables that are copied are locked against writers while a copy point begins,
  // and the locks are not waited for longer than this.
  bool lock_tables = false;
  Duration table_lock_timeout = std::chrono::seconds(1);

  // What pending transactions may take in memory, and where the rest of them goes.
  std::size_t gate_bytes_max = std::size_t{64} * 1024 * 1024;
  std::string spill_folder;
  std::uint64_t spill_bytes_max = std::uint64_t{20} * 1024 * 1024 * 1024;
};

}  // namespace headgate::source::sqlserver
