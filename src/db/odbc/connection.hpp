// RAII over ODBC: one session with a server. Statement (statement.hpp) runs what returns rows.
//
// Written for SQL Server through FreeTDS or Microsoft's driver; other drivers work as far as they
// keep to the standard. What the drivers do is told in docs nowhere; it was seen with
// FreeTDS 1.3.17.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "db/odbc/connect_parameters.hpp"
#include "db/odbc/handle.hpp"
#include "db/odbc/odbc_error.hpp"

namespace headgate::odbc {

// Statements that make a SQL Server session read values whole and wait for locks no longer than
// `lock_timeout` (error 1222 then): for ConnectOptions::settings. SET NOCOUNT ON is among them, so
// that statements return rows and no counts.
std::vector<std::string> sql_server_settings(Duration lock_timeout);

// One session, in autocommit until told otherwise. Not thread-safe, and all its statements belong
// to the same thread, save Statement::cancel(). At most one statement has an open result at a time.
//
// Every call throws OdbcError: kTransient when the connection is lost, else by the server's number;
// messages name the role and hold neither values of rows nor a password.
class Connection {
 public:
  // Connects and runs the settings. Throws Error{kOperator} for an unusable connection string,
  // OdbcError{kTransient} when the server cannot be reached, {kOperator} when it refuses us.
  explicit Connection(const ConnectOptions& options,
                      const DriverRegistry& registry = SystemDriverRegistry());
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  const std::string& role() const { return role_; }
  DriverKind driver() const { return driver_; }
  Duration statement_timeout() const { return statement_timeout_; }
  SQLHANDLE get() const { return handle_.get(); }

  // The session is over, as far as a call has noticed: an idle connection looks alive until the
  // next statement. Never waits.
  bool lost() const;

  // Runs statements to the end, drops their rows and returns Statement::affected(). `doing`
  // completes "cannot …".
  std::int64_t execute(std::string_view sql, std::string_view doing);

  // Off: the driver begins a transaction at once and after each end of one, so the session is
  // always in one. With FreeTDS better left on, with BEGIN TRANSACTION in SQL: the isolation level
  // SNAPSHOT can only be chosen outside a transaction.
  void set_autocommit(bool on);
  // Ends the transaction that autocommit off keeps. When commit()'s answer does not arrive, Error
  // is kInDoubt: the server may have committed.
  void commit();
  void rollback();
  // The same for a transaction begun in SQL: runs `sql`, and a lost answer is kInDoubt.
  void execute_commit(std::string_view sql, std::string_view doing);

  // The error that the records of `handle` stand for, after a call for `doing`.
  OdbcError error(SQLSMALLINT handle_type, SQLHANDLE handle, std::string_view doing,
                  bool cancelled = false) const;
  // Throws unless `code` is a success without a record that stands for a failure.
  void check(SQLRETURN code, SQLSMALLINT handle_type, SQLHANDLE handle, std::string_view doing,
             bool cancelled = false) const;

 private:
  void log_in(const ConnectOptions& options, const ConnectParameters& parameters);
  void end_transaction(SQLSMALLINT completion, std::string_view doing);

  std::string role_;
  DriverKind driver_ = DriverKind::kOther;
  Duration statement_timeout_;
  Environment environment_;
  ConnectionHandle handle_;
  bool connected_ = false;
  mutable bool lost_ = false;  // noticed by a call; never reset
};

}  // namespace headgate::odbc
