// headgate_positions in a PostgreSQL sink: the truth about what it holds (I3), and the fence (I4).

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "db/pq/connection.hpp"
#include "pipeline/sink_driver.hpp"
#include "sink/postgres/options.hpp"

namespace headgate::sink::postgres {

// One row of headgate_positions: that of (pipeline, sink). Not thread-safe.
class PositionTable {
 public:
  // `options` must outlive it.
  explicit PositionTable(const Options& options);

  // Creates the tables of our own where they are missing.
  void create(pq::Connection& connection) const;

  // The row as it is; nothing when table or row are missing. Changes nothing.
  std::optional<SinkPosition> read(pq::Connection& connection) const;

  // Prepares the connection for begin() and commit(), and raises the epoch in a transaction of its
  // own that is durable when this returns, whatever synchronous_commit says, and with it everything
  // committed before.
  SinkPosition take_over(pq::Connection& connection);

  // Opens a transaction and locks the row, in one round trip. Throws Error{kFenced} unless epoch
  // and position are what this object last wrote or read; the transaction is then open.
  void begin(pq::Connection& connection) const;

  // Writes `mark` and commits, in one round trip. Throws Error{kFenced} when no row matches: then,
  // and with everything that the server says to the position itself, nothing was committed. Throws
  // Error{kInDoubt} when no answer came that tells. REQUIRES: begin() succeeded.
  void commit(pq::Connection& connection, const CommitMark& mark);

 private:
  void prepare(pq::Connection& connection) const;
  Error fenced(const std::string& why) const;

  const Options& options_;
  std::string table_;  // quoted, with schema
  SinkPosition known_;
};

}  // namespace headgate::sink::postgres
