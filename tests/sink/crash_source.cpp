#include "crash_source.hpp"

#include <algorithm>

namespace headgate::sink::sqlite::test {

void CrashSource::open(const StartPoint& start) {
  const std::uint64_t from = start.resume.empty() ? 0 : start.resume.lsn.to_postgres();
  const auto& all = workload_.deliveries();
  const auto first = std::find_if(all.begin(), all.end(),
                                  [&](const auto& delivery) { return delivery.end > from; });
  next_ = static_cast<std::size_t>(first - all.begin());
}

CaptureResult CrashSource::fetch(const FetchLimits&, TimePoint deadline) {
  CaptureResult result;
  if (clock_.now() < quiet_until_) {
    clock_.advance_to(std::min(deadline, quiet_until_));
    return result;
  }
  while (!exhausted()) {
    const CrashWorkload::Delivery& delivery = workload_.deliveries()[next_++];
    result.transactions.push_back(delivery.transaction);
    if (delivery.pause > Duration{}) {
      quiet_until_ = clock_.now() + delivery.pause;
      break;
    }
  }
  return result;
}

void CrashSource::acknowledge(const Position& durable) {
  discarded_ = durable.lsn.to_postgres();
}

}  // namespace headgate::sink::sqlite::test
