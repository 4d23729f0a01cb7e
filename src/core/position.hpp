// Where a pipeline stands in its source's commit order.

#pragma once

#include <string>

#include "core/lsn.hpp"

namespace headgate {

// Which log an LSN belongs to: the system and its timeline (PostgreSQL: `postgres:7311…:1`), or the
// server and its database incarnation. LSNs of different histories have no order, so a position of
// another history is never compared, only refused.
struct History {
  std::string text;

  bool empty() const { return text.empty(); }
  friend bool operator==(const History&, const History&) = default;
};

// Everything up to and including `lsn` is done. Always the end of a transaction: on PostgreSQL the
// *end* LSN of its commit record, which is what the server wants acknowledged; on SQL Server the
// commit LSN. A plain value; empty before the first copy was finished.
struct Position {
  LSN lsn;
  History history;

  bool empty() const { return lsn.is_zero(); }
  std::string to_string() const { return lsn.to_string(); }

  friend bool operator==(const Position&, const Position&) = default;
};

}  // namespace headgate
