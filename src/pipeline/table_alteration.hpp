// What the source has done to a table since the sink last heard of it.

#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/table_record.hpp"

namespace headgate {

// The steps from a table's record to its new description. Columns of the new description are given
// by their place in it; what no longer is there, by its name so far.
struct TableAlteration {
  struct Renamed {
    std::string from;
    std::size_t column;
  };
  struct Retyped {
    Column from;
    std::size_t column;
  };

  bool table_renamed = false;
  std::vector<std::string> dropped;
  std::vector<Renamed> renamed;
  std::vector<Retyped> retyped;
  std::vector<std::size_t> added;
  bool key_changed = false;

  // Columns went and others came, and the source cannot say whether some of them are the same.
  bool ambiguous = false;

  bool empty() const {
    return !table_renamed && dropped.empty() && renamed.empty() && retyped.empty() &&
           added.empty() && !key_changed;
  }

  // For people: "column a renamed to b, column c added".
  std::string describe(const SinkConfig& now) const;

  // Takes out what somebody has done in the sink already, by the names of the columns there.
  // `has_column` says whether the sink's table has a column of that name.
  void forget_done(const SinkConfig& now,
                   const std::function<bool(const std::string&)>& has_column);

  // Renames, one after the other, that never meet a name in use: (from, to). Swapped names go
  // through one that nobody has.
  std::vector<std::pair<std::string, std::string>> rename_steps(const SinkConfig& now) const;
};

// The place in `schema` of what the sink knows as `column`; none when it is no longer there.
std::optional<std::size_t> place_of(const Column& column, const TableSchema& schema);

TableAlteration compare(const TableRecord& before, const SinkConfig& now);

}  // namespace headgate
