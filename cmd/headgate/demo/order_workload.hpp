// A shop that is open: several sessions that place, pay, correct and cancel orders until told to
// stop.
//
// It knows nothing of Headgate. order_schema.hpp has the tables and the rules that hold at every
// commit.

#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "demo/order_database.hpp"

namespace headgate::demo {

struct WorkloadOptions {
  std::string conninfo{};  // of a PostgreSQL
  unsigned workers = 4;
  double transactions_per_second = 0;  // of all workers together; 0: as fast as they can
  std::uint64_t seed = 1;
  int customers = 60;
  int products = 40;
};

struct WorkloadCounters {
  std::uint64_t committed = 0;    // surely; one whose COMMIT got no reply is not counted
  std::uint64_t rolled_back = 0;  // on purpose, about one in twenty
  std::uint64_t retried = 0;      // deadlocks and serialization failures
  std::uint64_t reconnected = 0;  // sessions lost and made again
};

// start(), stop() and create_schema() belong to one thread; counters() may be called from any.
class OrderWorkload {
 public:
  // In the PostgreSQL of the options.
  explicit OrderWorkload(WorkloadOptions options);
  // In another database; `conninfo` and the numbers of rows are then not used.
  OrderWorkload(WorkloadOptions options, std::unique_ptr<OrderDatabase> database);
  // Stops; an error that ended a worker is then lost.
  ~OrderWorkload();

  OrderWorkload(const OrderWorkload&) = delete;
  OrderWorkload& operator=(const OrderWorkload&) = delete;

  // Creates schema `shop` and its first rows. Throws PgError, or what the database throws.
  void create_schema();

  // Starts the workers. They reconnect with back-off when the server goes away, and go on. Counters
  // go on from where they were.
  void start();

  // Ends the workers after their current transaction and returns when none has one open.
  //
  // Throws PgError, or what the database throws, when a worker met an error that it does not expect
  // (not a lost session, deadlock or serialization failure): the workload or the server is at
  // fault.
  void stop();

  WorkloadCounters counters() const;

 private:
  void work(const std::stop_token& stop, unsigned worker);
  void fail(std::exception_ptr error);

  // Constant after construction.
  WorkloadOptions options_;
  std::unique_ptr<OrderDatabase> database_;

  std::vector<std::jthread> workers_;
  unsigned starts_ = 0;  // gives each start other random numbers

  std::atomic<std::uint64_t> committed_ = 0;
  std::atomic<std::uint64_t> rolled_back_ = 0;
  std::atomic<std::uint64_t> retried_ = 0;
  std::atomic<std::uint64_t> reconnected_ = 0;

  std::mutex error_mutex_;
  std::exception_ptr error_;  // guarded by error_mutex_; the first unexpected one
};

}  // namespace headgate::demo
