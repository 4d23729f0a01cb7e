// Any SinkDriver, with a script of what goes wrong at which call.

#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "base/error.hpp"
#include "pipeline/sink_driver.hpp"

namespace headgate::pipeline_test {

// The calls of a SinkDriver that may throw.
enum class SinkCall {
  kCheck,
  kConnect,
  kBegin,
  kPrepareTable,
  kPrepareCopy,
  kWrite,
  kCopy,
  kCommit,
  kKeepAlive,
  kFlush,
};

std::string_view to_string(SinkCall call);

// What a call meets instead of an ordinary answer.
struct SinkFault {
  enum class What {
    kReject,     // nothing is done, and `kind` is thrown
    kFailAfter,  // all is done, and `kind` is thrown: the answer was lost on its way
    kHold,       // the calling thread stops before anything is done, until release()
    kSlow,       // all is done, and `time` has passed
  };

  static SinkFault reject(ErrorKind kind = ErrorKind::kTransient) {
    return {What::kReject, kind, {}};
  }
  // Without a kind: kInDoubt from commit(), kTransient from all others, as a lost connection is.
  static SinkFault fail_after(std::optional<ErrorKind> kind = {}) {
    return {What::kFailAfter, kind, {}};
  }
  static SinkFault hold() { return {What::kHold, {}, {}}; }
  static SinkFault slow(Duration time) { return {What::kSlow, {}, time}; }

  What what = What::kReject;
  std::optional<ErrorKind> kind{};
  Duration time{};
};

// Hands every call on to the driver it wraps, except where the script says otherwise. The wrapped
// driver keeps what it did before a fault: who gets an error must do what the interface asks for
// (rollback, disconnect, connect), as with a real one.
//
// One thread drives it. Script, release() and the questions may come from another.
class FaultySink final : public SinkDriver {
 public:
  // `inner` must outlive it. `pass_time` makes time pass for SinkFault::slow(): it moves a test's
  // clock, or waits on one.
  explicit FaultySink(SinkDriver& inner, std::function<void(Duration)> pass_time = {});
  ~FaultySink() override;
  FaultySink(const FaultySink&) = delete;
  FaultySink& operator=(const FaultySink&) = delete;

  // The next call of this sort that has no fault yet meets `fault`.
  void next(SinkCall call, SinkFault fault);
  // Call number `number` of all, from 0, meets `fault`, whatever it is. Goes before next().
  void strike(std::size_t number, SinkFault fault);

  // Returns once a call is held. Throws std::runtime_error when none comes within some seconds.
  void wait_until_held();
  bool is_held() const;
  // Lets the held call go on. A call that is still to be held is not let through by it.
  void release();

  // All calls so far that may throw, in order.
  std::vector<SinkCall> calls() const;
  std::size_t count(SinkCall call) const;
  // Faults that a call has met.
  std::size_t faults_met() const;

  SinkPosition check(Findings& findings) override;
  SinkPosition connect() override;
  std::string place() override { return inner_.place(); }
  void begin() override;
  void prepare_table(const SinkConfigPtr& table, MissingTable missing) override;
  void prepare_copy(const SinkConfig& table, ExistingRows existing) override;
  void write(std::span<const Sink> operations) override;
  void copy(std::span<const Sink> operations) override;
  void commit(const CommitMark& mark) override;
  void keep_alive() override;
  void rollback() noexcept override { inner_.rollback(); }
  bool commits_are_durable() const override { return inner_.commits_are_durable(); }
  void flush() override;
  void disconnect() noexcept override { inner_.disconnect(); }

 private:
  template <typename Action>
  auto meet(SinkCall call, Action action);
  std::optional<SinkFault> enter(SinkCall call);
  void wait_for_release();

  SinkDriver& inner_;
  const std::function<void(Duration)> pass_time_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_.
  std::map<SinkCall, std::deque<SinkFault>> next_;
  std::map<std::size_t, SinkFault> strikes_;
  std::vector<SinkCall> calls_;
  std::size_t faults_met_ = 0;
  bool held_ = false;
  bool released_ = false;
};

}  // namespace headgate::pipeline_test
