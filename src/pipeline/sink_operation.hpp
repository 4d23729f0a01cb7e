// What the transformer makes of changes, and what a sink driver writes.

#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/arena.hpp"
#include "core/operation.hpp"
#include "core/schema.hpp"
#include "core/value.hpp"

namespace headgate {

// What to do when an insert meets a row of the same key.
enum class OnConflict : std::uint8_t {
  kOverwrite,  // the newer row wins: what a mirror does
  kSkip,       // the older row stays; counted
  kError,      // a row error
};

// What to do when the source has altered a table that the sink holds.
enum class SchemaChanges : std::uint8_t {
  kApply,   // alter the sink's table likewise, in its place among the rows; pause where that cannot
            // be done
  kPause,   // wait for a person to alter it
  kIgnore,  // leave it as it is: new columns are not written
};

// What a change that only a person can carry over holds back (SchemaFollower).
enum class Isolation : std::uint8_t {
  kPipeline,  // everything behind it: the sink always shows a state that the source had
  kTable,     // its table alone, until that is copied anew; transactions are torn across it
};

// How all rows of an output table are removed, when the source has truncated its own.
enum class TruncateMode : std::uint8_t {
  kDelete,  // as any other delete: readers with an older snapshot go on seeing them
  kNative,  // by the sink's own TRUNCATE, where it has one and nothing else there forbids it:
            // quick, but readers wait for it, and older snapshots find the table empty
};

// An output table: where rows go and under which key. Built once per table and schema version,
// shared by all operations on it, never changed afterwards.
struct SinkConfig {
  std::string name;      // of the mirror or of the skill's sink, for logs
  std::string database;  // the sink of the configuration file that holds the table

  // Name, columns in the order of the operations' rows, and the key (`output.key`; empty: append).
  TableSchema output;

  // The table of the source whose rows these are, under its name there; empty where the rows are
  // not those of one table.
  TableName source;

  OnConflict on_conflict = OnConflict::kOverwrite;
  TruncateMode truncate = TruncateMode::kDelete;
  SchemaChanges schema_changes = SchemaChanges::kApply;
  Isolation isolation = Isolation::kPipeline;

  std::vector<std::string> primary_key() const;
};

using SinkConfigPtr = std::shared_ptr<const SinkConfig>;

// One operation on one row of an output table. Meaning of the rows as in Change: `data` is the new
// row, or the old one for a delete; `before` the old row or key of an update, where it is known.
struct Sink {
  const SinkConfig* config = nullptr;
  Operation operation = Operation::kInsert;
  Row data;
  Row before;
  bool key_only = false;
};

// The operations that some changes became, in order. Rows point into the transactions they came
// from (which must outlive the set) or into `arena`.
struct DataSet {
  std::vector<Sink> operations;
  // The output tables, also those without an operation; keeps alive what `operations` point at.
  std::vector<SinkConfigPtr> configs;
  Arena arena;
};

}  // namespace headgate
