// One row change.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.hpp"
#include "core/lsn.hpp"
#include "core/operation.hpp"
#include "core/schema.hpp"
#include "core/value.hpp"

namespace headgate {

// Its pointers lead into the transaction that owns it (rows, transaction id) or into a schema that
// the transaction keeps alive; a Change outlives neither. Trivially copyable.
struct Change {
  const TableSchema* table = nullptr;

  // The source's transaction id. Ids wrap: a transaction is identified by (id, commit LSN).
  std::string_view transaction_id;

  // Of the transaction's commit record: the same for all its changes, so never a sort key within
  // one.
  LSN lsn;

  Operation operation = Operation::kInsert;

  // The row after an insert or update; before it for a delete or kUpdateBefore; empty for a
  // truncate.
  Row data;

  // With kUpdateAfter only, and only where the source sends it: the old row, or of it the identity
  // columns (the others are then NULL as padding, and `key_only` is set).
  Row before;

  // `before`, or the `data` of a delete, holds identity columns only.
  bool key_only = false;

  WallTime commit_time{};

  // Its place in the transaction, from 0: the order in which the source changed the rows.
  std::uint64_t ordinal = 0;
};

// What a capturer hands over is the same type.
using CaptureChange = Change;

// The values of the mirror's key in the row's newest form.
std::vector<Value> key_values(const Change& change);

// A name for the change's content, for people and logs; equal rows of a keyless table have equal
// ids, so nothing is ever de-duplicated by it. SHA-256 over transaction id, table, canonical JSON
// of `data` (keys sorted, values as the server's text, bytes as hex), LSN as 0x-hex and operation
// name, in that order without separators; the first 16 bytes as 32 hex digits.
std::string compute_change_id(const Change& change);

// The canonical JSON object over a row: keys sorted, NULL as null, binary columns (bytea) as hex
// digits, every other value as a string of the server's text; unchanged values are left out.
std::string canonical_json(const TableSchema& table, Row row);

}  // namespace headgate
