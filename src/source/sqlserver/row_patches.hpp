// What changes make of rows that were read beside them.

#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "source/sqlserver/capture_instances.hpp"
#include "source/sqlserver/change_key.hpp"
#include "source/sqlserver/page_readers.hpp"

namespace headgate::source::sqlserver {

// Rows of a table that were read at a moment of which it is only known that it lies between two
// LSNs, and all changes between the two, make the rows as they are at the later one: who was not
// changed is as it was read, and who was is as its last change left it, whatever was read of it.
//
// Keys are compared by their bytes: a change names its row's key before it and after it, as the
// table shows it at that moment.
//
// Holds the last state of each changed row, however often it was changed.
class RowPatches {
 public:
  // One per captured column; nothing for NULL.
  using Values = std::vector<std::optional<std::string>>;
  using Key = Values;

  struct Patch {
    // The changes do not tell what became of it: it came here with values that only its row at
    // another key has, or nobody can say which of its changes was the last.
    bool unknown = false;
    bool there = false;  // else the row is gone
    Values values;
    // Values that no change has recorded: those of the row that was read, which is there then.
    std::vector<bool> as_read;

    bool complete() const;
  };

  // Knows of no change. `in_command_order`: changes come with their __$command_id. `instance` must
  // outlive it.
  RowPatches(const CaptureInstance& instance, bool in_command_order);

  // The next of all changes between the two LSNs that have their key in what is read, in their
  // order.
  void add(ChangeRow change);

  // What is held, in memory.
  std::size_t bytes() const { return bytes_; }

  // The row's patch, and from now on it is none of take_left(); null where nothing has changed it.
  const Patch* use(const Values& row);

  // Behind the last row that was read: the others that are there, in no order.
  std::vector<Values> take_left();
  // And the keys of those that are not known.
  std::vector<Key> unknown() const;

 private:
  struct Entry {
    Patch patch;
    bool used = false;
    LSN changed_at;
    std::size_t bytes = 0;
  };

  Key key_of(const Values& values) const;
  void follow(ChangeRow change, Entry& entry, bool in_place) const;
  void weigh(Entry& entry);

  const CaptureInstance* instance_;
  bool in_command_order_;
  std::map<Key, Entry> rows_;
  std::size_t bytes_ = 0;
  // The last change, where it was the row before an update.
  struct Before {
    ChangeKey at;
    Key key;
  };
  std::optional<Before> before_;
};

}  // namespace headgate::source::sqlserver
