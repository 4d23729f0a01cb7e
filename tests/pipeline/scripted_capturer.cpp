#include "scripted_capturer.hpp"

namespace headgate::pipeline_test {

void ScriptedCapturer::expect(bool holds, const std::string& rule) {
  if (!holds) {
    misuse.push_back(name_ + ": " + rule);
  }
}

void ScriptedCapturer::fail_if_scripted(std::deque<ErrorKind>& failures) {
  if (failures.empty()) {
    return;
  }
  const ErrorKind kind = failures.front();
  failures.pop_front();
  throw Error{kind, "scripted failure"};
}

void ScriptedCapturer::open(const StartPoint& start) {
  opened.push_back(start);
  fail_if_scripted(open_failures_);
  open_ = true;
}

CaptureResult ScriptedCapturer::fetch(const FetchLimits& limits, TimePoint deadline) {
  expect(open_, "fetch() while not open");
  expect(limits.transactions_max > 0, "fetch() for nothing");
  ++fetches;
  CaptureResult result;
  if (replies_.empty()) {
    clock_.advance_to(deadline);
    return result;
  }
  Reply reply = std::move(replies_.front());
  replies_.pop_front();
  if (reply.error) {
    open_ = false;
    throw Error{*reply.error, "scripted failure"};
  }
  result.transactions = std::move(reply.transactions);
  result.next_capturer = std::move(reply.next_capturer);
  result.copy = std::move(reply.copy);
  return result;
}

void ScriptedCapturer::acknowledge(const Position& durable) {
  expect(open_, "acknowledge() while not open");
  fail_if_scripted(acknowledge_failures_);
  expect(acknowledged.empty() || acknowledged.back().lsn <= durable.lsn,
         "acknowledge() went backwards");
  acknowledged.push_back(durable);
}

void ScriptedCapturer::keep_alive() {
  expect(open_, "keep_alive() while not open");
  ++keep_alives;
  fail_if_scripted(keep_alive_failures_);
}

void ScriptedCapturer::stop() noexcept {
  open_ = false;
  ++stops;
}

}  // namespace headgate::pipeline_test
