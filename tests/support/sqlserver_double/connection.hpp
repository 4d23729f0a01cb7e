// One client's connection: login, then one request after the other until either side ends it.

#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "support/sqlserver_double/faults.hpp"
#include "support/sqlserver_double/session.hpp"
#include "support/sqlserver_double/tds_socket.hpp"
#include "support/sqlserver_double/tds_tokens.hpp"

namespace headgate::test::sqlserver {

// A request as the double received it.
struct ReceivedStatement {
  int connection = 0;
  std::string application;
  std::string kind;  // "batch", "attention", "begin", "commit", "rollback", or the RPC's procedure
  std::string text;  // of the batch, or of the statement that the procedure runs
};

// What the connections of a server share; outlives them.
struct ServerParts {
  Engine& engine;
  FaultScript& faults;
  std::function<void(ReceivedStatement)> received;
  std::function<ChunkRules()> chunks;
  std::atomic<bool>& stopping;
};

// run() belongs to one thread; end() may be called from any.
class Connection {
 public:
  Connection(ServerParts& parts, int descriptor, int number);

  // Until the connection is over.
  void run();
  // Ends the connection as a server that goes down does.
  void end() { socket_.shut_down(); }

 private:
  class Sink;
  struct Prepared {
    std::string sql;
    std::string definitions;
  };

  bool log_in();
  int major_version() const;
  void refuse(const std::vector<SqlError>& errors);
  void handle(const Message& message);
  void run_batch(const std::string& sql);
  void run_rpc(const std::string& body);
  void run_transaction_request(const std::string& body);
  void acknowledge_attention();
  // Runs `work` as `statement`, with what the faults say. `finish` adds what ends an RPC's reply.
  void run_statement(const std::string& kind, const std::string& statement, DoneToken token,
                     const std::function<void(Sink&)>& work,
                     const std::function<void(std::string&)>& finish);
  void wait_as_told(const FaultScript::Strike& strike);
  bool interrupted();
  std::vector<NamedValue> bound_parameters(const std::string& definitions,
                                           const std::vector<NamedValue>& arguments,
                                           std::size_t first);

  ServerParts& parts_;
  TdsSocket socket_;
  int number_;
  Session session_;
  std::map<std::int32_t, Prepared> prepared_;
  std::int32_t last_handle_ = 0;
  std::uint64_t last_transaction_ = 0;
  bool deaf_ = false;  // to attention
};

}  // namespace headgate::test::sqlserver
