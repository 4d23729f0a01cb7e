#include "support/sqlserver_double/engine.hpp"

#include <chrono>

#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

Moment system_clock_now() {
  constexpr std::int64_t kDayOf1970 = 719'162;
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
  return moment_of_absolute(kDayOf1970 * kTicksPerDay + nanoseconds / 100);
}

SqlType datetime() {
  return type_of(TypeKind::kDateTime);
}

}  // namespace

Engine::Engine() : clock(system_clock_now) {
  int id = 0;
  for (const char* name : {"master", "tempdb", "model", "msdb"}) {
    databases[name] = std::make_unique<Database>(name, ++id, local_now());
  }
}

Moment Engine::local_now() const {
  const Moment utc = utc_now();
  return shifted(utc, traits.time_zone.offset_at_utc(utc) * 60 * kTicksPerSecond);
}

Database* Engine::database(const std::string& name) {
  const auto found = databases.find(lower(name));
  return found == databases.end() ? nullptr : found->second.get();
}

Database& Engine::create_database(const std::string& name) {
  if (database(name) != nullptr) {
    throw SqlError(1801,
                   "Database '" + name + "' already exists. Choose a different database name.");
  }
  auto& slot = databases[lower(name)];
  slot = std::make_unique<Database>(name, next_database_id_++, local_now());
  return *slot;
}

void Engine::replace_database(const std::string& name, std::unique_ptr<Database> by) {
  databases[lower(name)] = std::move(by);
}

Transaction& Engine::begin() {
  auto transaction = std::make_unique<Transaction>();
  transaction->id = ++last_transaction_;
  transaction->begin_time = local_now();
  return *(transactions_[last_transaction_] = std::move(transaction));
}

LoggedTransaction& Engine::logged(Transaction& transaction, Database& database) {
  auto [entry, is_new] = transaction.logged.try_emplace(&database);
  if (is_new) {
    entry->second.begin_lsn = database.log.next_record();
    entry->second.begin_time = rounded(transaction.begin_time, datetime());
    for (int shift = 40; shift >= 0; shift -= 8) {
      entry->second.id.push_back(static_cast<char>((0x4A00 + transaction.id) >> shift));
    }
  }
  return entry->second;
}

void Engine::commit(Transaction& transaction) {
  const CommitNumber number = ++last_commit_;
  std::set<TablePtr> tables;
  for (const Write& write : transaction.writes) {
    write.table->settle(write.slot, transaction.id, number);
    tables.insert(write.table);
  }
  for (auto& [database, logged] : transaction.logged) {
    logged.commit_lsn = database->log.next_commit();
    logged.end_time = rounded(local_now(), datetime());
    logged.committed_at = std::chrono::steady_clock::now();
    database->log_end = logged.commit_lsn;
    if (database->cdc_enabled &&
        (!logged.changes.empty() || !logged.ddl.empty() || logged.enables_capture)) {
      database->uncaptured.push_back(std::move(logged));
    }
  }
  forget(transaction);
  vacuum(tables);
}

void Engine::rollback(Transaction& transaction) {
  undo_to(transaction, {});
  forget(transaction);
}

void Engine::forget(Transaction& transaction) {
  for (const auto& [table, slot] : transaction.row_locks) {
    table->row_locks.erase(slot);
  }
  for (const auto& [name, database] : databases) {
    for (const auto& [object_id, table] : database->tables()) {
      table->writers.erase(transaction.id);
      table->shared_lock_holders.erase(transaction.id);
      table->shared_lock_waiters.erase(transaction.id);
    }
  }
  transactions_.erase(transaction.id);
  changed.notify_all();
}

void Engine::vacuum(const std::set<TablePtr>& tables) {
  for (const auto& [id, open] : transactions_) {
    if (open->snapshot) {
      return;
    }
  }
  for (const TablePtr& table : tables) {
    if (table->writers.empty() && table->ended_count() > 1000 &&
        table->ended_count() * 2 > table->slots()) {
      table->vacuum(last_commit_);
    }
  }
}

StatementMark Engine::mark(const Transaction& transaction) const {
  StatementMark mark{transaction.writes.size(), transaction.undo_ddl.size(), {}};
  for (const auto& [database, logged] : transaction.logged) {
    mark.logged[database] = {logged.changes.size(), logged.ddl.size()};
  }
  return mark;
}

void Engine::undo_to(Transaction& transaction, const StatementMark& mark) {
  while (transaction.writes.size() > mark.writes) {
    const Write& write = transaction.writes.back();
    write.ended ? write.table->undo_end(write.slot) : write.table->undo_insert(write.slot);
    transaction.writes.pop_back();
  }
  while (transaction.undo_ddl.size() > mark.ddl) {
    transaction.undo_ddl.back()();
    transaction.undo_ddl.pop_back();
  }
  for (auto& [database, logged] : transaction.logged) {
    const auto found = mark.logged.find(database);
    const auto sizes =
        found == mark.logged.end() ? std::pair<std::size_t, std::size_t>() : found->second;
    logged.changes.resize(sizes.first);
    logged.ddl.resize(sizes.second);
  }
}

