// How far changes must be captured, so that everything a snapshot shows is.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/lsn.hpp"
#include "db/odbc/connection.hpp"

namespace headgate::source::sqlserver {

// The LSN that sys.dm_tran_* show as numeric(25,0): log file * 10^15 + block * 10^5 + slot. Throws
// Error{kOperator} for what is none.
LSN lsn_of_decimal(const std::string& digits);

// A place in the log behind all that a snapshot shows, and a way to tell that the capture process
// has come past it: a commit behind it is captured, or a scan of the log that began behind it has
// found nothing. No clock of ours is asked, and the server's only where being wrong about it makes
// us wait.
//
// In an availability group only a commit counts: an empty scan may have ended before commits that
// readers see already, where other replicas do not have them yet (docs: trace flag 1448). In a
// quiet database that is the next row which stands for no transaction.
class ScanFence {
 public:
  // Behind the snapshot of `snapshot`'s open transaction, at its last savepoint: that one's log
  // record stands behind the commits that the snapshot shows. `other` is asked how far the log's
  // scans are.
  //
  // Throws Error{kOperator} when the login may not see it.
  static ScanFence set(odbc::Connection& snapshot, odbc::Connection& other);

  // Of the savepoint.
  const LSN& place() const { return savepoint_; }

  // Once everything before the fence is captured: how far changes are captured then.
  std::optional<LSN> passed(odbc::Connection& connection) const;

 private:
  void look_at_scans(odbc::Connection& connection);

  LSN savepoint_;
  bool in_group_ = false;  // an availability group
  // Of the scans of the log that began before the fence: no later one began before this time. And
  // the last that had ended, with how many empty ones its row stands for: consecutive empty scans
  // share one, and which one's times it has is not documented.
  std::string scans_begun_;
  std::int64_t last_scan_ = 0;
  std::int64_t empty_scans_ = 0;
};

}  // namespace headgate::source::sqlserver
