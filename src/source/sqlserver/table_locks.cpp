#include "source/sqlserver/table_locks.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "source/sqlserver/session.hpp"

namespace headgate::source::sqlserver {
namespace {

// Tables at a time: what a view is good for in the time that is spent at one point. Each is one
// more answer of the server while writers of the ones before it stand.
constexpr std::size_t kTablesMax = 10;

// Of one take(): each begins with writers free.
constexpr int kAttempts = 3;

constexpr const char* kLock = "lock a table for a copy point";

// Another time it may be locked.
bool is_late(const odbc::OdbcError& error) {
  constexpr std::int32_t kDropped = 208;
  constexpr std::int32_t kDeadlock = 1205;
  constexpr std::int32_t kLockTimeout = 1222;
  return error.has(kDropped) || error.has(kDeadlock) || error.has(kLockTimeout);
}

}  // namespace

bool is_denied(const odbc::OdbcError& error) {
  constexpr std::int32_t kObject = 229;
  constexpr std::int32_t kColumn = 230;
  return error.has(kObject) || error.has(kColumn);
}

TableLocks::TableLocks(const Options& options, const Clock& clock, Logger log)
    : options_(options), clock_(clock), log_(std::move(log)) {}

void TableLocks::connect(const History& history) {
  if (connection_ && !connection_->lost()) {
    return;
  }
  close();
  odbc::ConnectOptions connect = session_options(options_);
  connect.settings.emplace_back("SET DEADLOCK_PRIORITY LOW");
  connection_ = std::make_unique<odbc::Connection>(connect);
  if (read_history(*connection_) != history) {
    connection_.reset();
    throw Error{ErrorKind::kReread, "source: a further connection leads to another database"};
  }
}

void TableLocks::take(const std::vector<Table>& tables) {
  release();
  locked_.clear();
  std::vector<Table> due;
  for (const Table& table : tables) {
    const auto failure = failures_.find(table.id);
    if (due.size() < kTablesMax &&
        (failure == failures_.end() || failure->second.next_attempt <= clock_.now())) {
      due.push_back(table);
    }
  }
  for (int attempt = 0; attempt < kAttempts && !due.empty(); ++attempt) {
    const Refused refused = try_all(due);
    if (refused.table == nullptr) {
      return;
    }
    release();
    fail(refused);
    std::erase_if(due, [id = refused.table->id](const Table& table) { return table.id == id; });
  }
}

// The first that was not locked, and then none is.
TableLocks::Refused TableLocks::try_all(const std::vector<Table>& tables) {
  const TimePoint deadline = clock_.now() + options_.table_lock_timeout;
  open_ = true;
  connection_->execute("BEGIN TRANSACTION", kLock);
  std::set<std::uint32_t> locked;
  for (const Table& table : tables) {
    const Duration left = std::max(Duration{}, deadline - clock_.now());
    try {
      // A row is read, so that no server finds that there is nothing to do; HOLDLOCK keeps the lock
      // to the transaction's end.
      connection_->execute(
          fmt::format("SET LOCK_TIMEOUT {}; SELECT TOP (1) 1 FROM {} WITH (TABLOCK, HOLDLOCK)",
                      std::chrono::ceil<std::chrono::milliseconds>(left).count(), table.name),
          kLock);
    } catch (const odbc::OdbcError& error) {
      if (error.connection_lost() || !(is_late(error) || is_denied(error))) {
        throw;
      }
      return {&table, is_denied(error)};
    }
    locked.insert(table.id);
    if (failures_.erase(table.id) > 0) {
      log_->info("table is locked again for copy points table={}", table.name);
    }
  }
  locked_ = std::move(locked);
  return {};
}

void TableLocks::fail(const Refused& refused) {
  const Table& table = *refused.table;
  constexpr BackoffOptions kPace{std::chrono::seconds(2), std::chrono::minutes(2), {}};
  Failure& failure =
      failures_.try_emplace(table.id, Failure{Backoff(kPace), {}, false}).first->second;
  const Duration delay = failure.backoff.next();
  failure.next_attempt = clock_.now() + delay;
  failure.denied = refused.denied;
  if (refused.denied) {
    return;  // said where it would be read
  }
  log_->info("table was not locked in time for a copy point table={} attempt={} retry_in={}ms",
             table.name, failure.backoff.attempts(),
             std::chrono::duration_cast<std::chrono::milliseconds>(delay).count());
}

unsigned TableLocks::failures(std::uint32_t table) const {
  const auto found = failures_.find(table);
  return found == failures_.end() ? 0 : found->second.backoff.attempts();
}

bool TableLocks::denied(std::uint32_t table) const {
  const auto found = failures_.find(table);
  return found != failures_.end() && found->second.denied;
}

void TableLocks::release() noexcept {
  if (!std::exchange(open_, false) || !connection_) {
    return;
  }
  try {
    if (!connection_->lost()) {
      connection_->execute("IF @@TRANCOUNT > 0 ROLLBACK", "let go of a copy point's locks");
      return;
    }
  } catch (const Error&) {
    // The connection's end ends the locks, too.
  }
  connection_.reset();
}

void TableLocks::close() noexcept {
  release();
  locked_.clear();
  connection_.reset();
}

}  // namespace headgate::source::sqlserver
