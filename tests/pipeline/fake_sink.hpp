// A database in memory, with the faults that a real one has.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "pipeline/sink_driver.hpp"
#include "pipeline/transformer.hpp"

namespace headgate::pipeline_test {

// Keeps every row it is given, in order and per commit: one applied twice is there twice. Calls
// that break the driver's contract are noted in misuse().
class FakeSink final : public SinkDriver {
 public:
  enum class Call {
    kConnect,
    kBegin,
    kPrepareTable,
    kPrepareCopy,
    kWrite,
    kCopy,
    kCommit,
    kFlush,
  };

  enum class Fault {
    kConnectionLost,
    kReplyLostDone,     // of a commit: it was done. Of any other call: the connection is lost
    kReplyLostNotDone,  // of a commit: it was not done
    kPowerCut,          // the connection is lost, and every commit that is not durable
  };

  struct Commit {
    CommitMark mark;
    std::vector<std::string> rows;
  };

  // Commits are durable at once, or after flush() only.
  bool durable_commits = true;
  std::size_t transactions_wanted = 1000;  // in a batch
  // Every call that may throw, in order.
  std::vector<Call> calls;

  // Where the sink stands before the test begins.
  void start_at(const Position& start) { start_ = start; }

  // The next calls of this sort fail so, before they do anything.
  void fail(Call call, ErrorKind kind, unsigned times = 1);
  // The next commit's reply is lost; it was done or not.
  void lose_commit_reply(bool done);
  // Call number `number` of all, from 0, meets `fault`.
  void strike(std::size_t number, Fault fault) { strikes_[number] = fault; }

  void cut_power();
  // Another process raises the epoch, and commits up to `end` if that is given.
  void take_over(const std::optional<Position>& end = {});
  // Sets the position row by hand.
  void move_to(const Position& position);

  Position current() const;
  // What a power cut leaves.
  Position durable() const;
  const std::vector<Commit>& commits() const { return commits_; }
  std::vector<std::string> rows() const;
  // The number of rows of each commit.
  std::vector<std::size_t> commit_sizes() const;
  std::size_t count(Call call) const;
  bool connected() const { return connected_; }
  bool in_transaction() const { return in_transaction_; }
  std::size_t keep_alives() const { return keep_alives_; }
  // What prepare_table() and prepare_copy() were told, in order.
  const std::vector<MissingTable>& missing_tables() const { return missing_tables_; }
  const std::vector<ExistingRows>& existing_rows() const { return existing_rows_; }
  const std::vector<std::string>& misuse() const { return misuse_; }

  SinkPosition check(Findings& findings) override;
  SinkPosition connect() override;
  std::size_t batch_transactions_wanted() const override { return transactions_wanted; }
  void begin() override;
  void prepare_table(const SinkConfigPtr& table, MissingTable missing) override;
  void prepare_copy(const SinkConfig& table, ExistingRows existing) override;
  void write(std::span<const Sink> operations) override;
  void copy(std::span<const Sink> operations) override;
  void commit(const CommitMark& mark) override;
  void keep_alive() override;
  void rollback() noexcept override;
  bool commits_are_durable() const override { return durable_commits; }
  void flush() override;
  void disconnect() noexcept override;

 private:
  void enter(Call call, bool needs_transaction);
  [[noreturn]] void lost();
  void check_fence() const;
  void keep(std::span<const Sink> operations, const std::set<const SinkConfig*>& ready);
  void expect(bool holds, const std::string& rule);

  // The database.
  Position start_;
  std::vector<Commit> commits_;
  std::size_t durable_count_ = 0;  // of commits_
  std::uint64_t epoch_ = 0;

  // The connection.
  bool connected_ = false;
  bool broken_ = false;  // a call threw: only rollback, disconnect and connect may follow
  bool cut_ = false;     // the next call will notice that the connection is gone
  bool in_transaction_ = false;
  std::uint64_t own_epoch_ = 0;
  Position last_seen_;
  std::vector<std::string> written_;
  std::set<const SinkConfig*> prepared_;
  std::set<const SinkConfig*> copying_;

  // The script and what came of it.
  std::map<Call, std::deque<ErrorKind>> failures_;
  std::optional<bool> lost_reply_done_;
  std::map<std::size_t, Fault> strikes_;
  std::size_t keep_alives_ = 0;
  std::vector<MissingTable> missing_tables_;
  std::vector<ExistingRows> existing_rows_;
  std::vector<std::string> misuse_;
};

// Hands every change over as it is; one output table per table.
class PassOn final : public Transformer {
 public:
  // transform() fails so for the transaction that ends here.
  std::map<std::uint64_t, ErrorKind> failures;

  void transform(const TransformContext& context, const Transaction& transaction,
                 const BatchContext& batch, DataSet& out) override;

 private:
  std::map<TableName, SinkConfigPtr> configs_;
};

}  // namespace headgate::pipeline_test
