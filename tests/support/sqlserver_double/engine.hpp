// The server as its sessions share it: databases, transactions and their locks, clock, logins, and
// the state of the Agent and its capture jobs.

#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "support/sqlserver_double/database.hpp"
#include "support/sqlserver_double/time_zone.hpp"

namespace headgate::test::sqlserver {

// How an UPDATE of a key column shows in the change tables; both occur, depending on the plan.
enum class KeyUpdateShape {
  kDeleteInsert,  // operations 1 and 2: all rows of the statement removed, then all inserted
  kUpdatePair,    // operations 3 and 4
};

// What the double lets a test choose of the server it stands for.
struct ServerTraits {
  int major_version = 16;  // 13 is 2016, 16 is 2022
  std::string edition = "Developer Edition (64-bit)";
  int engine_edition = 3;  // 2 Standard, 3 Enterprise, 4 Express, 5 Azure SQL Database
  TimeZone time_zone;
  KeyUpdateShape key_updates = KeyUpdateShape::kDeleteInsert;
  bool command_id = true;                   // whether new change tables have __$command_id
  bool unchanged_large_values_kept = true;  // in the image after an update
  // Consecutive empty scans are one row of sys.dm_cdc_log_scan_sessions: with the times of the
  // last of them, or from the first one's start on.
  bool empty_scans_keep_first_start = false;
  bool in_availability_group = false;
};

struct Job {
  bool exists = false;
  bool running = false;
  std::int64_t polling_seconds = 5;
  std::int64_t retention_minutes = 4320;
  std::int64_t threshold = 5000;
  int maxtrans = 500;
  int maxscans = 10;
};

struct Login {
  std::string name;
  std::string password;
  bool sysadmin = false;
  // "select:dbo.orders", "select:schema.cdc", "view server state", "role:gate"; in lower case
  std::set<std::string> permissions;
};

// One row version that a transaction made or ended.
struct Write {
  TablePtr table;
  std::size_t slot = 0;
  bool ended = false;  // else inserted
};

// Where a statement or a savepoint stands in its transaction, to undo what follows.
struct StatementMark {
  std::size_t writes = 0;
  std::size_t ddl = 0;
  std::map<Database*, std::pair<std::size_t, std::size_t>> logged;
};

struct Transaction {
  TransactionId id = 0;
  Moment begin_time;
  std::optional<CommitNumber> snapshot;  // of SNAPSHOT isolation, from the first read on
  std::vector<Write> writes;
  std::map<Database*, LoggedTransaction> logged;
  std::vector<std::function<void()>> undo_ddl;
  std::map<std::string, StatementMark> savepoints;          // by lower-case name
  std::vector<std::pair<TablePtr, std::size_t>> row_locks;  // of UPDLOCK
  Lsn savepoint_lsn;
  TransactionId waits_for = 0;
};

// All members and calls are guarded by `mutex`, which the caller holds.
class Engine {
 public:
  Engine();

  std::mutex mutex;
  // Notified at the end of every transaction, and when the server stops.
  std::condition_variable changed;

  ServerTraits traits;
  std::string server_name = "DOUBLE";
  std::function<Moment()> clock;  // UTC
  bool agent_running = true;
  Job capture_job;
  Job cleanup_job;
  std::map<std::string, Login> logins;  // by lower-case name
  std::map<std::string, std::unique_ptr<Database>> databases;

  Moment utc_now() const { return clock(); }
  Moment local_now() const;

  Database* database(const std::string& name);
  Database& create_database(const std::string& name);
  void replace_database(const std::string& name, std::unique_ptr<Database> by);

  Transaction& begin();
  // The commit LSN in `database`, where the transaction wrote a log record there.
  void commit(Transaction& transaction);
  void rollback(Transaction& transaction);
  StatementMark mark(const Transaction& transaction) const;
  void undo_to(Transaction& transaction, const StatementMark& mark);
  bool is_open(TransactionId id) const { return transactions_.contains(id); }
  CommitNumber last_commit() const { return last_commit_; }

  // Marks `transaction` as waiting. Throws SqlError 1205 when that closes a circle; the caller
  // rolls it back.
  void begin_wait(Transaction& transaction, TransactionId other);
  // It waits no more; what it has asked for holds nobody up.
  void end_wait(Transaction& transaction);
  bool is_waiting_for_table(TransactionId id) const;

  // Rows, with their log records where the table is captured. Throw LockedBy and SqlError as
  // Table::insert() does.
  void insert_row(Transaction& transaction, Database& database, const TablePtr& table, RowPtr row,
                  std::uint64_t statement);
  void delete_row(Transaction& transaction, Database& database, const TablePtr& table,
                  std::size_t slot, std::uint64_t statement);
  // All rows of one UPDATE: keys may pass from one row to another inside it.
  void update_rows(Transaction& transaction, Database& database, const TablePtr& table,
                   const std::vector<std::pair<std::size_t, RowPtr>>& rows,
                   std::uint64_t statement);

  // A shared lock on the whole table until the transaction ends. While it waits for those who have
  // written to the table, nobody else begins to.
  void lock_shared(Transaction& transaction, const TablePtr& table);
  // What UPDLOCK does to a row: others may read it, and neither lock nor write it, until the
  // transaction ends. Throws LockedBy.
  void lock_row(Transaction& transaction, const TablePtr& table, std::size_t slot);

  // Counts up for each statement that changes rows.
  std::uint64_t next_statement() { return ++statements_; }
  std::string next_rowversion();
  LoggedTransaction& logged(Transaction& transaction, Database& database);

 private:
  void take_write_lock(Transaction& transaction, const TablePtr& table, std::size_t slot);
  void forget(Transaction& transaction);
  void vacuum(const std::set<TablePtr>& tables);

  std::map<TransactionId, std::unique_ptr<Transaction>> transactions_;
  TransactionId last_transaction_ = 0;
  CommitNumber last_commit_ = 1;
  std::uint64_t statements_ = 0;
  std::uint64_t rowversion_ = 2000;
  int next_database_id_ = 5;
};

}  // namespace headgate::test::sqlserver
