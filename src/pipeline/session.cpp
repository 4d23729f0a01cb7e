#include "pipeline/session.hpp"

#include <algorithm>
#include <utility>

namespace headgate {
namespace {

// From where two sinks can both go on with a table.
CopyProgress behind_both(const CopyProgress& a, const CopyProgress& b) {
  CopyProgress start;
  if (a.run == b.run) {
    start = a.chunks < b.chunks ? a : b;
  }
  // Otherwise their chunks end at keys that only the source could compare, and what lies between
  // the two must not be left out: the table is copied again.
  const CopyProgress& other = a.chunks < b.chunks ? b : a;
  if (start.chunks > 0) {
    for (const auto& key : other.moved) {
      if (std::find(start.moved.begin(), start.moved.end(), key) == start.moved.end()) {
        start.moved.push_back(key);
      }
    }
  }
  start.again = a.again && b.again;
  return start;
}

}  // namespace

Session::Lane::Lane(const SessionSink& of, const Clock& clock, const SessionOptions& options,
                    const Logger& log)
    : sink(of),
      queue(options.queue_transactions_max, options.queue_bytes_max),
      step(of.name, *of.driver, *of.transformer, queue, *of.progress, clock, options.apply, log) {}

Session::Session(Source& source, const std::vector<SessionSink>& sinks, StateManager& states,
                 CaptureProgress& capture_progress, const Clock& clock,
                 const SessionOptions& options, const Logger& log)
    : source_(source), runtime_(states, log) {
  std::vector<SinkFeed> feeds;
  for (const SessionSink& sink : sinks) {
    lanes_.push_back(std::make_unique<Lane>(sink, clock, options, log));
    feeds.push_back({&lanes_.back()->queue, sink.progress});
    // What an earlier session knew to be durable may be gone with the sink's disk.
    sink.progress->update([](SinkStatus& status) {
      status.state = "starting";
      status.durable = {};
    });
  }
  runtime_.add(source.cdc());
  runtime_.add(source.snapshot());
  if (options.copies != nullptr) {
    runtime_.listen_to(*options.copies);
  }
  capture_ = std::make_unique<CaptureStep>(runtime_, std::move(feeds), capture_progress, clock,
                                           options.capture, log);
}

Session::~Session() {
  capture_->finish();
  for (const auto& lane : lanes_) {
    lane->step.close();
  }
}

void Session::open() {
  std::vector<SinkStand> stands;
  for (const auto& lane : lanes_) {
    // The first of them may have waited long for the last.
    lane->step.confirm();
    if (const Position& position = lane->step.position(); !position.empty()) {
      stands.push_back({"sink " + lane->sink.name, position, lane->step.known_tables()});
    }
  }
  const History history = source_.prepare(stands);
  for (const auto& lane : lanes_) {
    lane->step.adopt(history);
  }
  StartPoint start = start_point();
  if (!start.copy_needed && start.copies.empty()) {
    start.requested = missing_tables();
  }
  runtime_.start_at(start);
  const std::string place = source_.place();
  for (const auto& lane : lanes_) {
    if (!place.empty() && lane->sink.driver->place() == place) {
      lane->step.refuse_tables(
          [&source = source_](const TableName& table) { return source.captures(table); });
    }
  }
}

// Tables that came to the configuration, or to the source, since the sinks were copied. A sink that
// remembers no table at all is of a version that did not.
std::optional<CopyRequest> Session::missing_tables() const {
  CopyRequest request{{}, true};
  for (const TableSchema& table : source_.captured_tables()) {
    const std::string id = record_id(table);
    const bool missing = std::any_of(lanes_.begin(), lanes_.end(), [&](const auto& lane) {
      const TableRecords known = lane->step.known_tables();
      return !known.empty() && std::none_of(known.begin(), known.end(), [&](const auto& record) {
        return record_id(record.source) == id;
      });
    });
    if (missing) {
      request.tables.push_back(table.name);
    }
  }
  return request.tables.empty() ? std::nullopt : std::optional{std::move(request)};
}

// Behind the oldest position; a sink without one needs what is there already.
StartPoint Session::start_point() const {
  StartPoint start;
  for (const auto& lane : lanes_) {
    const Position& position = lane->step.position();
    if (position.empty()) {
      start.copy_needed = true;
    } else if (start.resume.empty() || position.lsn < start.resume.lsn) {
      start.resume = position;
    }
    for (const TableRecord& table : lane->step.known_tables()) {
      if (!table.copy) {
        continue;
      }
      const auto other =
          std::find_if(start.copies.begin(), start.copies.end(), [&](const TableRecord& candidate) {
            return record_id(candidate.source) == record_id(table.source);
          });
      if (other == start.copies.end()) {
        start.copies.push_back(table);
        continue;
      }
      other->copy = behind_both(*table.copy, *other->copy);
    }
  }
  return start;
}

}  // namespace headgate
