// A source that hands over a CrashWorkload, and discards what it is told is durable.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "crash_workload.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/pipeline_fixture.hpp"

namespace headgate::sink::sqlite::test {

// The first copy and the changes after it come from the same hand here. Waiting lets the clock
// pass.
class CrashSource final : public Capturer {
 public:
  // Both must outlive it.
  CrashSource(const CrashWorkload& workload, pipeline_test::ManualClock& clock)
      : workload_(workload), clock_(clock) {}

  std::string_view name() const override { return "cdc"; }
  void open(const StartPoint& start) override;
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position& durable) override;
  void keep_alive() override {}
  void stop() noexcept override {}

  // Everything was handed over.
  bool exhausted() const { return next_ == workload_.deliveries().size(); }
  // It no longer has what ends up to here.
  std::uint64_t discarded() const { return discarded_; }

 private:
  const CrashWorkload& workload_;
  pipeline_test::ManualClock& clock_;
  std::size_t next_ = 0;  // of the workload's deliveries
  TimePoint quiet_until_{};
  std::uint64_t discarded_ = 0;
};

}  // namespace headgate::sink::sqlite::test
