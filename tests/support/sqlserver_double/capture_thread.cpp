#include "support/sqlserver_double/capture_thread.hpp"

#include "support/sqlserver_double/sql_error.hpp"

namespace headgate::test::sqlserver {

namespace {
using SteadyClock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLook{2};
}  // namespace

CaptureThread::CaptureThread(Engine& engine, Lag lag, std::chrono::milliseconds idle_interval)
    : engine_(engine), lag_(std::move(lag)), idle_interval_(idle_interval), next_lag_(lag_()) {
  thread_ = std::thread([this] { run(); });
}

CaptureThread::~CaptureThread() {
  {
    std::lock_guard lock(engine_.mutex);
    stopping_ = true;
  }
  engine_.changed.notify_all();
  thread_.join();
}

void CaptureThread::run() {
  std::unique_lock lock(engine_.mutex);
  while (!stopping_) {
    if (engine_.agent_running && engine_.capture_job.running) {
      for (const auto& [name, database] : engine_.databases) {
        if (database->cdc_enabled) {
          capture_due(*database);
        }
      }
    }
    engine_.changed.wait_for(lock, kLook);
  }
}

void CaptureThread::capture_due(Database& database) {
  const auto now = SteadyClock::now();
  while (!database.uncaptured.empty() &&
         database.uncaptured.front().committed_at + next_lag_ <= now) {
    capture(engine_, database, 1);
    next_lag_ = lag_();
    last_row_ = now;
  }
  if (database.uncaptured.empty()) {
    // Nothing to read, but the process has seen the end of the log.
    record_scan(engine_, database, true);
    if (database.captured_upto < database.log_end) {
      capture(engine_, database, 0);
    }
    if (idle_interval_.count() > 0 && now - last_row_ >= idle_interval_) {
      write_idle_row(engine_, database);
      last_row_ = now;
    }
  }
}

}  // namespace headgate::test::sqlserver
