// A database with a shop in it, as the workers of the order workload see it.

#pragma once

#include <exception>
#include <memory>
#include <random>

namespace headgate::demo {

// What a failed transaction calls for.
enum class OrderFailure {
  kRetry,       // a deadlock, say: another transaction may succeed in this session
  kNewSession,  // the server is going down, coming up or full, or this session is lost
  kUnexpected,  // the workload or the server is at fault
};

// One worker's session. Not thread-safe; ends with its open transaction when destroyed.
class OrderSession {
 public:
  virtual ~OrderSession() = default;

  // Runs one transaction of the shop to its end. True: committed; false: rolled back, on purpose.
  // Throws what OrderDatabase::judge() knows.
  virtual bool transact(std::mt19937_64& random) = 0;

  // Rolls back what transact() left open when it threw.
  virtual void roll_back() = 0;
};

class OrderDatabase {
 public:
  virtual ~OrderDatabase() = default;

  // Creates the tables of order_schema.hpp and their first rows.
  virtual void create_schema() = 0;

  // From any thread.
  virtual std::unique_ptr<OrderSession> connect() = 0;
  virtual OrderFailure judge(const std::exception& error) const = 0;
};

}  // namespace headgate::demo
