#include "faulty_sink.hpp"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>

namespace headgate::pipeline_test {
namespace {

// Longer than any test takes: whoever waits so long waits in vain.
constexpr std::chrono::seconds kPatience{30};

[[noreturn]] void fail(SinkCall call, std::optional<ErrorKind> kind) {
  const ErrorKind lost = call == SinkCall::kCommit ? ErrorKind::kInDoubt : ErrorKind::kTransient;
  throw Error{kind.value_or(lost), "scripted failure of " + std::string(to_string(call))};
}

}  // namespace

std::string_view to_string(SinkCall call) {
  switch (call) {
    case SinkCall::kCheck:
      return "check";
    case SinkCall::kConnect:
      return "connect";
    case SinkCall::kBegin:
      return "begin";
    case SinkCall::kPrepareTable:
      return "prepare_table";
    case SinkCall::kPrepareCopy:
      return "prepare_copy";
    case SinkCall::kWrite:
      return "write";
    case SinkCall::kCopy:
      return "copy";
    case SinkCall::kCommit:
      return "commit";
    case SinkCall::kKeepAlive:
      return "keep_alive";
    case SinkCall::kFlush:
      return "flush";
  }
  return "unknown";
}

FaultySink::FaultySink(SinkDriver& inner, std::function<void(Duration)> pass_time)
    : inner_(inner), pass_time_(std::move(pass_time)) {}

FaultySink::~FaultySink() = default;

void FaultySink::next(SinkCall call, SinkFault fault) {
  const std::lock_guard lock(mutex_);
  next_[call].push_back(fault);
}

void FaultySink::strike(std::size_t number, SinkFault fault) {
  const std::lock_guard lock(mutex_);
  strikes_[number] = fault;
}

void FaultySink::wait_until_held() {
  std::unique_lock lock(mutex_);
  if (!changed_.wait_for(lock, kPatience, [&] { return held_; })) {
    throw std::runtime_error("no call was held");
  }
}

bool FaultySink::is_held() const {
  const std::lock_guard lock(mutex_);
  return held_;
}

void FaultySink::release() {
  const std::lock_guard lock(mutex_);
  if (held_) {
    released_ = true;
    changed_.notify_all();
  }
}

std::vector<SinkCall> FaultySink::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

std::size_t FaultySink::count(SinkCall call) const {
  const std::lock_guard lock(mutex_);
  return static_cast<std::size_t>(std::count(calls_.begin(), calls_.end(), call));
}

std::size_t FaultySink::faults_met() const {
  const std::lock_guard lock(mutex_);
  return faults_met_;
}

// Notes the call and takes its fault from the script.
std::optional<SinkFault> FaultySink::enter(SinkCall call) {
  const std::lock_guard lock(mutex_);
  const std::size_t number = calls_.size();
  calls_.push_back(call);
  std::optional<SinkFault> fault;
  auto& waiting = next_[call];
  if (const auto strike = strikes_.find(number); strike != strikes_.end()) {
    fault = strike->second;
  } else if (!waiting.empty()) {
    fault = waiting.front();
    waiting.pop_front();
  }
  faults_met_ += fault ? 1U : 0U;
  return fault;
}

void FaultySink::wait_for_release() {
  std::unique_lock lock(mutex_);
  held_ = true;
  changed_.notify_all();
  const bool released = changed_.wait_for(lock, kPatience, [&] { return released_; });
  held_ = false;
  released_ = false;
  if (!released) {
    throw std::runtime_error("a held call was never released");
  }
}

template <typename Action>
auto FaultySink::meet(SinkCall call, Action action) {
  const std::optional<SinkFault> fault = enter(call);
  if (!fault) {
    return action();
  }
  switch (fault->what) {
    case SinkFault::What::kReject:
      fail(call, fault->kind);
    case SinkFault::What::kFailAfter:
      action();
      fail(call, fault->kind);
    case SinkFault::What::kHold:
      wait_for_release();
      break;
    case SinkFault::What::kSlow:
      if (pass_time_) {
        pass_time_(fault->time);
      }
      break;
  }
  return action();
}

SinkPosition FaultySink::check(Findings& findings) {
  return meet(SinkCall::kCheck, [&] { return inner_.check(findings); });
}

SinkPosition FaultySink::connect() {
  return meet(SinkCall::kConnect, [&] { return inner_.connect(); });
}

void FaultySink::begin() {
  meet(SinkCall::kBegin, [&] { inner_.begin(); });
}

void FaultySink::prepare_table(const SinkConfigPtr& table, MissingTable missing) {
  meet(SinkCall::kPrepareTable, [&] { inner_.prepare_table(table, missing); });
}

void FaultySink::prepare_copy(const SinkConfig& table, ExistingRows existing) {
  meet(SinkCall::kPrepareCopy, [&] { inner_.prepare_copy(table, existing); });
}

void FaultySink::write(std::span<const Sink> operations) {
  meet(SinkCall::kWrite, [&] { inner_.write(operations); });
}

void FaultySink::copy(std::span<const Sink> operations) {
  meet(SinkCall::kCopy, [&] { inner_.copy(operations); });
}

void FaultySink::commit(const CommitMark& mark) {
  meet(SinkCall::kCommit, [&] { inner_.commit(mark); });
}

void FaultySink::keep_alive() {
  meet(SinkCall::kKeepAlive, [&] { inner_.keep_alive(); });
}

void FaultySink::flush() {
  meet(SinkCall::kFlush, [&] { inner_.flush(); });
}

}  // namespace headgate::pipeline_test
