// A reader of a database that asks, all the while, whether what must always hold does.

#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.hpp"
#include "demo/pg_session.hpp"

namespace headgate::test {

// Runs one statement, and so sees one snapshot; its rows are violations. Called from the reader's
// thread. Throws when the database cannot be read at the moment.
using InvariantQuery = std::function<demo::TextRows()>;

// Each keeps a session of its own, made at the first call and again after an error.
InvariantQuery postgres_invariant(std::string conninfo, std::string sql);
InvariantQuery sqlite_invariant(std::string path, std::string sql);

// Asks again and again, with a pause, in a thread of its own, until stopped. A database that is
// away (killed by the test) is no violation; what a wrong one says stays in violations().
class InvariantReader {
 public:
  // The default leaves the processors to those that are tested.
  explicit InvariantReader(InvariantQuery query, Duration pause = std::chrono::milliseconds(50));

  // Returns when the last query has ended. The destructor does the same.
  void stop();

  // What the first violating answers said; empty: none.
  std::string violations() const;
  // Answers without a violation.
  std::uint64_t rounds() const { return rounds_; }
  // What the last failed attempt said, for a test that finds too few rounds.
  std::string last_error() const;

 private:
  void work(const std::stop_token& stop);
  void ask();

  InvariantQuery query_;  // the thread's alone
  const Duration pause_;
  std::atomic<std::uint64_t> rounds_ = 0;
  mutable std::mutex mutex_;
  std::string violations_;  // guarded by mutex_, as the next
  std::string last_error_;
  std::jthread thread_;  // last: it uses all of the above
};

}  // namespace headgate::test
