// A SQLite database file as a sink. README.md says what is kept where and why it is safe.

#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "db/sqlite/connection.hpp"
#include "db/sqlite/transaction.hpp"
#include "pipeline/net_effect.hpp"
#include "pipeline/sink_driver.hpp"
#include "sink/sqlite/options.hpp"
#include "sink/sqlite/position_table.hpp"
#include "sink/sqlite/session_lock.hpp"
#include "sink/sqlite/table_registry.hpp"
#include "sink/sqlite/table_writer.hpp"

namespace headgate::sink::sqlite {

// What tests make small; nobody needs to configure it.
struct Tuning {
  // How long a lock of another connection on the same file is waited for before a retry with
  // back-off takes over.
  std::chrono::milliseconds busy_timeout{5000};
  // A write-ahead log beyond this is reported when a reader keeps it from being reused.
  std::uint64_t wal_bytes_warn = std::uint64_t{1} << 30;
};

class SqliteSink final : public SinkDriver {
 public:
  // `clock` must outlive the sink.
  SqliteSink(Options options, const Clock& clock, Logger log, Tuning tuning = {});
  ~SqliteSink() override;
  SqliteSink(const SqliteSink&) = delete;
  SqliteSink& operator=(const SqliteSink&) = delete;

  SinkPosition check(Findings& findings) override;
  SinkPosition connect() override;
  // Sorted by key, more rows share a page of the file: measured with random keys, 10,000 rather
  // than 1,000 transactions save a tenth to a third of the time.
  std::size_t batch_transactions_wanted() const override { return 10000; }
  void begin() override;
  void prepare_table(const SinkConfigPtr& table, MissingTable missing) override;
  TableRecords known_tables() override;
  void remember_table(const TableRecord& record) override;
  void forget_tables() override;
  void forget_table(const TableRecord& record) override;
  std::string forget_statement(const TableRecord& record) const override;
  AlterationPlan plan_alteration(const SinkConfig& now, const TableRecord& before) override;
  AlterationPlan plan_replacement(const SinkConfig& now, const TableRecord& occupant) override;
  void alter_table(const AlterationPlan& plan) override;
  void prepare_copy(const SinkConfig& table, ExistingRows existing) override;
  void write(std::span<const Sink> operations) override;
  void copy(std::span<const Sink> operations) override;
  bool has_table(const TableName& table) override;
  TableName staging_name(const SinkConfig& table) const override;
  void check_copy_target(const SinkConfig& table, ExistingRows existing) override;
  void drop_staging(const TableName& staging) override;
  void copy_chunk(std::span<const Sink> operations, bool meets_rows) override;
  void take_staging(std::span<const StagedTable> tables) override;
  void commit(const CommitMark& mark) override;
  void rollback() noexcept override;
  bool commits_are_durable() const override { return false; }
  void flush() override;
  void disconnect() noexcept override;

  // Updates and deletes whose row was not there, since construction. A delete of a row that came
  // and went within one batch counts too.
  std::uint64_t missing_rows() const { return missing_rows_; }

 private:
  struct Table {
    TableWriter writer;
    // Of schema_generation_ when the writer was last prepared.
    std::uint64_t generation = 0;
    // A commit of ours has left it in the database, so it must still be there: made anew, it would
    // lack its rows.
    bool committed = false;
    // The first copy meets rows that were there before it (ExistingRows::kKeep).
    bool copy_overwrites = false;
  };

  void take_staging_of(const SinkConfig& table, const TableName& staging, ExistingRows existing);
  static void check_encoding(db::sqlite::Connection& connection);
  void open_database(const std::string& path);
  void take_over();
  PositionRow check_fence();
  [[noreturn]] void stop_fenced(const std::string& reason);
  void watch_schema();
  void end_transaction() noexcept;
  void commit_transaction();
  void remember_committed_tables();
  void warn_about_wal() noexcept;
  bool wal_is_stuck();

  Table& table_of(const SinkConfig* config);
  void make_ready(Table& table);
  void check_distinct_name(const SinkConfig& table) const;
  bool has_rows(const TableName& table);
  void run_ddl(const std::string& statement);
  Error holds_rows(const SinkConfig& table) const;

  bool needs_source_order(std::span<const Sink> operations);
  bool may_replace(std::span<const Sink> operations);
  void write_net_effect(std::span<const Sink> operations);
  void write_in_source_order(std::span<const Sink> operations);
  void write_replacing(std::span<const Sink> operations);
  void write_table(TableWork& work);
  void replace_rows(TableWork& work);
  void write_rest(TableWriter& writer, const TableWork& work);
  void apply(const Sink& operation);
  void count(bool found) { missing_rows_ += found ? 0U : 1U; }

  // Constant after construction.
  Options options_;
  const Clock& clock_;
  Logger log_;
  Tuning tuning_;

  std::uint64_t missing_rows_ = 0;
  TimePoint next_wal_warning_{};

  // From connect() to disconnect(); in the order in which they must be built.
  std::optional<SessionLock> lock_;
  std::optional<db::sqlite::Connection> connection_;
  std::optional<PositionTable> positions_;
  std::optional<TableRegistry> registry_;
  SinkPosition known_;  // what the position row must hold: as this driver last read or wrote it

  // Prepared since connect(). Schema changes, ours that are rolled back or anybody else's, raise
  // the generation, and then each table is checked again before its next row.
  std::unordered_map<const SinkConfig*, std::unique_ptr<Table>> tables_;
  Table* last_table_ = nullptr;  // runs of one table are the rule
  std::uint64_t schema_generation_ = 1;
  bool has_new_tables_ = false;  // some may not be `committed` yet
  std::int64_t schema_version_ = -1;

  std::optional<db::sqlite::Transaction> transaction_;
};

}  // namespace headgate::sink::sqlite
