// How far changes must be captured, so that everything a snapshot shows is.

#pragma once

#include <optional>
#include <string>

#include "core/lsn.hpp"
#include "db/odbc/connection.hpp"

namespace headgate::source::sqlserver {

// The LSN that sys.dm_tran_* show as numeric(25,0): log file * 10^15 + block * 10^5 + slot. Throws
// Error{kOperator} for what is none.
LSN lsn_of_decimal(const std::string& digits);

// A place in the log behind all that a snapshot shows, and a way to tell that the capture process
// has come past it. No clock of ours is asked, and the server's only where being wrong about it
// makes us wait.
class ScanFence {
 public:
  // Behind the snapshot of `snapshot`'s open transaction: writes a savepoint there, whose log
  // record stands behind the commits that the snapshot shows. `other` is asked how far the log's
  // scans are.
  //
  // Throws Error{kOperator} when the login may not see it.
  static ScanFence set(odbc::Connection& snapshot, odbc::Connection& other);

  // Once everything before the fence is captured: how far changes are captured then. That is the
  // case when a later commit is, or when a scan of the log that began behind the fence has found
  // nothing more.
  std::optional<LSN> passed(odbc::Connection& connection) const;

 private:
  LSN savepoint_;
  std::string scans_begun_;  // every scan of the log that began before the fence, by this time
};

}  // namespace headgate::source::sqlserver
