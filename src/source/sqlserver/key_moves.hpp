// Whether rows that were given other keys may be told in a wrong order.

#pragma once

#include <cstddef>
#include <optional>
#include <unordered_set>

#include "source/sqlserver/page_readers.hpp"

namespace headgate::source::sqlserver {

// One statement that moves several rows to keys of one another (id = id + 1) removes all of them
// before it adds any. Each removal has the sequence of its addition, though, and so comes just
// before it where __$command_id is not there to say otherwise: applied in that order, the removal
// of the second row would take away the first one, which has that key by now.
//
// Only a statement moves rows so, and several of them look just the same (1 to 2, then 2 to 3):
// which it was, the rows do not say. This notices when it matters.
//
// Where such an update is recorded as a pair of images (which servers do that for several rows is
// not documented), even the order of commands does not tell: 1 to 2 and 2 to 3 are two rows that
// moved, or one that moved twice.
//
// Of one change table. Not thread-safe.
class KeyMoves {
 public:
  // What is remembered of one transaction, at some 40 bytes each.
  static constexpr std::size_t kMovesMax = 1'000'000;

  explicit KeyMoves(const CaptureInstance& instance) : instance_(instance) {}

  // The next row of a delete or an insert, of rows without __$command_id. False when this one, and
  // so the rest of the transaction, cannot be told for certain.
  bool follow(const ChangeRow& row);
  // The next two rows of an update, in whatever order. The same.
  bool follow(const ChangeRow& before, const ChangeRow& after);

 private:
  void begin(const LSN& commit);
  bool move(std::size_t from, std::size_t to);
  std::size_t key_of(const ChangeRow& row) const;

  const CaptureInstance& instance_;
  LSN commit_;
  LSN removed_sequence_;                      // of the last row, when it was a removal
  std::size_t removed_ = 0;                   // the key of that
  std::unordered_set<std::size_t> moved_to_;  // hashes of the keys that moved rows have got
};

}  // namespace headgate::source::sqlserver
