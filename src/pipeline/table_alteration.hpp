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

// Two names that are one to a sink have one form.
using NameForm = std::function<std::string(const std::string&)>;
inline std::string as_it_is(const std::string& name) {
  return name;
}

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

  // Of `added`, those of which the sink's table has a column already, by forget_done(). Whether its
  // rows hold there what the source gave them, the sink must see.
  std::vector<std::size_t> present;

  // Why these steps may not be what the source has done, so that only a person may run them; empty
  // when there is no doubt.
  std::string doubt;

  bool empty() const {
    return !table_renamed && dropped.empty() && renamed.empty() && retyped.empty() &&
           added.empty() && !key_changed && doubt.empty();
  }

  // For people: "column a renamed to b, column c added".
  std::string describe(const SinkConfig& now) const;

  // Takes out what somebody has done in the sink already, by the names of the columns there.
  // `has_column` says whether the sink's table has a column of that name. As long as all names are
  // there that are to go, nobody has begun: names that only change places tell nothing.
  void forget_done(const SinkConfig& now, const std::function<bool(const std::string&)>& has_column,
                   const NameForm& form = as_it_is);

  // Renames, one after the other, that never meet a name in use: (from, to). Swapped names go
  // through one that nobody has.
  std::vector<std::pair<std::string, std::string>> rename_steps(
      const SinkConfig& now, const NameForm& form = as_it_is) const;
};

// For each column of `before` its place in `now`; none when it is no longer there. By the source's
// ids, and by name where one of the two has none.
std::vector<std::optional<std::size_t>> pair_columns(const TableSchema& before,
                                                     const TableSchema& now);

TableAlteration compare(const TableRecord& before, const SinkConfig& now);

}  // namespace headgate
