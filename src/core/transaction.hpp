// A committed transaction of the source: what is applied whole or not at all.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.hpp"
#include "base/clock.hpp"
#include "core/change.hpp"
#include "core/position.hpp"
#include "core/schema.hpp"

namespace headgate {

// Names one transaction through logs, monitor and sinks: `{uuid8}-{unix-ns}`.
struct TraceId {
  std::uint32_t random = 0;
  std::int64_t unix_nanoseconds = 0;

  // Takes the time of `now` and a random number of this thread's own generator.
  static TraceId make(WallTime now);
  std::string to_string() const;
};

// Most transactions travel as one object (kWhole). One whose commit is already known but which is
// too large to hold travels as kFirst, kMiddle…, kLast, in order and with nothing in between, and
// is still applied in one transaction of the sink.
enum class Portion : std::uint8_t { kWhole, kFirst, kMiddle, kLast };

// What a transaction stands for.
enum class Purpose : std::uint8_t {
  kChanges,      // a commit of the source; may be empty, and then only moves the position
  kInitialCopy,  // the rows that the tables held at its position; only for sinks that hold none yet
  kCopyBegin,    // from here on the involved tables are copied chunk by chunk
  kCopyChunk,    // rows of one of them, as they were at the transaction's position
  kCopyEnd,      // all rows of the involved tables are there
};

// What a transaction of a copy in chunks says beside its rows.
struct CopyMark {
  bool initial = false;     // kCopyBegin: for sinks only that hold no position yet
  bool missing = false;     // kCopyBegin: of the tables, only those that the sink has not
  std::uint64_t chunk = 0;  // kCopyChunk: which one of its table, from 1
  // kCopyChunk: whose count `chunk` is. The chunks of one run follow each other; those of another
  // have other ends, since rows came and went between the two.
  std::string run = {};
  // kCopyChunk: the key of the chunk's last row, as the source prints it: the next one begins
  // behind it. Known in the last portion; empty with `last`.
  std::vector<std::string> cursor = {};
  bool last = false;  // kCopyChunk: nothing of the table is left
  // kCopyChunk: these rows of chunks that are there already, read again; not there: they are gone.
  // Then `chunk` is the last one that is there, and there is neither cursor nor end.
  std::vector<std::vector<std::string>> keys = {};
  // kCopyChunk, last portion: rows of these keys belong to it and are read later.
  std::vector<std::vector<std::string>> later = {};
  bool cancelled = false;  // kCopyEnd: what is not there yet does not come
  bool partial = false;    // kCopyEnd: of the involved tables alone; the others are copied on
  bool gone = false;       // kCopyChunk: the source has dropped the table
};

// Owns its memory: rows and ids live in its arena, and it keeps the schemas alive that its changes
// point at. Movable, not copyable. Written by one thread, then read by any.
class Transaction {
 public:
  // `id` is the source's transaction id; empty for positions without a commit of their own.
  Transaction(std::string_view id, LSN commit_lsn, WallTime created_at);

  Transaction(Transaction&&) noexcept = default;
  Transaction& operator=(Transaction&&) noexcept = default;
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  // Appends a change of this transaction whose rows are already in arena(). Fills in transaction
  // id, LSN, commit time and ordinal. `schema` is kept alive.
  Change& add_change(const TableSchemaPtr& schema, Operation operation, Row data, Row before = {});

  // Appends a copy of `change`, its rows and all, whoever owned it before.
  Change& add_change(const TableSchemaPtr& schema, const Change& change);

  // Names a table as involved although no change of it follows: an empty table of a first copy.
  void involve(const TableSchemaPtr& schema) { remember(schema); }

  // So many changes are about to come.
  void expect_changes(std::size_t count) { changes_.reserve(count); }

  // Copies a row into arena().
  Row copy_row(Row row);

  Arena& arena() { return arena_; }

  std::string_view id() const { return id_; }
  const LSN& commit_lsn() const { return commit_lsn_; }
  const TraceId& trace_id() const { return trace_id_; }
  WallTime created_at() const { return created_at_; }
  const std::vector<Change>& changes() const { return changes_; }

  // The tables with changes in it, in the order of their first change.
  const std::vector<TableSchemaPtr>& involved_tables() const { return tables_; }

  // What it costs to keep, in bytes: the unit of every queue's and batch's bound.
  std::size_t memory_bytes() const;

  // Set by the capturer before the transaction leaves it.
  void set_commit_time(WallTime time);
  WallTime commit_time() const { return commit_time_; }

  // The ordinal of the first change added, for the later portions of a large transaction.
  void set_first_ordinal(std::uint64_t ordinal) { next_ordinal_ = ordinal; }
  std::uint64_t next_ordinal() const { return next_ordinal_; }

  // Where a sink stands once this transaction is applied. Empty in the earlier portions where the
  // source tells it only at the end.
  Position end_position;
  Portion portion = Portion::kWhole;
  Purpose purpose = Purpose::kChanges;
  CopyMark copy;  // with the purposes kCopy…
  // When the gate saw its first change; only for transactions that went through it.
  TimePoint first_seen_time{};

 private:
  void remember(const TableSchemaPtr& schema);

  Arena arena_;
  std::string_view id_;  // in arena_
  LSN commit_lsn_;
  TraceId trace_id_;
  WallTime created_at_;
  WallTime commit_time_{};
  std::uint64_t next_ordinal_ = 0;
  std::vector<Change> changes_;
  std::vector<TableSchemaPtr> tables_;
};

// True when a sink at `position` holds this transaction already.
bool is_contained(const Transaction& transaction, const Position& position);

constexpr bool begins(Portion portion) {
  return portion == Portion::kWhole || portion == Portion::kFirst;
}
constexpr bool ends(Portion portion) {
  return portion == Portion::kWhole || portion == Portion::kLast;
}

}  // namespace headgate
