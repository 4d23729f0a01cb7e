// A source that says what the test tells it to.

#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline_fixture.hpp"

namespace headgate::pipeline_test {

// Without a script, nothing comes, and fetch() lets the time pass to its deadline. Calls that break
// the capturer's contract are noted in misuse().
class ScriptedCapturer final : public Capturer {
 public:
  struct Reply {
    std::vector<TransactionPtr> transactions;
    std::string next_capturer;
    std::optional<ErrorKind> error;
    std::optional<CopyRequest> copy;
  };

  ScriptedCapturer(std::string name, ManualClock& clock) : name_(std::move(name)), clock_(clock) {}

  // What the next fetch() hands over.
  void reply(std::vector<TransactionPtr> transactions, std::string next_capturer = {}) {
    replies_.push_back({std::move(transactions), std::move(next_capturer), {}, {}});
  }
  // And asks for a copy behind it.
  void reply(std::vector<TransactionPtr> transactions, CopyRequest copy) {
    replies_.push_back({std::move(transactions), {}, {}, std::move(copy)});
  }
  void fail_fetch(ErrorKind kind) { replies_.push_back({{}, {}, kind, {}}); }
  void fail_open(ErrorKind kind) { open_failures_.push_back(kind); }
  void fail_keep_alive(ErrorKind kind) { keep_alive_failures_.push_back(kind); }
  void fail_acknowledge(ErrorKind kind) { acknowledge_failures_.push_back(kind); }

  std::string_view name() const override { return name_; }
  void open(const StartPoint& start) override;
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position& durable) override;
  void keep_alive() override;
  void stop() noexcept override;
  LSN handed_over() const override { return reached; }
  std::map<std::string, std::string> progress() const override { return told; }

  bool is_open() const { return open_; }

  std::vector<StartPoint> opened;  // also those that failed
  std::vector<Position> acknowledged;
  std::size_t fetches = 0;
  std::size_t keep_alives = 0;
  std::size_t stops = 0;
  LSN reached;                              // what handed_over() says
  std::map<std::string, std::string> told;  // and progress()
  std::vector<std::string> misuse;

 private:
  void expect(bool holds, const std::string& rule);
  static void fail_if_scripted(std::deque<ErrorKind>& failures);

  std::string name_;
  ManualClock& clock_;
  std::deque<Reply> replies_;
  std::deque<ErrorKind> open_failures_;
  std::deque<ErrorKind> keep_alive_failures_;
  std::deque<ErrorKind> acknowledge_failures_;
  bool open_ = false;
};

}  // namespace headgate::pipeline_test
