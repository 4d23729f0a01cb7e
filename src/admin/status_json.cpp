#include "admin/status_json.hpp"

#include <algorithm>
#include <chrono>
#include <string>

#include <boost/json/array.hpp>
#include <fmt/format.h>

namespace headgate {
namespace {

namespace json = boost::json;

// RFC 3339 in UTC with microseconds; null for no time.
json::value time_json(WallTime time) {
  if (time == WallTime{}) {
    return nullptr;
  }
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  return json::string(fmt::format(
      "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z", static_cast<int>(date.year()),
      static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
      clock.minutes().count(), clock.seconds().count(), clock.subseconds().count()));
}

// In the server's notation; null for none.
json::value lsn_json(const LSN& lsn) {
  return lsn.is_zero() ? json::value(nullptr) : json::value(json::string(lsn.to_string()));
}

bool is_postgres(const LSN& lsn) {
  return lsn.bytes().size() == LSN::kPostgresSize;
}

// LSNs of two histories have no order: a position of another history is one not reached yet.
bool is_behind(const Position& applied, const Position& received) {
  if (received.empty() || applied == received) {
    return false;
  }
  const bool comparable = applied.history == received.history &&
                          applied.lsn.bytes().size() == received.lsn.bytes().size();
  return !comparable || applied.lsn < received.lsn;
}

// Null when it is behind, but no commit time is known: nothing was applied since the start.
json::value lag_seconds(const SinkStatus& sink, const CaptureStatus& capture, WallTime now) {
  if (!is_behind(sink.applied, capture.received)) {
    return 0.0;
  }
  if (sink.last_commit_time == WallTime{}) {
    return nullptr;
  }
  // The source's clock may be ahead of ours.
  const auto lag = std::max(now - sink.last_commit_time, WallTime::duration::zero());
  return std::chrono::duration<double>(lag).count();
}

// Null where LSNs are no byte offsets (SQL Server), or belong to different histories.
json::value lag_bytes(const Position& applied, const Position& received) {
  if (!is_postgres(applied.lsn) || !is_postgres(received.lsn) ||
      applied.history != received.history) {
    return nullptr;
  }
  const auto from = applied.lsn.to_postgres();
  const auto to = received.lsn.to_postgres();
  return to > from ? to - from : std::uint64_t{0};
}

json::value text_or_null(const std::string& text) {
  return text.empty() ? json::value(nullptr) : json::value(json::string(text));
}

json::object pause_json(const TablePause& pause) {
  return {
      {"since", pause.since},
      {"reason", pause.reason},
      {"remedy", pause.remedy},
      {"copy_refused", text_or_null(pause.refused)},
  };
}

// What the sink's state does not say: it streams, but for these.
json::array paused_tables_json(const SinkStatus& status) {
  json::array list;
  if (status.tables) {
    for (const TableStatus& table : *status.tables) {
      if (table.paused) {
        json::object entry = pause_json(*table.paused);
        entry.emplace("table", table.table.to_string());
        list.push_back(std::move(entry));
      }
    }
  }
  return list;
}

json::object sink_json(const SinkReport& sink, const CaptureStatus& capture, WallTime now) {
  const SinkStatus& status = sink.status;
  return {
      {"name", sink.name},
      {"type", sink.type},
      {"state", status.state},
      {"applied", lsn_json(status.applied.lsn)},
      {"durable", lsn_json(status.durable.lsn)},
      {"transactions", status.transactions},
      {"changes", status.changes},
      {"batches", status.batches},
      {"skipped", status.skipped},
      {"last_commit_time", time_json(status.last_commit_time)},
      {"applied_at", time_json(status.applied_at)},
      {"lag_seconds", lag_seconds(status, capture, now)},
      {"lag_bytes", lag_bytes(status.applied, capture.received)},
      {"queued_transactions", sink.queued_transactions},
      {"queued_bytes", sink.queued_bytes},
      {"error", status.error},
      {"paused_tables", paused_tables_json(status)},
  };
}

json::object capture_json(const CaptureStatus& capture) {
  return {
      {"state", capture.state},
      {"received", lsn_json(capture.received.lsn)},
      {"acknowledged", lsn_json(capture.acknowledged.lsn)},
      {"transactions", capture.transactions},
      {"changes", capture.changes},
      {"last_commit_time", time_json(capture.last_commit_time)},
      {"error", capture.error},
  };
}

// As the log has them: a warning, or an error that a person must act upon.
json::array warnings_json(const Findings& warnings) {
  json::array list;
  for (const Finding& warning : warnings) {
    list.push_back(json::object{
        {"level", warning.level == Finding::Level::kError ? "error" : "warning"},
        {"what", warning.what},
        {"remedy", warning.remedy},
    });
  }
  return list;
}

json::object source_json(const SourceHealth& source) {
  const bool limited = source.safe_wal_bytes >= 0;
  return {
      {"server_version", source.server_version},
      {"slot", source.slot},
      {"retained_bytes", source.retained_bytes},
      {"wal_status", source.wal_status},
      {"safe_wal_bytes", limited ? json::value(source.safe_wal_bytes) : json::value(nullptr)},
      {"warnings", warnings_json(source.warnings)},
  };
}

json::array tables_json(const SinkStatus& status) {
  json::array list;
  if (status.tables) {
    for (const TableStatus& table : *status.tables) {
      list.push_back(json::object{
          {"table", table.table.to_string()},
          {"state", table.state},
          {"copied_rows", table.copied},
          {"consistent_from", text_or_null(table.consistent_from)},
          {"paused", table.paused ? json::value(pause_json(*table.paused)) : json::value(nullptr)},
      });
    }
  }
  return list;
}

}  // namespace

json::object tables_json(const StatusReport& report) {
  json::array sinks;
  for (const SinkReport& sink : report.sinks) {
    sinks.push_back(json::object{{"name", sink.name}, {"tables", tables_json(sink.status)}});
  }
  return {{"sinks", std::move(sinks)}};
}

json::object status_json(const StatusReport& report) {
  json::object metadata;
  for (const auto& [key, value] : report.state_metadata) {
    metadata[key] = value;
  }
  json::array sinks;
  for (const auto& sink : report.sinks) {
    sinks.push_back(sink_json(sink, report.capture, report.now));
  }
  const auto uptime = std::chrono::floor<std::chrono::seconds>(report.now - report.started_at);
  return {
      {"pipeline", report.pipeline},
      {"version", report.version},
      {"started_at", time_json(report.started_at)},
      {"now", time_json(report.now)},
      {"uptime_seconds", uptime.count()},
      {"state", report.state},
      {"state_metadata", std::move(metadata)},
      {"ready", report.ready},
      {"reason", report.reason},
      {"source", source_json(report.source)},
      {"capture", capture_json(report.capture)},
      {"sinks", std::move(sinks)},
  };
}

}  // namespace headgate
