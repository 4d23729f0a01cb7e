// The gate: holds a transaction's changes back until all of them are here.
//
// A source that reads table by table (SQL Server's change tables) has half a transaction in hand
// until the slowest of its tables has been read past the commit. Completeness is judged by LSN;
// clocks decide only where somebody asked for it (GateMode::kTimed).
//
// What is pending beyond `memory_bytes_max` waits on disk, the largest transactions first, and
// comes back in portions.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "core/batch_context.hpp"
#include "core/change.hpp"
#include "core/lsn.hpp"
#include "core/schema.hpp"
#include "core/transaction.hpp"
#include "gate/spilled_transaction.hpp"
#include "gate/table_marks.hpp"

namespace headgate {

enum class GateMode : std::uint8_t {
  kStrict,  // the marks alone decide
  kTimed,   // time decides as well, for sources that cannot say how far they were read: it can tear
            // a transaction, hence allow_torn_transactions in the configuration
};

struct GateOptions {
  GateMode mode = GateMode::kStrict;
  // Since a transaction was first seen. Strict: then the gate has stalled and says so. Timed: then
  // it goes, whole or not.
  Duration max_wait_time = std::chrono::seconds(30);
  // Timed: a transaction goes once more than twice this has passed since its commit.
  Duration poll_interval = std::chrono::milliseconds(500);
  // Once this much is ready, it is handed to on_complete at once. Both above 0.
  std::size_t max_tx_count = 1000;
  std::size_t max_batch_bytes = std::size_t{4} * 1024 * 1024;
  // What pending transactions may take, in bytes, before some of them move to the spill space.
  std::size_t memory_bytes_max = std::size_t{64} * 1024 * 1024;
};

// A transaction on its way out. `end_position` has its LSN; the history is the capturer's to fill
// in.
struct ReleasedTransaction {
  // Without its changes when they are in `spilled`.
  Transaction transaction;
  // All of its changes, when some of them were on disk; null for most.
  std::unique_ptr<SpilledTransaction> spilled;
  DeliveryReason reason;
  // The marks vouch that nothing of it, and nothing committed before it, is missing. Under the
  // strict gate only such a one may go to a sink.
  bool whole;
};

// For the alert "gate stalled".
struct GateStall {
  std::string transaction_id;
  LSN commit_lsn;
  Duration waited{};
  std::vector<TableName> behind;  // the tables that have not been read past its commit
};

struct GateCounts {
  std::array<std::uint64_t, 4> released{};  // by DeliveryReason
  std::uint64_t flushed = 0;                // by flush(), not counted above
  std::uint64_t stalls = 0;                 // how often it began to stall
  bool stalled = false;                     // when last looked at

  std::uint64_t of(DeliveryReason reason) const {
    return released[static_cast<std::size_t>(reason)];
  }
};

// Life of a transaction: add() its changes, table by table; mark the tables as they are read; take
// it from get_complete_transactions(), or from on_complete when the ready ones reach a limit. They
// leave in the order of their commit LSNs, the longest ready prefix, so none overtakes an earlier
// one.
//
// A transaction is identified by (id, commit LSN), since ids wrap; without an LSN, which only the
// timed gate accepts, by (id, commit time). Its changes leave in the order of their ordinals, and
// equal ordinals in the order in which they came, numbered from 0.
//
// A source that reads again after an error begins with a new buffer: rows read twice would be in
// the transaction twice, and marks never move back.
//
// Thread-safe. Callbacks run without the lock, one at a time and in commit order, in a thread that
// is in a call of this class; they may call it back, and what that releases follows when they
// return. One that throws loses what it was given, and must end the pipeline.
class TransactionBuffer {
 public:
  using OnComplete = std::function<void(std::vector<ReleasedTransaction>)>;
  using OnTimeout = std::function<void(const GateStall&)>;

  // `clock`, and `spill_space` where there is one, must outlive the buffer and what it releases.
  // `captured` are all tables whose changes will be added. Without a spill space everything stays
  // in memory, and the capturer bounds how far it reads ahead.
  //
  // With one, add() may throw Error{kSystemic}: the disk is full, or limits.spill_disk is. The
  // buffer is of no use then.
  TransactionBuffer(const Clock& clock, const std::set<TableName>& captured,
                    GateOptions options = {}, SpillSpace* spill_space = nullptr);

  // A further table, none of whose changes has an LSN up to and including `captured_from`.
  // REQUIRES: not captured yet; nothing after `captured_from` has left the gate.
  void add_table(const TableName& table, const LSN& captured_from);

  // Copies the changes, which are all of the table that `schema` describes. Changes without a
  // transaction id go out through on_complete at once, each on its own.
  // False, and nothing taken, after close(): the position stays, and they are read again.
  //
  // REQUIRES: the table is captured, and not marked past a change's LSN. A change that comes behind
  // the mark belongs to a transaction that may have left without it, and nothing here could mend
  // that (CheckFailure). For changes without an id: on_complete is set.
  [[nodiscard]] bool add(const TableSchemaPtr& schema, const Change& change);
  [[nodiscard]] bool add(const TableSchemaPtr& schema, std::span<const Change> changes);

