// A PostgreSQL database as a sink.

#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "db/pq/connection.hpp"
#include "pipeline/sink_driver.hpp"
#include "sink/postgres/options.hpp"
#include "sink/postgres/position_table.hpp"
#include "sink/postgres/table_registry.hpp"
#include "sink/postgres/table_writer.hpp"

namespace headgate::sink::postgres {

// Of some tables: the number of one that has a foreign key, and of the one that it refers to.
using References = std::vector<std::pair<std::size_t, std::size_t>>;

// Keeps the net effect per key of what it is given and writes it set by set, but for tables whose
// constraints or triggers need the source's order.
class PostgresSink final : public SinkDriver {
 public:
  PostgresSink(Options options, Logger log);

  SinkPosition check(Findings& findings) override;
  SinkPosition connect() override;
  std::string place() override;
  // Each commit waits for the disk: measured with one-row updates, 4,000 rather than 1,000
  // transactions save a quarter of the time.
  std::size_t batch_transactions_wanted() const override { return 4000; }
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
  void keep_alive() override;
  void rollback() noexcept override;
  bool commits_are_durable() const override { return commits_are_durable_; }
  void flush() override;
  void disconnect() noexcept override;

  // Updates and deletes since connect() that found no row: the sink was changed by somebody else.
  std::uint64_t missing_rows() const { return missing_rows_; }

 private:
  // From so many new rows on, a copy is left open: these come from a large transaction or a long
  // backlog, and more may follow.
  static constexpr std::size_t kOpenCopyRowsMin = 5000;
  // And from so many bytes on it ends with the call: a refusal shows only then.
  static constexpr std::size_t kOpenCopyBytesMax = std::size_t{64} * 1024 * 1024;

  pq::ConnectOptions connect_options() const;
  void take_session_lock();
  void set_up_origin();
  void require_connection() const;
  bool any_in_source_order() const;
  void put_off_key(const SinkConfig& table);
  void build_keys();
  void forget_prepared() noexcept;
  struct Prepared {
    std::unique_ptr<TableWriter> writer;
    bool copies_over_rows = false;  // rows may exist already: COPY would trip over them
  };
  TableWriter& writer(const SinkConfig* table);
  const Prepared& prepared(const SinkConfig* table) const;
  const TargetTable& target(const SinkConfig* table) const;
  void rename_staging(const TableName& staging, const TableName& name);
  void fill_from_staging(const StagedTable& staged, bool deletes_first);
  void delete_others(const StagedTable& staged);
  References references_among(std::span<const StagedTable> tables);
  std::size_t write_new_rows(std::span<const Sink> operations);
  std::size_t copy_rows(std::span<const Sink> operations);
  std::size_t put_new_rows(std::span<const Sink> operations);
  void finish_open_copy();
  Error open_copy_refused(const Error& error);
  pq::Connection& sql();
  bool try_copy(TableWriter& table, std::span<const Row> rows);
  void write_net_effect(std::span<const Sink> operations);
  void write_in_order(std::span<const Sink> operations);
  void write_single(const Sink& operation);
  void count_missing(std::int64_t expected, std::int64_t found);

  Options options_;
  Logger log_;
  PositionTable positions_;
  TableRegistry registry_;

  // Of the present connection.
  std::unique_ptr<pq::Connection> connection_;
  bool commits_are_durable_ = true;
  std::int64_t locking_session_ = 0;  // the server's pid of our last session that had the lock
  bool in_transaction_ = false;
  std::map<const SinkConfig*, Prepared> tables_;
  // Of the open transaction: the tables that it created, and what gives them the keys that they
  // have been without while their rows were copied.
  std::set<const SinkConfig*> created_;
  std::vector<std::string> keys_to_build_;
  // Goes on with the next write(), should that have more such rows; every other statement ends it.
  struct OpenCopy {
    const SinkConfig* table;
    std::unique_ptr<CopyStream> stream;
    bool is_only_way;  // the rows of a first copy; others could be written by INSERT
  };
  std::optional<OpenCopy> open_copy_;
  // Tables of which an open copy was refused, by quoted name: never again.
  std::set<std::string> no_open_copies_;
  unsigned tables_prepared_ = 0;
  std::uint64_t missing_rows_ = 0;
};

}  // namespace headgate::sink::postgres
