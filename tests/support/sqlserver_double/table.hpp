// A table: its columns and keys, and its rows in every version that somebody may still see.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "support/sqlserver_double/ast.hpp"
#include "support/sqlserver_double/sql_value.hpp"

namespace headgate::test::sqlserver {

using TransactionId = std::uint64_t;
using CommitNumber = std::uint64_t;  // counts the commits of the whole server

// When a version began or ended: the number of a commit, or a transaction that is still open.
class Stamp {
 public:
  static Stamp never() { return Stamp(~std::uint64_t{0} >> 1); }
  static Stamp committed(CommitNumber number) { return Stamp(number); }
  static Stamp pending(TransactionId id) { return Stamp(id | kPending); }

  bool is_never() const { return *this == never(); }
  bool is_pending() const { return (bits_ & kPending) != 0; }
  TransactionId transaction() const { return bits_ & ~kPending; }
  CommitNumber number() const { return bits_; }
  bool operator==(const Stamp&) const = default;

 private:
  static constexpr std::uint64_t kPending = std::uint64_t{1} << 63;
  explicit Stamp(std::uint64_t bits) : bits_(bits) {}
  std::uint64_t bits_;
};

// What a statement sees.
struct ReadView {
  CommitNumber upto = 0;  // commits after this one are not seen
  TransactionId own = 0;  // 0: no transaction of its own
  bool dirty = false;     // READ UNCOMMITTED: open transactions' rows are seen
  bool blocking = false;  // READ COMMITTED with locks: a row in an open transaction is waited for
};

// Thrown where a statement has to wait for another transaction's end; the statement is undone and
// run again after it.
struct LockedBy {
  TransactionId transaction;
};

struct Column {
  int id = 0;  // never used again after a drop
  std::string name;
  SqlType type;
  bool nullable = true;
  bool identity = false;
  std::int64_t identity_step = 1;
  std::shared_ptr<const Expr> default_value;
  std::shared_ptr<const Expr> computed;
  bool persisted = false;
};

// The columns at one point of time. A log record keeps the shape of its rows, since capture may
// read it after the table has changed.
struct TableShape {
  std::vector<Column> columns;

  std::optional<std::size_t> place_of(const std::string& name) const;
  std::optional<std::size_t> place_of_id(int id) const;
};
using ShapePtr = std::shared_ptr<const TableShape>;

struct Key {
  std::string name;
  int index_id = 1;
  bool primary = false;
  bool unique = true;
  bool constraint = true;
  std::vector<int> column_ids;
};

struct ForeignKey {
  std::string name;
  std::vector<int> column_ids;
  int parent_id = 0;  // object id
  std::vector<int> parent_column_ids;
  bool cascade = false;
};

// A range of values of one column; a missing end is open.
struct ColumnRange {
  std::size_t place = 0;
  std::optional<Value> least;
  std::optional<Value> most;
};

// Not thread-safe: guarded by the server's mutex.
class Table {
 public:
  struct Version {
    RowPtr row;
    Stamp begin;
    Stamp end;
  };

  int object_id = 0;
  std::string schema;
  std::string name;
  Moment create_date;
  Moment modify_date;  // of the last ALTER
  ShapePtr shape;
  int next_column_id = 1;
  std::int64_t identity_last = 0;
  bool identity_used = false;
  std::vector<ForeignKey> foreign_keys;
  std::vector<std::shared_ptr<const Expr>> checks;
  bool tracked_by_cdc = false;
  bool shipped = false;  // made by the server: change tables and CDC's metadata
  // Rows are appended in the order of the first columns and never updated (change tables,
  // lsn_time_mapping): searched by bisection.
  bool append_ordered = false;

  // guarded, for table locks
  std::map<TransactionId, int> writers;            // with the number of their writes
  std::map<std::size_t, TransactionId> row_locks;  // by slot: UPDLOCK
  std::set<TransactionId> shared_lock_holders;     // TABLOCK with HOLDLOCK
  std::set<TransactionId> shared_lock_waiters;     // new writers stand behind them

  const std::vector<Key>& keys() const { return keys_; }
  const Key* primary_key() const;
  // Throws SqlError 1505 when rows repeat.
  void add_key(Key key);
  void drop_key(const std::string& name);
  std::vector<std::size_t> places_of(const std::vector<int>& column_ids) const;

  const Version& version(std::size_t slot) const { return versions_[slot]; }
  std::size_t slots() const { return versions_.size(); }

  // Throws SqlError 2627 or 2601 for a key that exists, LockedBy for one that another open
  // transaction has written or is removing.
  std::size_t insert(RowPtr row, TransactionId by);
  // REQUIRES: no other transaction ended that version.
  void end(std::size_t slot, TransactionId by);
  // For the end of a transaction.
  void settle(std::size_t slot, TransactionId by, CommitNumber number);
  void undo_insert(std::size_t slot);
  void undo_end(std::size_t slot);

  bool visible(std::size_t slot, const ReadView& view) const;
  // Another transaction that has locked or written that version, and is open; 0 when there is none.
  TransactionId held_by_other(std::size_t slot, TransactionId own) const;

  // The slots whose rows may lie in the range, in the order of the index that serves it (or as
  // stored); all slots without a range. Whoever reads them checks visible() and the condition.
  std::vector<std::size_t> candidates(const std::optional<ColumnRange>& range) const;
  // Whether candidates() has a better way than all slots for a range over this column.
  bool seekable(std::size_t place) const;

  // The slot that an insert of this key would meet, visible or not committed yet.
  std::optional<std::size_t> find(const Key& key, const Row& row, TransactionId own) const;
  // The slots of versions that have not ended for `own` and whose columns have these values.
  std::vector<std::size_t> matching(const std::vector<std::size_t>& places,
                                    const std::vector<Value>& values, TransactionId own) const;

  // Rewrites every row for a new shape (ALTER TABLE). `move` gets a row of the old shape.
  template <typename Move>
  void reshape(ShapePtr next, Move move) {
    for (Version& version : versions_) {
      version.row = std::make_shared<const Row>(move(*version.row));
    }
    shape = std::move(next);
    rebuild_indexes();
  }

  // Forgets versions that ended at or before `horizon`; only while nobody has open writes here.
  void vacuum(CommitNumber horizon);
  std::size_t ended_count() const { return ended_; }

 private:
  struct KeyLess {
    std::vector<SqlType> types;
    bool operator()(const std::vector<Value>& left, const std::vector<Value>& right) const;
  };
  using Index = std::multimap<std::vector<Value>, std::size_t, KeyLess>;

  std::vector<Value> key_of(const Key& key, const Row& row) const;
  void index_slot(std::size_t slot);
  void unindex_slot(std::size_t slot);
  void rebuild_indexes();
  const Index* index_on(std::size_t place) const;
  bool ended_for(const Version& version, TransactionId own) const;

  std::vector<Version> versions_;
  std::vector<Key> keys_;
  std::vector<Index> indexes_;  // one per key
  std::size_t ended_ = 0;       // versions that ended by a commit
};
using TablePtr = std::shared_ptr<Table>;

}  // namespace headgate::test::sqlserver
