#include "demo/order_workload.hpp"

#include <condition_variable>
#include <exception>
#include <random>
#include <utility>

#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "demo/postgres_orders.hpp"

namespace headgate::demo {

namespace {

// Returns at `until`, or at once when told to stop.
void pause_until(const std::stop_token& stop, TimePoint until) {
  std::mutex mutex;
  std::condition_variable_any never_notified;
  std::unique_lock lock(mutex);
  never_notified.wait_until(lock, stop, until, [] { return false; });
}

}  // namespace

OrderWorkload::OrderWorkload(WorkloadOptions options) : options_(std::move(options)) {
  database_ = postgres_orders(options_.conninfo, options_.customers, options_.products);
}

OrderWorkload::OrderWorkload(WorkloadOptions options, std::unique_ptr<OrderDatabase> database)
    : options_(std::move(options)), database_(std::move(database)) {}

OrderWorkload::~OrderWorkload() {
  workers_.clear();
}

void OrderWorkload::create_schema() {
  database_->create_schema();
}

void OrderWorkload::start() {
  ++starts_;
  for (unsigned worker = 0; worker < options_.workers; ++worker) {
    workers_.emplace_back([this, worker](const std::stop_token& stop) { work(stop, worker); });
  }
}

void OrderWorkload::stop() {
  workers_.clear();  // requests the stop of each, then joins
  const std::lock_guard lock(error_mutex_);
  if (error_) {
    std::rethrow_exception(std::exchange(error_, nullptr));
  }
}

WorkloadCounters OrderWorkload::counters() const {
  return {committed_, rolled_back_, retried_, reconnected_};
}

namespace {

// Back to no transaction; without a session when even that fails.
void roll_back(std::unique_ptr<OrderSession>& session) {
  try {
    session->roll_back();
  } catch (const std::exception&) {
    session.reset();
  }
}

}  // namespace

void OrderWorkload::fail(std::exception_ptr error) {
  const std::lock_guard lock(error_mutex_);
  if (!error_) {
    error_ = std::move(error);
  }
}

void OrderWorkload::work(const std::stop_token& stop, unsigned worker) {
  std::mt19937_64 random(options_.seed * 1'000'003 + starts_ * 1009 + worker);
  Backoff backoff({std::chrono::milliseconds(10), std::chrono::milliseconds(500), random()});
  const SystemClock clock;
  const Duration interval = options_.transactions_per_second > 0
                                ? Duration(static_cast<Duration::rep>(
                                      1e9 * options_.workers / options_.transactions_per_second))
                                : Duration::zero();
  TimePoint next = clock.now();
  std::unique_ptr<OrderSession> session;
  bool had_session = false;
  while (!stop.stop_requested()) {
    try {
      if (!session) {
        session = database_->connect();
        reconnected_ += std::exchange(had_session, true) ? 1 : 0;
      }
      ++(session->transact(random) ? committed_ : rolled_back_);
      backoff.reset();
      // A worker that was held up does not make up for it.
      next = std::max(next + interval, clock.now() - interval);
      if (next > clock.now()) {
        pause_until(stop, next);
      }
    } catch (const std::exception& error) {
      const OrderFailure failure = database_->judge(error);
      if (failure == OrderFailure::kUnexpected) {
        fail(std::current_exception());
        return;
      }
      if (failure == OrderFailure::kRetry && session) {
        roll_back(session);
        ++retried_;
      } else {
        session.reset();
        pause_until(stop, clock.now() + backoff.next());
      }
    } catch (...) {
      fail(std::current_exception());
      return;
    }
  }
}

}  // namespace headgate::demo
