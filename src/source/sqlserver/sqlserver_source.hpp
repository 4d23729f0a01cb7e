// A SQL Server database as a source, read from its change tables.

#pragma once

#include "base/log.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/copy_on_request.hpp"
#include "pipeline/snapshot_capturer.hpp"
#include "source/sqlserver/capture_health.hpp"
#include "source/sqlserver/cdc_capturer.hpp"
#include "source/sqlserver/chunk_reader.hpp"
#include "source/sqlserver/options.hpp"
#include "source/sqlserver/session.hpp"
#include "source/sqlserver/start_here.hpp"

namespace headgate::source::sqlserver {

class SqlServerSource final : public Source {
 public:
  // `clock` must outlive the source. Connects to nothing yet.
  SqlServerSource(Options options, const Clock& clock, const Logger& log)
      : session_(std::move(options), log),
        cdc_(session_, clock, log),
        start_(session_, clock),
        chunk_reader_(session_, clock, log),
        chunks_(chunk_reader_, cdc_, clock, session_.options().chunks, log),
        copies_later_(start_, chunks_),
        watch_(session_.options(), clock, log) {}

  Findings check(const std::vector<SinkStand>& sinks) override { return session_.check(sinks); }
  History prepare(const std::vector<SinkStand>& sinks) override { return session_.prepare(sinks); }
  void give_up() noexcept override {}          // nothing was made there
  std::string place() override { return {}; }  // no sink writes to SQL Server yet
  std::vector<TableSchema> captured_tables() override;
  bool captures(const TableName& table) const override { return session_.filter().matches(table); }
  LSN current_end() override;
  Capturer& cdc() override { return cdc_; }
  Capturer& snapshot() override;
  SourceHealth health() override;

 private:
  Session session_;
  CdcCapturer cdc_;
  StartHere start_;
  ChunkReader chunk_reader_;
  SnapshotCapturer chunks_;
  CopyOnRequest copies_later_;  // without a first copy
  CaptureHealth watch_;
};

}  // namespace headgate::source::sqlserver
