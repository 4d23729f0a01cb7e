// A double of a SQL Server with change data capture, for tests and for `headgate demo`: it listens
// on a port of 127.0.0.1 and speaks TDS 7.4 as far as FreeTDS's driver does.
//
// What it does follows sqlserver-cdc.md, not a server: README.md says what it knows, and what it
// only believes. A statement that it does not understand is answered with error 102 and its text.
//
// Two ways lead in. Applications and readers connect with a driver, and everything that T-SQL can
// ask for they ask for in T-SQL. The class below does what no client can: it drives the capture
// process, cleans up in slow motion, restores, and makes the server misbehave.

#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "support/sqlserver_double/connection.hpp"
#include "support/sqlserver_double/faults.hpp"

namespace headgate::test {

namespace sqlserver {
class CaptureThread;
class Listener;
}  // namespace sqlserver

struct SqlServerOptions {
  sqlserver::ServerTraits traits;
  std::string login = "sa";  // a sysadmin
  std::string password = "Double_1";
  std::string database = "shop";  // made at the start, with CDC off and snapshot isolation allowed
};

// The answer to a statement that a test ran itself; values as text, NULL as "NULL", binary as 0x….
struct SqlServerResult {
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

// How the capture process runs.
enum class CaptureMode {
  kManual,     // only when the test calls capture()
  kAutomatic,  // each transaction is captured `lag` after its commit, in commit order
};

// Thread-safe. Calls that name no database mean the one of the options. Throws std::system_error
// when the system refuses; sqlserver::SqlError where a server would.
class SqlServerDouble {
 public:
  explicit SqlServerDouble(SqlServerOptions options = {});
  ~SqlServerDouble();
  SqlServerDouble(const SqlServerDouble&) = delete;
  SqlServerDouble& operator=(const SqlServerDouble&) = delete;

  int port() const;
  // For FreeTDS's driver by the name under which it is registered, or by the path of its library.
  std::string connection_string(const std::string& driver = "FreeTDS") const;

  // Ends every connection (open transactions are rolled back) and refuses new ones, as a server
  // that is down; start() comes back on the same port with what was committed.
  void stop();
  void start();
  // Ends the connections that are open now.
  void drop_connections();
  // Connections accepted so far.
  int connections() const;

  // The database that calls mean from now on. It need not be there yet, if it is when they come.
  void use_database(const std::string& name);

  // Runs a batch as the sysadmin, in a session of its own. Throws the first SqlError of its answer.
  std::vector<SqlServerResult> execute(const std::string& sql);
  std::vector<SqlServerResult> execute_in(const std::string& database, const std::string& sql);
  // One value of a query; empty when it has no rows.
  std::string value(const std::string& sql);

  // ---- the server itself

  // UTC. The default is the system's clock; the test's may tie and jump.
  void set_clock(std::function<sqlserver::Moment()> clock);
  void change_traits(const std::function<void(sqlserver::ServerTraits&)>& change);
  void set_agent_running(bool running);  // a stopped Agent runs no jobs
  // The capture process is in the middle of a session, as sys.dm_cdc_log_scan_sessions has it.
  void set_scanning(bool scanning);
  // An entry of sys.dm_cdc_errors, of now.
  void add_capture_error(int number);
  // How values of max types are cut on the wire.
  void set_chunks(sqlserver::ChunkRules chunks);

  // ---- capture

  void set_capture(CaptureMode mode, std::chrono::milliseconds lag = std::chrono::milliseconds(0));
  // As above, with a lag that is asked for anew for each transaction.
  void set_capture(CaptureMode mode, std::function<std::chrono::milliseconds()> lag);
  // In automatic mode a row of lsn_time_mapping is written so often while nothing is captured.
  void set_idle_rows(std::chrono::milliseconds interval);
  // Reads up to so many committed transactions of the log; returns how many it read.
  std::size_t capture(std::size_t transactions_max = ~std::size_t{0});
  // The capture process's own transaction stays open until commit_capture(): readers with NOLOCK
  // see part of what is coming, and readers with locks wait.
  void capture_uncommitted(std::size_t transactions_max = ~std::size_t{0});
  void commit_capture();
  // Nothing while something waits to be captured: the process has not come to the log's end.
  void write_idle_row();
  std::size_t uncaptured() const;
  // The LSN of the last commit in the log, captured or not; and of the last captured one, empty
  // when there is none. Ten bytes.
  std::string log_end() const;
  std::string max_lsn() const;
  // start_lsn of an instance as change_tables has it.
  std::string start_lsn(const std::string& capture_instance) const;

  // ---- clean-up

  // Both steps of the job, for all instances: everything that was committed before `retention` ago,
  // counted from the last captured commit.
  void cleanup(std::chrono::minutes retention);
  // Or up to an LSN; empty `capture_instance` means all.
  void cleanup_to(const std::string& lsn, const std::string& capture_instance = {});
  // The steps alone: a reader may come between them.
  void raise_low_water_mark(const std::string& lsn, const std::string& capture_instance = {});
  void delete_below_low_water_mark();

  // ---- restore and failover

  // What is committed now, to be restored later. REQUIRES: no transaction is open in the database.
  class Backup;
  std::shared_ptr<const Backup> backup() const;
  // The database becomes the backup's: LSNs go on from there (so they repeat), and the recovery
  // fork is a new one. All connections end.
  void restore(const std::shared_ptr<const Backup>& backup);

  // ---- misbehaviour, and what was asked

  sqlserver::FaultScript& faults();
  // In the order of arrival, of all connections.
  std::vector<sqlserver::ReceivedStatement> statements() const;
  // How many of them contain `text`, not case-sensitive.
  std::size_t count_statements(const std::string& text) const;
  void forget_statements();

 private:
  class Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace headgate::test
