// pgbench's tables and load: an application that nobody of us wrote.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "demo/subprocess.hpp"

namespace headgate::test {

// pgbench_history has no key. Not thread-safe.
class Pgbench {
 public:
  explicit Pgbench(std::string conninfo) : conninfo_(std::move(conninfo)) {}

  // Makes the four tables, with 100,000 accounts for each unit of `scale`.
  void create_tables(int scale = 1);

  // Starts the TPC-B-like load and returns. `log_path` takes what pgbench says. The server must
  // stay up: pgbench does not reconnect.
  void start(int clients, int transactions_per_second, const std::string& log_path);

  // Ends it, and returns when the server has no session of it and so no open transaction.
  //
  // Throws std::runtime_error when it had already ended by itself: then there was no load.
  void stop();

  static std::vector<std::string> tables();

  // Returns rows when accounts, tellers, branches and history do not sum up to the same; read by
  // both PostgreSQL and SQLite. The columns are these sums.
  static std::string invariant();

 private:
  std::string conninfo_;
  std::unique_ptr<demo::Subprocess> load_;
};

}  // namespace headgate::test
