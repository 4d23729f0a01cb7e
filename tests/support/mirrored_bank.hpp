// A SqlServerBank with the daemon that mirrors it into SQLite and a PostgreSQL, and readers that
// look at both all the while.

#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/sqlserver_bank.hpp"
#include "support/sqlserver_database.hpp"
#include "support/tcp_gate.hpp"
#include "support/temp_dir.hpp"

namespace headgate::test {

// How a request to the double fails, once or several times.
struct FaultWay {
  const char* name;
  int error;  // 0: none
  sqlserver::ErrorPlace place;
  sqlserver::Drop drop;
};
// All of which a daemon gets over by itself.
const std::vector<FaultWay>& fault_ways();
// `rows` come before what happens within an answer.
sqlserver::Fault fault_of(const FaultWay& way, std::size_t rows);

struct MirroredBankOptions {
  std::uint64_t seed = 0;
  std::vector<std::string> source_keys{};
  // The daemon reaches the double through a gate. (Everything else here goes straight to it.)
  bool gate = false;
};

// Not thread-safe. Waits throw WaitedTooLong, or std::runtime_error with what is wrong.
class MirroredBank {
 public:
  // Starts the daemon, opens the accounts and waits until both mirrors have them.
  explicit MirroredBank(const MirroredBankOptions& options);

  SqlServerBank& bank() { return bank_; }
  Daemon& daemon() { return daemon_; }
  // REQUIRES of these two: the double.
  SqlServerDouble& server() { return *database_.scripted(); }
  sqlserver::FaultScript& faults() { return server().faults(); }
  // REQUIRES: options.gate.
  TcpGate& gate() { return *gate_; }

  // Transfers that the mirror has now.
  int in_file() { return file_->transfers(); }
  int in_server() { return server_->transfers(); }

  // Until both mirrors are like the source, row by row.
  void wait_equal(Duration timeout = std::chrono::seconds(60));
  void wait_struck(sqlserver::FaultId fault, unsigned times);
  // That no reader has seen a transaction in part.
  void check_readers();
  // wait_equal(), and that both readers had looked so often.
  void finish(std::uint64_t rounds);

 private:
  PipelineConfig config(const MirroredBankOptions& options);

  TempDir folder_;
  demo::ThrowawayCluster cluster_;
  SqlServerDatabase database_;
  SqlServerBank bank_;
  std::unique_ptr<TcpGate> gate_;  // null: none
  std::string path_;
  Daemon daemon_;
  std::unique_ptr<BankMirror> file_;
  std::unique_ptr<BankMirror> server_;
};

}  // namespace headgate::test
