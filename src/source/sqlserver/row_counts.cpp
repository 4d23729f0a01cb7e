#include "source/sqlserver/row_counts.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/error.hpp"
#include "core/operation.hpp"
#include "source/sqlserver/update_mask.hpp"

namespace headgate::source::sqlserver {
namespace {

bool removes(const ChangeRow& change) {
  const auto operation = static_cast<Operation>(change.key.operation);
  return operation == Operation::kDelete || operation == Operation::kUpdateBefore;
}

bool of_update(const ChangeRow& change) {
  const auto operation = static_cast<Operation>(change.key.operation);
  return operation == Operation::kUpdateBefore || operation == Operation::kUpdateAfter;
}

}  // namespace

// What a change table keeps of a column that the table has no more is in no row of the table.
RowCounts::Row RowCounts::comparable(const Row& row) const {
  Row values = row;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (instance_->columns[i].dropped) {
      values[i].reset();
    }
  }
  return values;
}

// False where a NULL does not say that the value is NULL.
bool RowCounts::row_of(const ChangeRow& change, Row& row) const {
  for (std::size_t i = 0; i < change.values.size(); ++i) {
    const CapturedColumn& column = instance_->columns[i];
    const bool unrecorded = (of_update(change) && column.mapping.may_be_unrecorded &&
                             !is_changed(change.update_mask, column.ordinal)) ||
                            (removes(change) && column.mapping.no_old_value);
    if (!change.values[i] && !column.dropped && unrecorded) {
      return false;
    }
  }
  row = comparable(change.values);
  return true;
}

bool RowCounts::add(const ChangeRow& change, bool in_doubt) {
  Row row;
  if (!row_of(change, row)) {
    return false;
  }
  const auto [found, is_new] = rows_.try_emplace(std::move(row));
  if (is_new) {
    bytes_ += sizeof(Counts::value_type) + found->first.size() * sizeof(Row::value_type);
    for (const auto& value : found->first) {
      bytes_ += value ? value->size() : 0;
    }
  }
  Count& count = found->second;
  const std::int64_t difference = removes(change) ? -1 : 1;
  count.changed += difference;
  if (in_doubt) {
    count.in_doubt = true;
    (difference < 0 ? count.in_doubt_least : count.in_doubt_most) += difference;
  }
  return true;
}

bool RowCounts::any_in_doubt() const {
  return std::any_of(rows_.begin(), rows_.end(),
                     [](const auto& row) { return row.second.in_doubt; });
}

bool RowCounts::add_earlier(const ChangeRow& change, bool in_doubt) {
  Row row;
  if (!row_of(change, row)) {
    return false;
  }
  if (const auto found = rows_.find(row); found != rows_.end()) {
    found->second.changed_earlier += removes(change) ? -1 : 1;
    found->second.earlier_in_doubt = found->second.earlier_in_doubt || in_doubt;
  }
  return true;
}

bool RowCounts::earlier_tells() const {
  return std::none_of(rows_.begin(), rows_.end(), [](const auto& row) {
    return row.second.in_doubt && row.second.earlier_in_doubt;
  });
}

void RowCounts::count_earlier(const Row& row) {
  if (const auto found = rows_.find(comparable(row)); found != rows_.end()) {
    ++found->second.earlier;
  }
}

bool RowCounts::withhold(const Row& row) {
  const auto found = rows_.find(comparable(row));
  if (found == rows_.end()) {
    return false;
  }
  ++found->second.in_view;
  return true;
}

std::int64_t RowCounts::at_point(const Count& count) const {
  const std::int64_t before =
      count.in_doubt ? count.earlier + count.changed_earlier : count.in_view;
  const std::int64_t there = before + count.changed;
  const bool in_view_can_be = !count.in_doubt || (before + count.in_doubt_least <= count.in_view &&
                                                  count.in_view <= before + count.in_doubt_most);
  if (before < 0 || there < 0 || !in_view_can_be) {
    throw Error{ErrorKind::kReread,
                fmt::format("source: the rows of table {} beside a copy point are not those that "
                            "its change table tells of",
                            instance_->table.to_string()),
                "the copy goes on with another point; when this is said again and again, give the "
                "table a primary key, or set snapshot.locking: brief"};
  }
  return there;
}

const RowCounts::Row* RowCounts::next() {
  if (!std::exchange(ending_, true)) {
    next_ = rows_.begin();
    left_ = next_ == rows_.end() ? 0 : at_point(next_->second);
  }
  while (next_ != rows_.end() && left_ == 0) {
    ++next_;
    left_ = next_ == rows_.end() ? 0 : at_point(next_->second);
  }
  if (next_ == rows_.end()) {
    return nullptr;
  }
  --left_;
  return &next_->first;
}

}  // namespace headgate::source::sqlserver
