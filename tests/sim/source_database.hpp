// The source in memory: tables, a log of commits, and one replication slot.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/position.hpp"
#include "rows.hpp"
#include "world.hpp"

namespace headgate::sim {

// How wild the application is.
struct WorkloadOptions {
  std::size_t rows_max = 4;       // of most transactions
  std::size_t large_rows = 40;    // of the large ones
  unsigned large_per_mille = 50;  // how many are large
  std::size_t keys = 12;          // so few that rows meet again
  unsigned truncate_per_mille = 10;
  unsigned alter_per_mille = 0;  // before how many row changes the table is altered
  unsigned drop_per_mille = 0;   // in place of how many commits a table is dropped for good
};

struct Commit {
  std::uint64_t end = 0;
  std::string id;
  WallTime time{};
  std::vector<RowChange> changes;  // none: the log moved on without us
};

class SourceDatabase {
 public:
  SourceDatabase(World& world, WorkloadOptions options);

  // One transaction of the application.
  void commit();
  // Log of others, which reaches us only as a position.
  void idle();

  std::uint64_t end() const { return end_; }
  // A position in the present history.
  Position position(std::uint64_t end) const { return {LSN::from_postgres(end), history()}; }
  History history() const;
  const std::vector<Commit>& log() const { return log_; }
  // The first commit of the log behind `position`.
  std::size_t behind(std::uint64_t position) const;
  const State& now() const { return states_.at({timeline_, end_}); }

  // Null when nothing ends at `position`, in the history that it belongs to.
  const State* state_at(const Position& position) const;
  // The end of any commit from `since` up to now.
  Position any_position(std::uint64_t since) const;
  // Whether a view of the database as it was at `position` does not show the table's rows any more:
  // it was truncated, altered or dropped since.
  bool is_rewritten(std::size_t table, const Position& position) const;
  // Whether all that a sink at `position` holds is in this server's log, so that it can go on.
  bool holds(const Position& position) const;

  // The slot: everything up to it may be gone. Empty before it is made.
  std::optional<std::uint64_t> confirmed() const { return confirmed_; }
  void make_slot();
  void drop_slot() { confirmed_.reset(); }
  void confirm(std::uint64_t position);
  // Which connection reads the slot; nullptr when none does.
  const void* reader = nullptr;

  // A checkpoint: from here on a crash does not forget what was confirmed.
  void save_slot() { confirmed_on_disk_ = confirmed_; }
  // Crash and restart: connections end, and the slot is what the last checkpoint saved.
  void crash();
  std::size_t incarnation() const { return incarnation_; }
  // A standby takes over, on a timeline of its own, with the slot of the last checkpoint. Without
  // the last commits when it had not received them.
  void promote(bool with_loss);

 private:
  bool drop_table();
  RowChange change(State& state);
  RowChange change(State& state, std::size_t table);
  // False when no other alteration may stand before the next row.
  bool alter(State& state, std::size_t table);
  RowChange insert(State& state, std::size_t table, const Record& key);
  RowChange update(State& state, std::size_t table, const Record& old_row);
  RowChange erase(State& state, std::size_t table, const Record& old_row);
  RowChange journal(State& state);
  Record random_key(std::size_t table);
  Cell random_text();
  void advance();

  World& world_;
  WorkloadOptions options_;
  std::uint32_t timeline_ = 1;
  std::map<std::uint32_t, std::uint64_t> left_at_;  // where each earlier timeline was left
  std::uint64_t end_ = 0x1000;
  std::uint64_t next_id_ = 1;
  std::uint32_t next_column_ = 100;  // its id
  std::vector<Commit> log_;
  std::map<std::pair<std::uint32_t, std::uint64_t>, State> states_;  // by timeline and end
  std::optional<std::uint64_t> confirmed_;
  std::optional<std::uint64_t> confirmed_on_disk_;
  std::size_t incarnation_ = 0;
};

}  // namespace headgate::sim
