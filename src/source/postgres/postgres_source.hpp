// A PostgreSQL database as a source, read by logical replication.

#pragma once

#include "base/log.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/copy_on_request.hpp"
#include "pipeline/snapshot_capturer.hpp"
#include "source/postgres/bulk_copy.hpp"
#include "source/postgres/chunk_reader.hpp"
#include "source/postgres/logical_capturer.hpp"
#include "source/postgres/options.hpp"
#include "source/postgres/session.hpp"

namespace headgate::source::postgres {

class PostgresSource final : public Source {
 public:
  // `clock` must outlive the source. Connects to nothing yet.
  PostgresSource(Options options, const Clock& clock, Logger log);

  Findings check(const std::vector<SinkStand>& sinks) override { return session_.check(sinks); }
  History prepare(const std::vector<SinkStand>& sinks) override { return session_.prepare(sinks); }
  std::string place() override;
  std::vector<TableSchema> captured_tables() override;
  bool captures(const TableName& table) const override { return session_.captures(table); }
  void interrupt() noexcept override { session_.interrupt(); }
  void give_up() noexcept override { session_.give_up(); }
  LSN current_end() override;
  Capturer& cdc() override { return cdc_; }
  Capturer& snapshot() override;
  SourceHealth health() override;

 private:
  SourceHealth ask_health(pq::Connection& connection) const;

  Session session_;
  LogicalCapturer cdc_;
  BulkCopy bulk_copy_;
  ChunkReader chunk_reader_;
  SnapshotCapturer chunks_;
  CopyOnRequest copies_later_;  // where the first copy is not one in chunks
};

}  // namespace headgate::source::postgres
