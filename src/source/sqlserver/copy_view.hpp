// One state of the database, kept for reading.

#pragma once

#include <memory>

#include "core/lsn.hpp"
#include "db/odbc/connection.hpp"
#include "source/sqlserver/session.hpp"

namespace headgate::source::sqlserver {

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
  // database of another history.
  void connect();

  // Pins the view, and puts a savepoint into the log behind all that it has. Throws
  // Error{kOperator} where the database does not allow snapshots. REQUIRES: connect().
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
