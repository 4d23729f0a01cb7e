#include "demo/order_workload.hpp"

#include <condition_variable>
#include <exception>
#include <optional>
#include <random>
#include <utility>

#include "base/backoff.hpp"
#include "base/clock.hpp"
#include "demo/order_actions.hpp"
#include "demo/order_schema.hpp"
#include "demo/pg_session.hpp"

namespace headgate::demo {

namespace {

// Returns at `until`, or at once when told to stop.
void pause_until(const std::stop_token& stop, TimePoint until) {
  std::mutex mutex;
  std::condition_variable_any never_notified;
  std::unique_lock lock(mutex);
  never_notified.wait_until(lock, stop, until, [] { return false; });
}

// The server is going down, coming up or full: the session is or will be lost, and another one
// works later.
bool wants_new_session(const PgError& error) {
  return error.session_lost() || error.sqlstate().starts_with("57P") || error.sqlstate() == "53300";
}

}  // namespace

OrderWorkload::OrderWorkload(WorkloadOptions options) : options_(std::move(options)) {}

OrderWorkload::~OrderWorkload() {
  workers_.clear();
}

void OrderWorkload::create_schema() {
  PgSession(options_.conninfo).execute(order_schema_script(options_.customers, options_.products));
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

enum class Ended { kCommitted, kRolledBack };

Ended one_transaction(PgSession& session, std::mt19937_64& random, const WorkloadOptions& options) {
  session.execute("BEGIN");
  OrderActions(session, random, options.customers, options.products).any();
  if (std::bernoulli_distribution(0.05)(random)) {
    session.execute("ROLLBACK");
    return Ended::kRolledBack;
  }
  session.execute("COMMIT");
  return Ended::kCommitted;
}

// Back to no transaction; without a session when even that fails.
void roll_back(std::optional<PgSession>& session) {
  try {
    session->execute("ROLLBACK");
  } catch (const PgError&) {
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
  std::optional<PgSession> session;
  bool had_session = false;
  while (!stop.stop_requested()) {
    try {
      if (!session) {
        session.emplace(options_.conninfo);
        reconnected_ += std::exchange(had_session, true) ? 1 : 0;
      }
      const Ended ended = one_transaction(*session, random, options_);
      ++(ended == Ended::kCommitted ? committed_ : rolled_back_);
      backoff.reset();
      // A worker that was held up does not make up for it.
      next = std::max(next + interval, clock.now() - interval);
      if (next > clock.now()) {
        pause_until(stop, next);
      }
    } catch (const PgError& error) {
      if (error.retryable()) {
        roll_back(session);
        ++retried_;
      } else if (wants_new_session(error)) {
        session.reset();
        pause_until(stop, clock.now() + backoff.next());
      } else {
        fail(std::current_exception());
        return;
      }
    } catch (...) {
      fail(std::current_exception());
      return;
    }
  }
}

}  // namespace headgate::demo
