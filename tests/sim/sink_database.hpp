// A sink in memory: rows, the position row and its fence, what is committed and what is durable,
// and a driver for it that fails in every way a connection can.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "pipeline/sink_driver.hpp"
#include "source_database.hpp"

namespace headgate::sim {

class SimSink;

// Outlives every daemon that writes to it, and judges every commit: the rows must be those that the
// source had at the position that stands beside them.
class SinkDatabase {
 public:
  SinkDatabase(World& world, const SourceDatabase& source, std::string name, bool durable_commits);

  const std::string& name() const { return name_; }
  bool durable_commits() const { return durable_commits_; }
  const Position& position() const { return versions_.back().position; }
  const Position& durable_position() const { return versions_.front().position; }
  const State& rows() const { return versions_.back().rows; }

  // The server writes its log to disk by itself, up to some commit.
  void sync_some();
  // Everything that is not durable is gone, and so are the sessions.
  void cut_power();
  // All sessions end; nothing is lost.
  void end_sessions();
  // Somebody restores a backup: the state after some earlier commit, or before the first.
  void restore();
  bool was_restored() const { return restored_; }
  // Somebody removes the position, so that everything is copied anew.
  void forget_position();
  // No table is copied in chunks, and nothing is left of such a copy.
  bool copies_are_over() const;
  // From now on so many of a thousand alterations cannot be carried over here, and pause their
  // table alone.
  void hinder_alterations(unsigned per_mille) { hindered_per_mille_ = per_mille; }
  Isolation isolation() const {
    return hindered_per_mille_ > 0 ? Isolation::kTable : Isolation::kPipeline;
  }
  // Those that the source still has.
  std::vector<std::size_t> paused_tables() const;
  // A person does what `status` says: brings the table into the source's present shape, or drops
  // it. The rows are not right by that.
  void mend(std::size_t table);
  // The server takes the session that holds the lock for dead, although its process lives on.
  void forget_lock() { lock_ = nullptr; }

 private:
  friend class SimSink;

  // What there is beside rows: which tables were made, with which columns, and what the sink
  // remembers of them.
  struct Catalog {
    std::map<std::size_t, std::vector<std::string>> columns;
    std::map<std::string, TableRecord> records;
  };

  // Where the rows of a table are gathered while it is copied in chunks.
  struct Staging {
    std::vector<std::string> columns;
    TableRows rows;
  };

  struct Version {
    State rows;
    std::map<std::size_t, Staging> staging;  // by table
    std::shared_ptr<const Catalog> catalog = std::make_shared<const Catalog>();
    Position position;
    std::uint64_t epoch = 0;
  };

  void sync() { versions_.erase(versions_.begin(), versions_.end() - 1); }
  void commit(Version version);
  void judge(const Version& before, const Version& after);
  std::string judge_table(std::size_t table, const Version& before, const Version& after,
                          const State& expected) const;
  std::string judge_paused(std::size_t table, const Version& before, const Version& after) const;
  static const TableRecord* remembered(std::size_t table, const Version& version);
  bool hinders(const SinkConfig& now) const;
  static std::string judge_staging(std::size_t table, const CopyProgress& copy,
                                   const Version& version, const State& expected);

  World& world_;
  const SourceDatabase& source_;
  std::string name_;
  bool durable_commits_;
  std::deque<Version> versions_;  // the durable one, then what was committed since
  std::vector<Version> backups_;
  bool restored_ = false;
  bool had_copies_ = false;  // in chunks
  unsigned hindered_per_mille_ = 0;
  const SimSink* lock_ = nullptr;
  std::size_t incarnation_ = 0;
};

// One daemon's driver.
class SimSink final : public SinkDriver {
 public:
  SimSink(World& world, SinkDatabase& database);
  ~SimSink() override { disconnect(); }

  // The process is gone: nothing that is still called has an effect.
  void die();

  bool in_transaction() const { return open_.has_value(); }

  SinkPosition check(Findings& findings) override;
  SinkPosition connect() override;
  void begin() override;
  void prepare_table(const SinkConfigPtr& table, MissingTable missing) override;
  TableRecords known_tables() override;
  void remember_table(const TableRecord& record) override;
  void forget_tables() override;
  void forget_table(const TableRecord& record) override;
  AlterationPlan plan_alteration(const SinkConfig& now, const TableRecord& before) override;
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
  bool commits_are_durable() const override { return database_.durable_commits_; }
  void flush() override;
  void disconnect() noexcept override;

 private:
  void enter(const char* call);
  void take_staging_of(const StagedTable& staged);
  template <typename Edit>
  void edit_catalog(Edit edit);
  void alter(const std::vector<std::string>& words);
  void lose(ErrorKind kind, const char* call);
  void check_fence() const;
  void expect(bool holds, const char* rule);
  // The rows that an operation is about.
  struct Place {
    std::size_t table;
    bool staging;  // some of the source's rows may not be there yet
    TableRows& rows;
  };
  Place place_of(const SinkConfig* table, const std::set<const SinkConfig*>& among);
  bool is_live_table_empty(std::size_t table) const;
  void write_in_order(std::span<const Sink> operations);
  void write_net_effect(std::span<const Sink> operations);
  void apply(const Sink& operation);
  void update(const Place& place, const Sink& operation);
  void upsert(const Place& place, Row row);

  World& world_;
  SinkDatabase& database_;
  bool dead_ = false;
  bool connected_ = false;
  bool usable_ = false;   // no call has thrown since connect()
  bool aborted_ = false;  // the sink has refused a statement, and must be rolled back
  std::size_t incarnation_ = 0;
  std::uint64_t epoch_ = 0;
  Position last_seen_;
  std::optional<SinkDatabase::Version> open_;  // the transaction
  std::set<const SinkConfig*> prepared_;
  std::set<const SinkConfig*> copying_;
};

}  // namespace headgate::sim
