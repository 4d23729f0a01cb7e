// One state of the database, kept for reading.

#pragma once

#include <memory>
#include <string>

#include "base/error.hpp"
#include "core/lsn.hpp"
#include "db/odbc/connection.hpp"
#include "source/sqlserver/session.hpp"

namespace headgate::source::sqlserver {

// The database does not allow transactions in SNAPSHOT isolation. Error{kOperator} with the
// statement that allows them.
class SnapshotsNotAllowed : public Error {
 public:
  explicit SnapshotsNotAllowed(const std::string& message);
};

// A transaction in SNAPSHOT isolation, on a connection of its own. The server keeps old versions of
// rows as long as it is open.
//
// Which transactions it has is known but for those between two places in the log.
//
// Not thread-safe.
class CopyView {
 public:
  // `session` must outlive it.
  explicit CopyView(Session& session) : session_(session) {}
  ~CopyView() { end(); }
  CopyView(const CopyView&) = delete;
  CopyView& operator=(const CopyView&) = delete;

  // So that begin() takes no time for it. Throws Error{kReread} when the connection leads to a
  // database of another history, and SnapshotsNotAllowed, as begin() does.
  void connect();

  // Pins the view, and puts a savepoint into the log behind all that it has. REQUIRES: connect().
  void begin();
  bool is_open() const { return open_; }
  void end() noexcept;

  odbc::Connection& connection() { return *connection_; }

  // For its owner: all transactions that ended at or before `from` are in it, and none that ended
  // behind `savepoint`.
  LSN from;
  LSN savepoint;

 private:
  Session& session_;
  std::unique_ptr<odbc::Connection> connection_;
  bool open_ = false;
};

}  // namespace headgate::source::sqlserver
