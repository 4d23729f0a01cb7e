#include "pipeline/copy_control.hpp"

#include <utility>

namespace headgate {
namespace {

constexpr const char* kNoCopy = "no copy is running";

}  // namespace

std::string CopyControl::start(CopyRequest request) {
  const std::lock_guard lock(mutex_);
  if (request_) {
    return "another copy was asked for, and has not begun yet";
  }
  if (!states_.can_start(RunState::kSnapshot)) {
    return "a copy or a replay is running already";
  }
  request_ = std::move(request);
  taken_ = false;
  paused_ = false;
  return {};
}

std::string CopyControl::pause() {
  const std::lock_guard lock(mutex_);
  if (!copying()) {
    return kNoCopy;
  }
  paused_ = true;
  return {};
}

std::string CopyControl::resume() {
  const std::lock_guard lock(mutex_);
  // Also while the pipeline begins again, and no copy is seen to run.
  if (!std::exchange(paused_, false) && !copying()) {
    return kNoCopy;
  }
  return {};
}

std::string CopyControl::cancel() {
  const std::lock_guard lock(mutex_);
  if (request_) {
    request_.reset();
    cancel_ = taken_;
    return {};
  }
  if (!copying()) {
    return kNoCopy;
  }
  const auto told = states_.metadata();
  const auto kind = told.find("copy");
  if (kind == told.end() || kind->second != "again") {
    return "the first copy of a table cannot be cancelled; leave the table out of `tables`, or "
           "pause";
  }
  cancel_ = true;
  return {};
}

bool CopyControl::paused() const {
  const std::lock_guard lock(mutex_);
  return paused_;
}

std::optional<CopyRequest> CopyControl::request() {
  const std::lock_guard lock(mutex_);
  taken_ = taken_ || request_.has_value();
  return request_;
}

void CopyControl::begun() {
  const std::lock_guard lock(mutex_);
  request_.reset();
}

bool CopyControl::take_cancel() {
  const std::lock_guard lock(mutex_);
  return std::exchange(cancel_, false);
}

}  // namespace headgate
