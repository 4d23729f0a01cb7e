#include "source/sqlserver/start_here.hpp"

#include "source/sqlserver/log_window.hpp"

namespace headgate::source::sqlserver {

void StartHere::open(const StartPoint&) {}

CaptureResult StartHere::fetch(const FetchLimits&, TimePoint) {
  const auto captured = captured_to(session_.connection());
  if (!captured) {
    throw Error{ErrorKind::kTransient, "source: the capture process has never run",
                "start SQL Server Agent and the capture job"};
  }
  auto copy = std::make_shared<Transaction>("copy", *captured, clock_.wall_now());
  copy->purpose = Purpose::kInitialCopy;
  copy->end_position = {*captured, session_.history()};
  for (const Reading& reading : session_.follow(*captured)) {
    copy->involve(reading.schema);
  }
  CaptureResult result;
  result.transactions.push_back(std::move(copy));
  result.batch_id = BatchContext::make({}, clock_.wall_now()).batch_id;
  result.next_capturer = "cdc";
  return result;
}

}  // namespace headgate::source::sqlserver
