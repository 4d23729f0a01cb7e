// What the pipeline needs from a database that it writes to.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "core/position.hpp"
#include "core/transaction.hpp"
#include "pipeline/finding.hpp"
#include "pipeline/sink_operation.hpp"
#include "pipeline/table_record.hpp"

namespace headgate {

// What to do with rows that a table already holds when its first copy begins.
enum class ExistingRows : std::uint8_t {
  kRefuse,   // stop and let a person decide
  kReplace,  // delete them first, in the same transaction
  kKeep,     // leave them; a copied row of the same key overwrites
};

// What to do about a table that is not there.
enum class MissingTable {
  kCreate,  // its rows come with the first copy
  kRefuse,  // its earlier rows were here and are gone, or were never copied: only a person knows
};

// A row of headgate_positions, as connect() found it.
struct SinkPosition {
  // Empty while the first copy is not finished.
  Position position;
  // Ours from now on: connect() raised it.
  std::uint64_t epoch = 0;
};

// What a sink transaction brings the sink to.
struct CommitMark {
  Position position;       // the end of its last source transaction
  WallTime commit_time{};  // of that transaction at the source
};

// How a sink's table is brought in line with the source's.
struct AlterationPlan {
  // To be run in this order, in one transaction.
  std::vector<std::string> statements;
  // Why headgate must not run them itself; empty when it may. Then they are only what a person
  // would begin with.
  std::string obstacle;
};

// A name that no other pipeline, sink or table uses for its staging table. Short enough for every
// system.
std::string staging_table(const std::string& pipeline, const std::string& sink,
                          const TableSchema& source);

// A table whose copy in chunks is complete.
struct StagedTable {
  SinkConfigPtr table;
  TableName staging;
  ExistingRows existing = ExistingRows::kRefuse;
};

// Writes whole source transactions to one database, its position in the same transaction (I1, I3),
// and never against a newer process (I4).
//
// A driver writes; when to begin, retry, commit or ask again is ApplyStep's to decide. Not
// thread-safe: one ApplyStep calls it from one thread. After anything throws, only rollback(),
// disconnect() and connect() may follow; behind Error{kOperator} or Error{kRow}, where the
// connection still stands, also begin() once that was rolled back. What check_copy_target() refuses
// leaves the transaction as it was.
//
// All calls may throw: Error{kTransient} when the connection is lost, Error{kSystemic} when the
// database is full or refuses every write, Error{kOperator} for a missing privilege or object or a
// table of another shape, Error{kRow} for a row that it cannot take.
class SinkDriver {
 public:
  virtual ~SinkDriver() = default;

  // What connect() needs: reachable, writable, privileges; and the position that is there. Changes
  // nothing and takes no lock; for `headgate check`. Appends to `findings`.
  virtual SinkPosition check(Findings& findings) = 0;

  // Connects, creates or migrates headgate_* tables, takes the session lock of (pipeline, sink),
  // raises the epoch and returns where the sink stands. From here on every older process's
  // transactions fail.
  //
  // Throws Error{kLocked} while another process holds the session lock, naming it as far as it is
  // known: the second waits. A session of this driver that the server has not ended yet is no other
  // process, but Error{kTransient}.
  virtual SinkPosition connect() = 0;

  // Names the database that it writes to, so that a source in the same one is recognised; empty
  // when no source can be. REQUIRES: connect() succeeded.
  virtual std::string place() { return {}; }

  // How many source transactions in one of the sink's are as many as pay, when so many wait.
  virtual std::size_t batch_transactions_wanted() const { return 1000; }

  // Opens a transaction, locks the position row and checks that epoch and position are still what
  // this driver last wrote or read. Throws Error{kFenced} when they are not.
  virtual void begin() = 0;

  // Makes `table` ready for its first operation since connect(): checks that what is there can hold
  // its rows, and does as `missing` says where nothing is. Idempotent. Within begin() … commit(),
  // so that it becomes visible with its rows.
  //
  // Throws Error{kOperator} that names the difference and the statement that mends it.
  virtual void prepare_table(const SinkConfigPtr& table, MissingTable missing) = 0;

  // What the sink remembers of the tables that it mirrors (headgate_tables), each of the last
  // remember_table() that was committed. REQUIRES: connect() succeeded, no open transaction.
  virtual TableRecords known_tables() { return {}; }

