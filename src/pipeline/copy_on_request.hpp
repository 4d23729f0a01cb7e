// The capturer "snapshot" where a first copy is another matter than one that somebody asks for.

#pragma once

#include <map>
#include <string>
#include <string_view>

#include "pipeline/capturer.hpp"

namespace headgate {

// `snapshot.mode: never` and `snapshot.method: bulk`: a sink without a position gets one from
// `first`, and the rows or none; what is asked for later, and goes on after a restart, is `copies`'
// matter. Where both are due, one comes after the other.
class CopyOnRequest final : public Capturer {
 public:
  // Both must outlive it.
  CopyOnRequest(Capturer& first, Capturer& copies)
      : first_(first), copies_(copies), current_(&copies) {}

  std::string_view name() const override { return "snapshot"; }
  void open(const StartPoint& start) override;
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position& durable) override { current_->acknowledge(durable); }
  LSN handed_over() const override { return current_->handed_over(); }
  std::map<std::string, std::string> progress() const override { return current_->progress(); }
  void pause(bool paused) override { current_->pause(paused); }
  void cancel() override { current_->cancel(); }
  void keep_alive() override { current_->keep_alive(); }
  void stop() noexcept override { current_->stop(); }

 private:
  Capturer& first_;
  Capturer& copies_;
  Capturer* current_;  // one of the two
  StartPoint start_;
};

}  // namespace headgate
