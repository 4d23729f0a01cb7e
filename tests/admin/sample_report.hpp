// A report with something in each place, for the tests of what becomes of it.

#pragma once

#include "pipeline/status_report.hpp"

namespace headgate {

inline WallTime wall_time(std::int64_t microseconds) {
  return WallTime{std::chrono::microseconds(microseconds)};
}

inline Position sample_position(std::uint64_t lsn) {
  return {LSN::from_postgres(lsn), History{"postgres:7311:1"}};
}

inline StatusReport sample_report() {
  StatusReport report;
  report.pipeline = "shop";
  report.version = "0.1.0";
  report.started_at = wall_time(1'700'000'000'000'000);
  report.now = wall_time(1'700'000'090'500'000);
  report.state = "polling";
  report.state_metadata = {{"tables", "2"}};
  report.ready = true;
  report.capture.state = "cdc";
  report.capture.received = sample_position(0x16B374D848);
  report.capture.acknowledged = sample_position(0x16B374D000);
  report.capture.transactions = 12;
  report.capture.changes = 34;
  report.capture.last_commit_time = wall_time(1'700'000'090'000'000);
  report.source.server_version = "15.6";
  report.source.slot = "headgate_shop";
  report.source.retained_bytes = 4096;
  report.source.wal_status = "reserved";
  report.source.warnings = {Finding::warning("capturing is 1 h behind", "look at the job")};

  SinkReport business;
  business.name = "business";
  business.type = "sqlite";
  business.status.state = "streaming";
  business.status.applied = report.capture.received;
  business.status.durable = sample_position(0x16B374D000);
  business.status.transactions = 12;
  business.status.changes = 34;
  business.status.batches = 3;
  business.status.skipped = 1;
  business.status.last_commit_time = wall_time(1'700'000'090'000'000);
  business.status.applied_at = wall_time(1'700'000'090'250'000);

  SinkReport behind;
  behind.name = "report";
  behind.type = "postgres";
  behind.status.state = "retrying";
  behind.status.applied = sample_position(0x16B374C848);
  behind.status.durable = behind.status.applied;
  behind.status.transactions = 10;
  behind.status.changes = 30;
  behind.status.batches = 2;
  behind.status.last_commit_time = wall_time(1'700'000'080'250'000);
  behind.status.applied_at = wall_time(1'700'000'080'500'007);
  behind.status.error = "connection refused";
  behind.queued_transactions = 2;
  behind.queued_bytes = 512;

  report.sinks = {business, behind};
  return report;
}

}  // namespace headgate
