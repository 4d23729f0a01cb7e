// The least work with the same effect: what is left of a batch when only the last state of each key
// counts.
//
// Readers of the sink see the state after whole transactions either way, so that skipping the
// states in between changes nothing they could see; it saves most of the writes on hot rows.

#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/arena.hpp"
#include "pipeline/sink_operation.hpp"

namespace headgate {

// What is to be done to one table. A driver does it in the order of the members; between tables of
// one stage no order is needed, unless the sink has foreign keys (then use single operations).
struct TableWork {
  explicit TableWork(const SinkConfig* config) : table(config) {}

  const SinkConfig* table;
  bool truncate = false;     // delete every row first
  std::vector<Row> deletes;  // only key columns count; the row may be absent in the sink
  std::vector<Row> upserts;  // complete rows: insert, or overwrite the row of the same key
  // Each of `upserts` is a row that the source has inserted in this stage, of a key that nothing
  // else was done to before. So none is there yet, unless the sink has more than the source had.
  bool upserts_are_new = true;
  std::vector<Row>
      updates;  // rows of existing keys with kUnchanged columns, to be left as they are
  std::vector<Row> appends;  // rows of a table without a key, in order
};

// Work that can be done set by set, then operations that must run one by one in order after it.
// A single is an update that moves a row to a new key and leaves some column as it is in the sink.
struct WorkStage {
  std::vector<TableWork> tables;
  std::vector<Sink> singles;
};

// Collects operations; not thread-safe. Rows that it returns point into the operations'
// transactions, which must outlive it, or into its own arena.
class NetEffect {
 public:
  NetEffect();
  ~NetEffect();
  NetEffect(const NetEffect&) = delete;
  NetEffect& operator=(const NetEffect&) = delete;

  // Throws Error{kRow} for an insert that lacks a value.
  void add(std::span<const Sink> operations);

  // The stages, to be done one after the other; empties the collection. The result is valid until
  // the next add() or take().
  std::vector<WorkStage> take();

 private:
  class TableState;

  TableState& state_of(const SinkConfig* table);
  void apply(const Sink& operation);
  void apply_update(TableState& state, const Sink& operation);
  Row fill_unchanged(Row newer, Row older);
  void close_stage();

  Arena arena_;
  std::vector<std::unique_ptr<TableState>> tables_;  // of the open stage, in order of first touch
  TableState* last_ = nullptr;                       // runs of one table are the rule
  std::vector<WorkStage> done_;
};

}  // namespace headgate