void Engine::begin_wait(Transaction& transaction, TransactionId other) {
  transaction.waits_for = other;
  for (TransactionId at = other; at != 0;) {
    if (at == transaction.id) {
      transaction.waits_for = 0;
      throw SqlError(1205,
                     "Transaction (Process ID 51) was deadlocked on lock resources with another "
                     "process and has been chosen as the deadlock victim. Rerun the transaction.",
                     13, 45);
    }
    const auto found = transactions_.find(at);
    at = found == transactions_.end() ? 0 : found->second->waits_for;
  }
}

void Engine::end_wait(Transaction& transaction) {
  transaction.waits_for = 0;
  for (const auto& [name, database] : databases) {
    for (const auto& [object_id, table] : database->tables()) {
      table->shared_lock_waiters.erase(transaction.id);
    }
  }
  changed.notify_all();
}

bool Engine::is_waiting_for_table(TransactionId id) const {
  for (const auto& [name, database] : databases) {
    for (const auto& [object_id, table] : database->tables()) {
      if (table->shared_lock_waiters.contains(id)) {
        return true;
      }
    }
  }
  return false;
}

void Engine::lock_shared(Transaction& transaction, const TablePtr& table) {
  for (const auto& [writer, count] : table->writers) {
    if (writer != transaction.id) {
      table->shared_lock_waiters.insert(transaction.id);
      throw LockedBy{writer};
    }
  }
  table->shared_lock_holders.insert(transaction.id);
}

void Engine::lock_row(Transaction& transaction, const TablePtr& table, std::size_t slot) {
  if (const TransactionId holder = table->held_by_other(slot, transaction.id); holder != 0) {
    throw LockedBy{holder};
  }
  ++table->writers[transaction.id];
  if (table->row_locks.emplace(slot, transaction.id).second) {
    transaction.row_locks.emplace_back(table, slot);
  }
}

// Throws where somebody else holds the table or the row.
void Engine::take_write_lock(Transaction& transaction, const TablePtr& table, std::size_t slot) {
  for (const TransactionId holder : table->shared_lock_holders) {
    if (holder != transaction.id) {
      throw LockedBy{holder};
    }
  }
  for (const TransactionId waiter : table->shared_lock_waiters) {
    if (waiter != transaction.id && !table->writers.contains(transaction.id)) {
      throw LockedBy{waiter};
    }
  }
  if (slot < table->slots()) {
    if (const TransactionId holder = table->held_by_other(slot, transaction.id); holder != 0) {
      throw LockedBy{holder};
    }
    const Stamp end = table->version(slot).end;
    if (!end.is_never() && !end.is_pending() && transaction.snapshot) {
      throw SqlError(3960,
                     "Snapshot isolation transaction aborted due to update conflict in table '" +
                         table->schema + "." + table->name + "'.");
    }
  }
  ++table->writers[transaction.id];
}

void Engine::insert_row(Transaction& transaction, Database& database, const TablePtr& table,
                        RowPtr row, std::uint64_t statement) {
  take_write_lock(transaction, table, table->slots());
  const std::size_t slot = table->insert(row, transaction.id);
  transaction.writes.push_back({table, slot, false});
  LoggedTransaction& log = logged(transaction, database);
  const Lsn lsn = database.log.next_record();
  if (table->tracked_by_cdc) {
    log.changes.push_back({table->object_id, table->shape, LogOperation::kInsert, nullptr,
                           std::move(row), lsn, statement});
  }
}

void Engine::delete_row(Transaction& transaction, Database& database, const TablePtr& table,
                        std::size_t slot, std::uint64_t statement) {
  take_write_lock(transaction, table, slot);
  table->end(slot, transaction.id);
  transaction.writes.push_back({table, slot, true});
  LoggedTransaction& log = logged(transaction, database);
  const Lsn lsn = database.log.next_record();
  if (table->tracked_by_cdc) {
    log.changes.push_back({table->object_id, table->shape, LogOperation::kDelete,
                           table->version(slot).row, nullptr, lsn, statement});
  }
}

void Engine::update_rows(Transaction& transaction, Database& database, const TablePtr& table,
                         const std::vector<std::pair<std::size_t, RowPtr>>& rows,
                         std::uint64_t statement) {
  std::vector<RowPtr> before;
  for (const auto& [slot, row] : rows) {
    take_write_lock(transaction, table, slot);
    before.push_back(table->version(slot).row);
    table->end(slot, transaction.id);
    transaction.writes.push_back({table, slot, true});
  }
  LoggedTransaction& log = logged(transaction, database);
  for (std::size_t at = 0; at < rows.size(); ++at) {
    const RowPtr& row = rows[at].second;
    transaction.writes.push_back({table, table->insert(row, transaction.id), false});
    const Lsn lsn = database.log.next_record();
    if (table->tracked_by_cdc) {
      log.changes.push_back(
          {table->object_id, table->shape, LogOperation::kUpdate, before[at], row, lsn, statement});
    }
  }
}

std::string Engine::next_rowversion() {
  ++rowversion_;
  std::string bytes;
  for (int shift = 56; shift >= 0; shift -= 8) {
    bytes.push_back(static_cast<char>(rowversion_ >> shift));
  }
  return bytes;
}

}  // namespace headgate::test::sqlserver
