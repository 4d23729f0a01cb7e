// How many of which rows changes leave in a table without a key.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>

#include "source/sqlserver/capture_instances.hpp"
#include "source/sqlserver/page_readers.hpp"
#include "source/sqlserver/row_patches.hpp"

namespace headgate::source::sqlserver {

// Without a key, rows are told apart by all their values, and equal ones are counted. A view has
// every change up to one place in the log (CopyView::from), none behind a later one (its
// savepoint), and of those between the two nobody can say which. So of each row that changes have
// touched since:
//
//   - It was touched behind the savepoint alone: there are as many as the view has, and what the
//     changes behind it have added and removed.
//   - It was touched between the two places: the view's count says nothing. But an earlier view
//     tells, if the row was not touched between *its* two places: as many as that one has, and
//     what all changes behind it have added and removed.
//
// All other rows are as they are read. Rows that are written once, as in a log, are told by the
// second rule however many come at any time; ones that repeat and never rest are not.
//
// Holds the touched rows, each once.
class RowCounts {
 public:
  using Row = RowPatches::Values;

  // `instance` must outlive it.
  explicit RowCounts(const CaptureInstance& instance) : instance_(&instance) {}

  // A change between the view's `from` and the point; `in_doubt`: not behind its savepoint. False
  // where the change does not say all values of the row.
  bool add(const ChangeRow& change, bool in_doubt);
  bool empty() const { return rows_.empty(); }
  bool any_in_doubt() const;
  // What is held, in memory.
  std::size_t bytes() const { return bytes_; }

  // A change between the earlier view's `from` and the view's; `in_doubt`: not behind the earlier
  // one's savepoint. As add() for rows that were added; of others nothing is kept.
  bool add_earlier(const ChangeRow& change, bool in_doubt);
  // The earlier view tells of every row that the view does not.
  bool earlier_tells() const;
  // A row of the earlier view.
  void count_earlier(const Row& row);

  // A row of the view: true when it is one of those that next() returns as often as they are there.
  bool withhold(const Row& row);

  // Behind the last row of the view: one row after the other, equal ones often; null at the end.
  // Throws Error{kReread} where the counts cannot be: what is captured is not what the table has.
  const Row* next();

 private:
  struct Count {
    std::int64_t in_view = 0;
    std::int64_t changed = 0;  // from the view's `from` to the point
    bool in_doubt = false;
    std::int64_t in_doubt_least = 0;  // of the changes in doubt, those that remove, and that add
    std::int64_t in_doubt_most = 0;
    std::int64_t earlier = 0;          // in the earlier view
    std::int64_t changed_earlier = 0;  // from its savepoint to the view's `from`
    bool earlier_in_doubt = false;
  };
  using Counts = std::map<Row, Count>;

  bool row_of(const ChangeRow& change, Row& row) const;
  Row comparable(const Row& row) const;
  std::int64_t at_point(const Count& count) const;

  const CaptureInstance* instance_;
  Counts rows_;
  std::size_t bytes_ = 0;
  Counts::const_iterator next_{};
  bool ending_ = false;
  std::int64_t left_ = 0;  // of next_
};

}  // namespace headgate::source::sqlserver
