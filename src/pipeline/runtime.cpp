#include "pipeline/runtime.hpp"

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/error.hpp"

namespace headgate {
namespace {

RunState state_for(std::string_view capturer) {
  if (capturer == "snapshot") return RunState::kSnapshot;
  if (capturer == "replay") return RunState::kReplay;
  return RunState::kPolling;
}

}  // namespace

void Runtime::add(Capturer& capturer) {
  capturers_[std::string(capturer.name())] = &capturer;
}

void Runtime::open() {
  const bool copies = start_.copy_needed || !start_.copies.empty() || start_.requested.has_value();
  switch_to(copies ? "snapshot" : "cdc",
            [](Capturer& capturer, const StartPoint& start) { capturer.open(start); });
}

CaptureResult Runtime::fetch(const FetchLimits& limits, TimePoint deadline) {
  if (!next_.empty()) {
    switch_to(std::exchange(next_, {}));
  }
  take_wishes();
  HEADGATE_CHECK(current_ != nullptr, "fetch() needs an open capturer");
  CaptureResult result = current_->fetch(limits, deadline);
  for (const TransactionPtr& transaction : result.transactions) {
    remember(*transaction);
  }
  states_.set_metadata(current_->progress());
  if (result.copy) {
    found_ = std::move(result.copy);
  }
  if (!result.next_capturer.empty() && result.next_capturer != current_->name()) {
    next_ = result.next_capturer;
  }
  return result;
}

void Runtime::take_wishes() {
  if (current_ == nullptr) {
    return;
  }
  if (control_ != nullptr) {
    current_->pause(control_->paused());
    if (control_->take_cancel()) {
      current_->cancel();
    }
  }
  if (within_transaction_ || current_->name() != "cdc") {
    return;
  }
  std::optional<CopyRequest> request = std::exchange(found_, std::nullopt);
  const bool found = request.has_value();
  if (!found && control_ != nullptr) {
    request = control_->request();
  }
  if (request) {
    wished_ = !found;
    start_.requested = std::move(request);
    switch_to("snapshot");
  }
}

void Runtime::remember(const Transaction& transaction) {
  within_transaction_ = !ends(transaction.portion);
  if (!ends(transaction.portion)) {
    return;
  }
  if (transaction.purpose == Purpose::kCopyBegin) {
    start_.requested.reset();
    if (wished_) {
      control_->begun();
    }
  } else if (transaction.purpose == Purpose::kCopyEnd) {
    start_.copy_needed = false;
    std::erase_if(start_.copies, [&](const TableRecord& record) {
      const auto& tables = transaction.involved_tables();
      return !transaction.copy.partial ||
             std::any_of(tables.begin(), tables.end(), [&](const TableSchemaPtr& table) {
               return record_id(*table) == record_id(record.source);
             });
    });
  }
  if (transaction.purpose != Purpose::kInitialCopy) {
    start_.resume = transaction.end_position;
    return;
  }
  start_.copy_needed = false;
  // Older sinks still need what lies between their position and the copy's.
  if (start_.resume.empty() || transaction.end_position.lsn < start_.resume.lsn) {
    start_.resume = transaction.end_position;
  }
}

void Runtime::switch_to(std::string_view name) {
  switch_to(name, open_in_session);
}

void Runtime::switch_to(std::string_view name, void (*opener)(Capturer&, const StartPoint&)) {
  const auto found = capturers_.find(name);
  if (found == capturers_.end()) {
    throw Error{ErrorKind::kOperator, "there is no capturer named \"" + std::string(name) + "\"",
                "cdc, snapshot or replay"};
  }
  stop();
  if (!states_.set(state_for(name))) {
    throw Error{ErrorKind::kOperator, "cannot switch to " + std::string(name) + ": " +
                                          std::string(to_string(states_.current())) +
                                          " is running"};
  }
  try {
    opener(*found->second, start_);
  } catch (...) {
    states_.set(RunState::kIdle);
    throw;
  }
  current_ = found->second;
  if (!acknowledged_.empty()) {
    current_->acknowledge(acknowledged_);
  }
  log_->info("capturer opened name={} after={}", name,
             start_.resume.empty() ? "(beginning)" : start_.resume.to_string());
}

void Runtime::acknowledge(const Position& durable) {
  acknowledged_ = durable;
  if (current_ != nullptr) {
    current_->acknowledge(durable);
  }
}

void Runtime::keep_alive() {
  if (current_ != nullptr) {
    current_->keep_alive();
  }
}

void Runtime::stop() noexcept {
  next_.clear();
  found_.reset();
  within_transaction_ = false;
  if (current_ != nullptr) {
    current_->stop();
    current_ = nullptr;
    states_.set(RunState::kIdle);
  }
}

std::string_view Runtime::current() const {
  return current_ == nullptr ? std::string_view{} : current_->name();
}

}  // namespace headgate
