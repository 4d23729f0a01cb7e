// Transfers over five tables of a SQL Server, whose sums tell a reader of a mirror whether it sees
// whole transactions, in order, and all of them.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "demo/pg_session.hpp"
#include "support/daemon.hpp"
#include "support/invariant_reader.hpp"
#include "support/sqlite_file.hpp"
#include "support/sqlserver_database.hpp"

namespace headgate::test {

// Every transfer moves one unit from an account of dbo.left_accounts to one of dbo.right_accounts,
// writes the next line of dbo.journal, one of dbo.slips, which has no key, so that what is applied
// twice shows, and counts it in dbo.totals: in one transaction, which now and then holds several of
// them, and rows that it changes twice.
//
// transfers() apart, of one thread.
class SqlServerBank {
 public:
  static constexpr int kAccounts = 20;
  static constexpr int kBalance = 1000;  // of each, at first

  // Makes the tables, captured and empty. `database` must outlive it.
  SqlServerBank(SqlServerDatabase& database, std::uint64_t seed);

  // The first rows, in one transaction.
  void open_accounts();
  // One transaction.
  void transfer();
  // One transaction of so many transfers.
  void transfer_at_once(int count);
  void transfer(int transactions);
  // So far.
  int transfers() const { return transfers_; }

  // For the daemon: follows what is written from now on.
  PipelineConfig config(const std::vector<std::string>& sinks) const;

  // A statement whose rows are violations of what holds in every state that the bank was in.
  // `schema`: empty, or a prefix such as "dbo.".
  static std::string invariant(const std::string& schema);

 private:
  int any(int below) { return static_cast<int>(random_() % static_cast<unsigned>(below)); }

  SqlServerDatabase& database_;
  SqlServerSession session_;  // for whoever transfers
  std::mt19937_64 random_;
  std::atomic<int> transfers_ = 0;
};

// Transfers without a pause, in a thread of its own, until stopped.
class BankStorm {
 public:
  explicit BankStorm(SqlServerBank& bank);

  // Returns after so many more. Throws what ended the thread.
  void run_for(int transfers);
  void stop();

 private:
  SqlServerBank& bank_;
  std::mutex mutex_;
  std::string failure_;  // guarded by mutex_
  std::jthread thread_;
};

// What a bank is mirrored into, watched by a reader from the first moment to the last. The tables
// need not be there yet.
class BankMirror {
 public:
  virtual ~BankMirror() = default;
  // How many transfers it has.
  virtual int transfers() = 0;
  // Every row of every table, in order; comparable between mirrors and with the source.
  virtual std::string contents() = 0;
  virtual InvariantReader& reader() = 0;
};
std::unique_ptr<BankMirror> sqlite_bank(const std::string& path);
std::unique_ptr<BankMirror> postgres_bank(const std::string& conninfo);
// The same of the source.
std::string bank_contents(SqlServerDatabase& database);

// Waits until every mirror has all transfers of `bank`, and compares them with it, row by row.
// Throws WaitedTooLong, or std::runtime_error that names the first difference.
void wait_equal(const SqlServerBank& bank, SqlServerDatabase& database, const Daemon& daemon,
                const std::vector<BankMirror*>& mirrors,
                Duration timeout = std::chrono::seconds(60));

}  // namespace headgate::test
