// The capture job: reads each transaction of the log some time after its commit.

#pragma once

#include <chrono>
#include <functional>
#include <thread>

#include "support/sqlserver_double/cdc.hpp"

namespace headgate::test::sqlserver {

// Does nothing while the Agent or the job is stopped. The engine must outlive it.
class CaptureThread {
 public:
  using Lag = std::function<std::chrono::milliseconds()>;

  CaptureThread(Engine& engine, Lag lag, std::chrono::milliseconds idle_interval);
  // Waits for the thread; a transaction that is being captured is captured whole.
  ~CaptureThread();
  CaptureThread(const CaptureThread&) = delete;
  CaptureThread& operator=(const CaptureThread&) = delete;

 private:
  void run();
  void capture_due(Database& database);

  Engine& engine_;
  Lag lag_;
  std::chrono::milliseconds idle_interval_;
  bool stopping_ = false;  // guarded by the engine's mutex
  std::chrono::milliseconds next_lag_{0};
  std::chrono::steady_clock::time_point last_row_ = std::chrono::steady_clock::now();
  std::thread thread_;
};

}  // namespace headgate::test::sqlserver
