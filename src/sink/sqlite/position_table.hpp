// headgate_positions: where each (pipeline, sink) stands, and who may write.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "core/position.hpp"
#include "db/sqlite/connection.hpp"
#include "db/sqlite/statement.hpp"
#include "pipeline/sink_driver.hpp"

namespace headgate::sink::sqlite {

// `2026-07-01T12:00:00.120000Z`: RFC 3339, UTC, always six digits, so that text order is time
// order.
std::string to_rfc3339(WallTime time);

struct PositionRow {
  Position position;
  std::uint64_t epoch = 0;
  std::string updated_at;
};

// The row of one (pipeline, sink). Every call belongs into a transaction that the caller opened.
class PositionTable {
 public:
  // Creates headgate_positions and headgate_applied where they are missing.
  static void create(db::sqlite::Connection& connection);

  // REQUIRES: create() was done on this database. `connection` must outlive the object.
  PositionTable(db::sqlite::Connection& connection, std::string pipeline, std::string sink);

  // Throws Error{kOperator} when a person wrote something into it that is no position.
  std::optional<PositionRow> read();

  // Adds one to the epoch; creates the row, without a position, the first time.
  void raise_epoch(WallTime now);

  // Moves the row to `mark`. False, and nothing changed, when it is gone or has another epoch.
  bool move(const CommitMark& mark, std::uint64_t epoch, WallTime now);

  // Changes nothing but updated_at, and that always: to a value other than `before`, even if the
  // clock stands still. SQLite does not write a page whose content stays the same, and then a
  // commit would not sync. False as in move().
  bool touch(const std::string& before, std::uint64_t epoch, WallTime now);

 private:
  void bind_row(db::sqlite::Statement& statement, std::uint64_t epoch);

  db::sqlite::Connection& connection_;
  std::string pipeline_;
  std::string sink_;
  db::sqlite::Statement read_;
  db::sqlite::Statement raise_;
  db::sqlite::Statement move_;
  db::sqlite::Statement touch_;
};

}  // namespace headgate::sink::sqlite
