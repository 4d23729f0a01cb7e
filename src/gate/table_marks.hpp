// How far each captured table has been read.

#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "base/clock.hpp"
#include "core/lsn.hpp"
#include "core/schema.hpp"

namespace headgate {

// A table's mark says that every change of it up to and including that commit LSN has been handed
// over. Commit times stand beside it for people and for the timed gate: local clocks jump and tie.
//
// An unknown table, or a mark that moves back, is a bug of the caller (CheckFailure): nothing that
// was concluded from the older mark would hold. Not thread-safe; the TransactionBuffer guards it.
class TableMarks {
 public:
  explicit TableMarks(const std::set<TableName>& tables);

  // From here on `table` counts as well. It has no rows up to and including `captured_from`.
  void add(const TableName& table, const LSN& captured_from);

  void advance(const TableName& table, WallTime commit_time, const LSN& read_to);
  // Knows no LSN: moves the time alone, never back.
  void advance_time(const TableName& table, WallTime commit_time);
  // For all tables at once; those that are further already stay where they are.
  void advance_all(WallTime commit_time, const LSN& read_to);

  const LSN& read_to(const TableName& table) const { return at(table).read_to; }
  std::optional<WallTime> commit_time(const TableName& table) const {
    return at(table).commit_time;
  }

  // To where *all* tables have been read; none while one of them has no mark, or without tables.
  const LSN& all_read_to() const { return all_read_to_; }
  std::optional<WallTime> all_commit_time() const { return all_commit_time_; }

  // The tables that hold back a transaction of this commit.
  std::vector<TableName> behind(const LSN& commit_lsn) const;

 private:
  struct Mark {
    LSN read_to;
    std::optional<WallTime> commit_time;

    void see(WallTime time) { commit_time = commit_time ? std::max(*commit_time, time) : time; }
  };

  Mark& at(const TableName& table);
  const Mark& at(const TableName& table) const;
  void find_slowest();

  std::map<TableName, Mark> marks_;
  // The least of marks_.
  LSN all_read_to_;
  std::optional<WallTime> all_commit_time_;
};

}  // namespace headgate