  // `table` has been read up to and including the commit `lsn`, made at `commit_time`. May call
  // on_complete. No mark moves after close(), when what was read was refused.
  // REQUIRES: the table is captured; `lsn` is not behind an earlier mark.
  void update_table_max_commit_time(const TableName& table, WallTime commit_time, const LSN& lsn);
  // Where the source has no LSN for it: serves the timed gate only, and never moves back.
  void update_table_max_commit_time(const TableName& table, WallTime commit_time);
  // All tables have been read to `lsn`: what a commit in a single stream of all tables says.
  void mark_all(WallTime commit_time, const LSN& lsn);

  // The latest commit time with which the table was marked, if it was.
  std::optional<WallTime> get_table_max_commit_time(const TableName& table) const;

  // What is ready, in commit order. Call it regularly, also while nothing is added: it watches the
  // clock, and may call on_timeout. A caller uses either this or on_complete for what it sends on.
  std::vector<ReleasedTransaction> get_complete_transactions();

  // The source vouches for one pending transaction: it is ready, though not `whole` by the marks.
  // False when there is none. May call on_complete. Kept for its semantics; the daemon does not use
  // it.
  bool set_complete(std::string_view transaction_id, const LSN& commit_lsn);

  // Takes everything out, ready or not, in commit order; what was not ready is not `whole` and says
  // kTimeout: its wait was ended. The daemon sends none of it to a sink: it is read again.
  std::vector<ReleasedTransaction> flush();

  // Nothing gets in any more, and time decides nothing any more. What is ready can still be taken.
  void close();

  // Set before the first change. `on_timeout` learns once of each time that the gate begins to
  // stall (strict), and of each transaction that goes by time-out (timed).
  void set_on_complete(OnComplete callback);
  void set_on_timeout(OnTimeout callback);

  // Pending transactions, ready or not.
  bool is_empty() const { return size() == 0; }
  std::size_t size() const;

  GateCounts counts() const;

 private:
  // The order of commits. Without an LSN, and only then, the commit time stands in for it.
  struct Key {
    LSN commit_lsn;
    WallTime commit_time;
    std::string id;

    friend auto operator<=>(const Key&, const Key&) = default;
  };

  struct Pending {
    Transaction transaction;
    std::vector<std::uint64_t> ordinals;          // as they came, one per change
    std::unique_ptr<SpilledTransaction> spilled;  // what came before them; null: nothing
    bool declared_complete = false;

    std::size_t memory_bytes() const;
  };

  struct Verdict {
    DeliveryReason reason;
    bool whole;
  };

  // The longest prefix of pending_ that may go.
  struct ReadyPrefix {
    std::vector<Verdict> verdicts;
    std::size_t bytes = 0;
  };

  struct Notice {
    std::vector<ReleasedTransaction> complete;
    std::vector<GateStall> stalls;
  };

  using Lock = std::unique_lock<std::mutex>;

  // All of these need the lock.
  void check_change(const TableSchemaPtr& schema, const Change& change) const;
  void gather(const TableSchemaPtr& schema, const Change& change);
  void spill_largest();
  ReleasedTransaction single(const TableSchemaPtr& schema, const Change& change);
  std::optional<Verdict> judge(const Pending& pending, TimePoint now, WallTime wall_now) const;
  std::optional<DeliveryReason> judge_by_time(const Transaction& transaction, TimePoint now,
                                              WallTime wall_now) const;
  ReadyPrefix ready_prefix() const;
  bool reaches_limit(const ReadyPrefix& prefix) const;
  std::vector<ReleasedTransaction> take(const ReadyPrefix& prefix);
  ReleasedTransaction take_first(const Verdict& verdict);
  void release_at_limit();
  void watch_for_stall();
  GateStall stall_of(const Transaction& transaction) const;

  // Calls the callbacks for what is in outbox_; gives the lock up.
  void deliver(Lock lock);
  static void call_back(Notice notice, const OnComplete& on_complete, const OnTimeout& on_timeout);

  // Constant after construction.
  const Clock& clock_;
  GateOptions options_;
  SpillSpace* spill_space_;  // null: everything stays in memory

  mutable std::mutex mutex_;
  // Guarded by mutex_.
  TableMarks marks_;
  std::map<Key, Pending> pending_;
  std::size_t memory_bytes_ = 0;  // of all in pending_
  LSN released_to_;               // the greatest commit LSN that has left
  bool closed_ = false;
  GateCounts counts_;
  OnComplete on_complete_;
  OnTimeout on_timeout_;
  std::deque<Notice> outbox_;
  bool delivering_ = false;  // a thread is in deliver() and will empty outbox_
};

}  // namespace headgate
