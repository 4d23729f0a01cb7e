// What the capturers of one SQL Server source share: options, connection, instances, checks.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "core/position.hpp"
#include "db/odbc/connection.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/finding.hpp"
#include "pipeline/table_filter.hpp"
#include "source/sqlserver/capture_instances.hpp"
#include "source/sqlserver/options.hpp"

namespace headgate::source::sqlserver {

// Not thread-safe.
class Session {
 public:
  Session(Options options, Logger log);

  const Options& options() const { return options_; }
  const TableFilter& filter() const { return filter_; }

  // Connects (again) where it is lost.
  odbc::Connection& connection();
  bool connected() const { return connection_ && !connection_->lost(); }
  void disconnect() { connection_.reset(); }

  // Checks server, database, capture and tables without changing anything.
  Findings check(const std::vector<SinkStand>& sinks);

  // check(), and the history that positions belong to: server and recovery fork of the database.
  History prepare(const std::vector<SinkStand>& sinks);
  const History& history() const { return history_; }

  // The instances of the captured tables, one per table. Throws Error{kOperator} for a named table
  // without one.
  std::vector<CaptureInstance> instances();

  // Where each instance (by change table) began when this pipeline first followed it: what the
  // sinks remember, and for a table that they do not know, where it began when this was first asked
  // since prepare(). Throws Error{kPositionLost} for an instance that is not the one that was
  // followed.
  std::map<std::int64_t, LSN> first_lsns(const std::vector<CaptureInstance>& instances);

  // Before each read, and after it (I7). Throws Error{kReread} when the database has become another
  // one, Error{kPositionLost} when `instances` no longer reach back to what follows `position`.
  // An instance that still begins where first_lsns() says has lost nothing, wherever that is.
  void verify(const LSN& position, const std::vector<CaptureInstance>& instances,
              const std::map<std::int64_t, LSN>& first_lsns);

 private:
  History read_history();

  Options options_;
  TableFilter filter_;
  Logger log_;
  std::unique_ptr<odbc::Connection> connection_;
  History history_;
  std::map<std::uint32_t, InstanceNote> followed_;  // by the table's id
};

}  // namespace headgate::source::sqlserver
