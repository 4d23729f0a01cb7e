// What changes make of rows that were read beside them.

#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "source/sqlserver/capture_instances.hpp"
#include "source/sqlserver/page_readers.hpp"

namespace headgate::source::sqlserver {

// Rows of a table that were read at a moment of which it is only known that it lies between two
// LSNs, and all changes between the two, make the rows as they are at the later one: who was not
// changed is as it was read, and who was is as its last change left it, whatever was read of it.
//
// Keys are compared by their bytes: a change names its row's key before it and after it, as the
// table shows it at that moment.
class RowPatches {
 public:
  using Key = std::vector<std::string>;
  // One per captured column; nothing for NULL.
  using Values = std::vector<std::optional<std::string>>;

  struct Patch {
    bool there = false;  // else the row is gone
    Values values;
    // Values that no change has recorded: those of the row that was read, which is there then.
    std::vector<bool> as_read;

    bool complete() const;
  };

  // `changes` are all between the two LSNs that have their key in what is read, in their order;
  // `in_command_order`: they come with their __$command_id. `instance` must outlive it.
  //
  // Nothing where they do not tell: a row came to a key with values that only its row at another
  // key has, or nobody can say which change of a key was the last.
  static std::optional<RowPatches> of(const ChangeRows& changes, const CaptureInstance& instance,
                                      bool in_command_order);

  // The row's patch, and from now on it is none of take_left(); null where nothing has changed it.
  const Patch* use(const Key& key);

  // The rows that were not read and are there, in no order. Throws Error{kTransient} for one that
  // would have to have been read.
  std::vector<Values> take_left();

 private:
  struct Entry {
    Patch patch;
    bool used = false;
    LSN changed_at;
  };

  bool follow(const ChangeRow& row, const CaptureInstance& instance, const ChangeRow* before,
              bool in_command_order);

  std::map<Key, Entry> rows_;
};

// The key of a row's values. REQUIRES: `instance` has one.
RowPatches::Key key_of(const RowPatches::Values& values, const CaptureInstance& instance);

}  // namespace headgate::source::sqlserver
