// One daemon's connection to the simulated source, with its capturers.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "gate/transaction_buffer.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/snapshot_capturer.hpp"
#include "sim_connection.hpp"
#include "sim_copy_source.hpp"
#include "sink_database.hpp"
#include "source_database.hpp"

namespace headgate::sim {

// How a source hands its log over.
struct SourceOptions {
  // False: one stream in commit order, as PostgreSQL's. True: table by table, each at its own pace,
  // through the gate, as SQL Server's change tables.
  bool by_table = false;
  // Transactions with more rows travel in portions (only in a stream).
  std::size_t portion_rows = 1000;
  std::size_t fetch_max = 8;  // transactions, portions or pages in one fetch
  std::size_t page_rows = 6;  // by_table: rows read from one table at once
  // Copies are made chunk by chunk instead of all at once.
  bool chunks = false;
  bool points_at_the_end = false;  // SimCopySource's
  CopyOptions copy{};
};

// What the two ways of reading the log share: the slot, and what may be acknowledged.
class SimLogReader : public Capturer, public SimConnection {
 public:
  SimLogReader(World& world, SourceDatabase& database, const SourceOptions& options,
               const std::vector<SinkDatabase*>& sinks)
      : SimConnection(world, database), options_(options), sinks_(sinks) {}

  std::string_view name() const override { return "cdc"; }
  void open(const StartPoint& start) override;
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position& durable) override;
  void keep_alive() override;
  void stop() noexcept override;
  LSN handed_over() const override { return LSN::from_postgres(handed_over_); }

  ~SimLogReader() override = default;

  // After a fetch that found nothing: the deadline it would have waited for.
  TimePoint waits_until() const { return waits_until_; }

 protected:
  virtual void begin_behind(std::uint64_t position) = 0;
  virtual std::vector<TransactionPtr> read(const FetchLimits& limits) = 0;

  SourceOptions options_;
  std::uint64_t handed_over_ = 0;  // the end of the last transaction

 private:
  const std::vector<SinkDatabase*>& sinks_;
  std::uint64_t acknowledged_ = 0;
  TimePoint waits_until_{};
};

class SimStream final : public SimLogReader {
 public:
  using SimLogReader::SimLogReader;

 private:
  void begin_behind(std::uint64_t position) override;
  std::vector<TransactionPtr> read(const FetchLimits& limits) override;
  TransactionPtr next();

  std::size_t commit_ = 0;  // of the log, the next to be read
  std::size_t row_ = 0;     // of that commit
};

class SimChangeTables final : public SimLogReader {
 public:
  using SimLogReader::SimLogReader;

 private:
  struct Cursor {
    std::size_t commit = 0;
    std::size_t row = 0;
  };

  void begin_behind(std::uint64_t position) override;
  std::vector<TransactionPtr> read(const FetchLimits& limits) override;
  void read_page(std::size_t table);

  std::unique_ptr<TransactionBuffer> gate_;
  std::array<Cursor, kTables> cursors_{};
  std::size_t captured_ = 0;  // commits that the capture job has brought into the change tables
};

// The log for one who reads nothing else: a fetch that finds nothing waits for its deadline itself,
// where the daemon would let others have their turn.
class SimPatientReader final : public Capturer {
 public:
  SimPatientReader(World& world, SimLogReader& log) : world_(world), log_(log) {}

  std::string_view name() const override { return log_.name(); }
  void open(const StartPoint& start) override { log_.open(start); }
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position& durable) override { log_.acknowledge(durable); }
  void keep_alive() override { log_.keep_alive(); }
  void stop() noexcept override { log_.stop(); }
  LSN handed_over() const override { return log_.handed_over(); }

 private:
  World& world_;
  SimLogReader& log_;
};

// The rows that are there already, at the end of the log when it is opened.
class SimCopy final : public Capturer, public SimConnection {
 public:
  SimCopy(World& world, SourceDatabase& database, const SourceOptions& options)
      : SimConnection(world, database), options_(options) {}

  std::string_view name() const override { return "snapshot"; }
  void open(const StartPoint& start) override;
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position&) override {}
  void keep_alive() override { enter("keep_alive"); }
  void stop() noexcept override {}

 private:
  SourceOptions options_;
  std::uint64_t position_ = 0;
  std::array<TableSchemaPtr, kTables> schemas_{};
  std::vector<RowChange> rows_;
  std::size_t next_ = 0;
  bool first_ = true;
};

class SimSource final : public Source, public SimConnection {
 public:
  // `sinks`: those of this daemon, to judge what it acknowledges. All must outlive the source.
  SimSource(World& world, SourceDatabase& database, const SourceOptions& options,
            const std::vector<SinkDatabase*>& sinks);

  // The process is gone: nothing that is still called has an effect.
  void die();

  TimePoint waits_until() const { return log_->waits_until(); }

  Findings check(const std::vector<SinkStand>&) override { return {}; }
  History prepare(const std::vector<SinkStand>& sinks) override;
  void give_up() noexcept override;
  std::string place() override { return "sim:source"; }
  bool captures(const TableName& table) const override { return table_of(table) != kTables; }
  LSN current_end() override { return LSN::from_postgres(database_.end()); }
  Capturer& cdc() override { return *log_; }
  Capturer& snapshot() override { return *snapshot_; }
  SourceHealth health() override { return {}; }

 private:
  std::unique_ptr<SimLogReader> log_;
  SimCopy copy_;
  SimCopySource copy_source_;
  std::unique_ptr<SimPatientReader> patient_log_;
  std::unique_ptr<SnapshotCapturer> chunks_;
  Capturer* snapshot_;  // copy_ or chunks_
};

}  // namespace headgate::sim
