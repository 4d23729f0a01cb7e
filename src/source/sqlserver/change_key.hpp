// Where a row of a change table stands among all changes of the database.

#pragma once

#include <compare>
#include <cstdint>

#include "core/lsn.hpp"

namespace headgate::source::sqlserver {

// The order of __$start_lsn, __$command_id, __$seqval, __$operation: that of the change tables'
// clustered index, and the order in which the source did it, also across tables
// (sqlserver-cdc 2.2). Unique within one change table. A plain value.
struct ChangeKey {
  LSN commit_lsn;
  std::int32_t command_id = 0;  // 0 in all rows of a change table that has no such column
  LSN sequence;
  std::int32_t operation = 0;

  friend std::strong_ordering operator<=>(const ChangeKey&, const ChangeKey&) = default;
  friend bool operator==(const ChangeKey&, const ChangeKey&) = default;
};

// The smallest LSN behind `lsn`, a SQL Server one: the server's own arithmetic
// (sys.fn_cdc_increment_lsn), without asking it. REQUIRES: not the greatest of all.
LSN increment(const LSN& lsn);

// The greatest LSN before `lsn` (sys.fn_cdc_decrement_lsn). REQUIRES: not zero.
LSN decrement(const LSN& lsn);

}  // namespace headgate::source::sqlserver
