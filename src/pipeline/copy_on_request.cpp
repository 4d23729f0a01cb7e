#include "pipeline/copy_on_request.hpp"

#include "core/transaction.hpp"

namespace headgate {

void CopyOnRequest::open(const StartPoint& start) {
  start_ = start;
  current_ = start.copy_needed ? &first_ : &copies_;
  current_->open(start);
}

CaptureResult CopyOnRequest::fetch(const FetchLimits& limits, TimePoint deadline) {
  CaptureResult result = current_->fetch(limits, deadline);
  if (current_ != &first_) {
    return result;
  }
  for (const TransactionPtr& transaction : result.transactions) {
    // Older sinks still need what lies between their position and the new one's.
    const Position& end = transaction->end_position;
    if (ends(transaction->portion) && (start_.resume.empty() || end.lsn < start_.resume.lsn)) {
      start_.resume = end;
    }
  }
  if (!result.next_capturer.empty() && (!start_.copies.empty() || start_.requested)) {
    start_.copy_needed = false;
    first_.stop();
    current_ = &copies_;
    open_in_session(*current_, start_);
    result.next_capturer.clear();
  }
  return result;
}

}  // namespace headgate
