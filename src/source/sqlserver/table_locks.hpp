// Shared locks on tables for the moment in which a copy's view begins.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "base/log.hpp"
#include "core/position.hpp"
#include "db/odbc/connection.hpp"
#include "source/sqlserver/options.hpp"

namespace headgate::source::sqlserver {

// The login may not read what it asked for.
bool is_denied(const odbc::OdbcError& error);

// For snapshot.locking: brief, which somebody has asked for: this stops writers.
//
// A lock waits for the transactions that have written to the table, and while it waits, others that
// want to write stand behind it, and behind all locks that are there already. So the waiting for
// all locks of one take() together is bounded by Options::table_lock_timeout. A table that is not
// locked in time is left out, and not tried again before a while: the others are locked without
// it. In a deadlock the server is asked to choose us, never the application.
//
// Not thread-safe.
class TableLocks {
 public:
  struct Table {
    std::uint32_t id = 0;
    std::string name;  // quoted
  };

  // All references must outlive it. Connects to nothing yet.
  TableLocks(const Options& options, const Clock& clock, Logger log);

  // Connects, so that no time is lost between take() and release(). Throws Error{kReread} when the
  // connection leads to a database of another history.
  void connect(const History& history);

  // Locks those of `tables` that it can, few at a time; the first ones have precedence.
  // REQUIRES: connect() since the connection was lost.
  void take(const std::vector<Table>& tables);
  // Writers go on.
  void release() noexcept;
  void close() noexcept;

  // By the last take().
  bool locked(std::uint32_t table) const { return locked_.contains(table); }
  // How often in a row the table was not locked in time.
  unsigned failures(std::uint32_t table) const;
  // The last time because the login may not read it.
  bool denied(std::uint32_t table) const;

 private:
  struct Failure {
    Backoff backoff;
    TimePoint next_attempt{};
    bool denied = false;
  };
  struct Refused {
    const Table* table = nullptr;
    bool denied = false;
  };

  Refused try_all(const std::vector<Table>& tables);
  void fail(const Refused& refused);

  const Options& options_;
  const Clock& clock_;
  Logger log_;
  std::unique_ptr<odbc::Connection> connection_;
  bool open_ = false;  // a transaction, which holds the locks
  std::set<std::uint32_t> locked_;
  std::map<std::uint32_t, Failure> failures_;
};

}  // namespace headgate::source::sqlserver