  // Within begin() … commit(): keeps `record`, in place of the one with the same id.
  virtual void remember_table(const TableRecord&) {}

  // Within begin() … commit(): removes all records of this pipeline and sink. A first copy begins
  // with none, whatever an earlier one has left.
  virtual void forget_tables() {}

  // Within begin() … commit(): removes one.
  virtual void forget_table(const TableRecord&) {}

  // What a person runs to say that a table is in order again as it is: it removes the record.
  virtual std::string forget_statement(const TableRecord&) const { return {}; }

  // How to bring the table of `before` to what `now` describes. Only asks. Called with an open
  // transaction, as the next two.
  virtual AlterationPlan plan_alteration(const SinkConfig& /*now*/, const TableRecord& /*before*/) {
    return {};
  }

  // How to make room for `now` in a table that holds the rows of another one, `occupant`.
  virtual AlterationPlan plan_replacement(const SinkConfig& /*now*/,
                                          const TableRecord& /*occupant*/) {
    return {};
  }

  // Runs a plan without an obstacle. Throws Error{kOperator} when the sink refuses it (a view, a
  // missing privilege).
  virtual void alter_table(const AlterationPlan&) {}

  // Prepares a table for the rows of its first copy, after prepare_table(). Throws Error{kOperator}
  // when it holds rows and `existing` is kRefuse.
  virtual void prepare_copy(const SinkConfig& table, ExistingRows existing) = 0;

  // Writes `operations`, whose tables are prepared, with the effect of doing them one after the
  // other. The driver may keep only the net effect per key. Called any number of times per
  // transaction. What the sink refuses may be thrown by a later call of the transaction.
  virtual void write(std::span<const Sink> operations) = 0;

  // Appends rows (inserts only) of a first copy: no key in them exists yet unless prepare_copy()
  // was told to keep rows.
  virtual void copy(std::span<const Sink> operations) = 0;

  // Whether there is such a table. REQUIRES: an open transaction.
  virtual bool has_table(const TableName& table);

  // The next five are for a copy in chunks, within begin() … commit() as the others.

  // Where the rows of `table` are gathered until all are there: a table of this pipeline and sink
  // alone, in the same place.
  virtual TableName staging_name(const SinkConfig& table) const;

  // Throws Error{kOperator} when the table is there already and cannot hold the rows, or holds some
  // and `existing` is kRefuse. Only asks: the transaction goes on all the same.
  virtual void check_copy_target(const SinkConfig& table, ExistingRows existing);

  // Drops a staging table where there is one.
  virtual void drop_staging(const TableName& staging);

  // Appends rows (inserts only) of a chunk, all of one table, to its staging table, which is
  // prepared. `meets_rows`: some of their keys may be there already, and are overwritten.
  virtual void copy_chunk(std::span<const Sink> operations, bool meets_rows);

  // Brings the rows of each table's staging table into it, creates it if it is not there, and drops
  // the staging table. Of rows that the table holds, those of other keys stay with kKeep; they all
  // go with kReplace; with kRefuse there must be none.
  virtual void take_staging(std::span<const StagedTable> tables);

  // Checks deferred constraints, writes the position row as the last statement, and commits. The
  // mark's position is behind the last one; or the same in a history that continues it, within a
  // copy in chunks, or with nothing but records of tables.
  //
  // Throws Error{kInDoubt} when COMMIT was sent and no answer came: only connect() can tell.
  virtual void commit(const CommitMark& mark) = 0;

  // Called every few seconds while a transaction is open and its next operations have not come yet,
  // so that the server does not take us for dead.
  virtual void keep_alive() {}

  // Undoes what begin() started. Never throws: a lost connection has rolled back by itself.
  virtual void rollback() noexcept = 0;

  // True when a returned commit() survives a power cut; otherwise flush() is needed first.
  virtual bool commits_are_durable() const = 0;

  // Returns when everything committed so far is durable. REQUIRES: no open transaction. Checks the
  // fence as begin() does.
  virtual void flush() = 0;

  // Closes the connection and gives up the session lock.
  virtual void disconnect() noexcept = 0;
};

}  // namespace headgate
