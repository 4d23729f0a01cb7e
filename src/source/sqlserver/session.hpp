// What the capturers of one SQL Server source share: options, connection, instances, checks.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/log.hpp"
#include "core/position.hpp"
#include "db/odbc/connection.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/finding.hpp"
#include "pipeline/table_filter.hpp"
#include "source/sqlserver/capture_instances.hpp"
#include "source/sqlserver/options.hpp"
#include "source/sqlserver/server_time.hpp"
#include "source/sqlserver/succession.hpp"

namespace headgate::source::sqlserver {

// Which database this is, by its family and recovery fork: LSNs of another one have no common order
// with its own. Throws Error{kOperator} when the login may not know.
History read_history(odbc::Connection& connection);

// One table, as it is read behind a position.
struct Reading {
  CaptureInstance instance;
  TableSchemaPtr schema;
  // What the sinks' notes say: nothing before this is needed. None: nothing is there yet.
  std::optional<LSN> since;
  // The last LSN to be read from this instance; none: as far as anything is captured.
  std::optional<LSN> to;
};

// What a connection to the source needs.
odbc::ConnectOptions session_options(const Options& options);

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

  // Checks server, database, rights, tables, capture and retention without changing anything.
  Findings check(const std::vector<SinkStand>& sinks);

  // What of check() following needs, and the history that positions belong to: server and recovery
  // fork of the database.
  History prepare(const std::vector<SinkStand>& sinks);
  const History& history() const { return history_; }

  // How the server's times are read. REQUIRES: prepare() succeeded.
  const ServerTime& time() const { return time_; }

  // The instances of the captured tables, all of each table, from the oldest to the newest. Throws
  // Error{kOperator} when the login may not see their columns.
  CaptureInstances instances();

  // What is read behind `position`: one instance of each captured table, but for those that came
  // since prepare() and are to be copied first, or ignored (Options::copy_new_tables,
  // ignore_new_tables).
  //
  // Throws Error{kPositionLost} when changes of a table behind `position` are in none: cleaned up,
  // or gone with their instance. A table that no sink knows, and which prepare() and earlier calls
  // have not met, begins where its oldest instance does. Also logs columns that no change table
  // has.
  std::vector<Reading> follow(const LSN& position);

  // The tables that are captured by now are all followed. REQUIRES: those that no sink knows are
  // copied.
  void admit_new_tables() { admitted_.reset(); }
  // These are, whenever they come. REQUIRES: as above.
  void admit(const std::vector<TableName>& tables) {
    asked_for_.insert(tables.begin(), tables.end());
  }
  // Those that follow() has left out to be copied first; each is told until it is admitted, at
  // every follow().
  std::vector<TableName> take_new_tables() { return std::exchange(new_tables_, {}); }

  // Before anything of a window leaves (I7): the instances are the same as before it, and none of
  // them was cleaned up beyond what was needed behind `position`. False: read it again, and
  // follow() tells what is lost. Throws Error{kReread} when the database has become another one.
  bool holds(const LSN& position, const std::vector<Reading>& readings,
             const InstanceFloors& before);

  // Columns of captured tables that no change table has, and ones that are only left in them.
  Findings check_columns(const CaptureInstances& instances) const;

 private:
  // False when nothing can be read, so that there is nothing more to ask. Finds the time zone, too.
  bool check_access(Findings& findings);
  Findings check_following(const std::vector<SinkStand>& sinks);
  CaptureInstances ours_of(CaptureInstances all) const;
  Reading choose(const CaptureInstances& of_table, const LSN& position);
  std::vector<std::uint32_t> null_before(const CaptureInstance& older,
                                         const CaptureInstance& newer);
  bool admits(const CaptureInstance& instance);
  void check_absent(const CaptureInstances& all) const;
  void tell(const Findings& findings);

  Options options_;
  TableFilter filter_;
  Logger log_;
  std::unique_ptr<odbc::Connection> connection_;
  History history_;
  ServerTime time_;
  std::map<std::uint32_t, FollowedTable> followed_;  // by the table's id
  // The tables that follow() follows, by their ids; none: all that are there when it is next
  // called.
  std::optional<std::set<std::uint32_t>> admitted_;
  std::set<TableName> asked_for_;  // admitted when they come
  std::vector<TableName> new_tables_;
  std::set<std::string> told_;  // warnings that are in the log already
};

}  // namespace headgate::source::sqlserver
