#include "source/sqlserver/row_patches.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"
#include "core/change.hpp"
#include "source/sqlserver/update_mask.hpp"

namespace headgate::source::sqlserver {
namespace {

Operation operation_of(const ChangeRow& row) {
  return static_cast<Operation>(row.key.operation);
}

}  // namespace

RowPatches::Key key_of(const RowPatches::Values& values, const CaptureInstance& instance) {
  RowPatches::Key key;
  for (const std::size_t place : instance.key) {
    key.push_back(values[place].value_or(std::string()));
  }
  return key;
}

bool RowPatches::Patch::complete() const {
  return std::find(as_read.begin(), as_read.end(), true) == as_read.end();
}

std::optional<RowPatches> RowPatches::of(const ChangeRows& changes, const CaptureInstance& instance,
                                         bool in_command_order) {
  RowPatches patches;
  const ChangeRow* before = nullptr;
  for (const ChangeRow& row : changes) {
    // An update that moves a row has only one of its two rows here where the other's key is not
    // among what is read.
    const bool of_pair = before != nullptr && operation_of(row) == Operation::kUpdateAfter &&
                         before->key.commit_lsn == row.key.commit_lsn &&
                         before->key.sequence == row.key.sequence;
    if (!patches.follow(row, instance, of_pair ? before : nullptr, in_command_order)) {
      return std::nullopt;
    }
    before = operation_of(row) == Operation::kUpdateBefore ? &row : nullptr;
  }
  return patches;
}

// False where what becomes of the row is not known.
bool RowPatches::follow(const ChangeRow& row, const CaptureInstance& instance,
                        const ChangeRow* before, bool in_command_order) {
  const Key key = key_of(row.values, instance);
  Entry& entry = rows_[key];
  const bool in_place = before != nullptr && key_of(before->values, instance) == key;
  if (!in_command_order && !in_place && entry.changed_at == row.key.commit_lsn) {
    return false;  // two changes of one key in a transaction, in an order that is not recorded
  }
  entry.changed_at = row.key.commit_lsn;
  const Operation operation = operation_of(row);
  if (operation == Operation::kDelete || operation == Operation::kUpdateBefore) {
    entry.patch.there = false;
    if (operation == Operation::kDelete) {
      entry.patch.values.clear();
    }  // else they are there for the row after the update, which comes next
    return true;
  }
  Values values = row.values;
  std::vector<bool> as_read(values.size(), false);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const CapturedColumn& column = instance.columns[i];
    const bool recorded = operation != Operation::kUpdateAfter || values[i] ||
                          !column.mapping.may_be_unrecorded || column.dropped ||
                          is_changed(row.update_mask, column.ordinal);
    if (recorded) {
      continue;
    }
    if (!in_place) {
      return false;
    }
    if (entry.patch.values.empty()) {
      as_read[i] = true;
    } else {
      values[i] = entry.patch.values[i];
      as_read[i] = entry.patch.as_read[i];
    }
  }
  entry.patch = {true, std::move(values), std::move(as_read)};
  return true;
}

const RowPatches::Patch* RowPatches::use(const Key& key) {
  const auto found = rows_.find(key);
  if (found == rows_.end()) {
    return nullptr;
  }
  found->second.used = true;
  return &found->second.patch;
}

std::vector<RowPatches::Values> RowPatches::take_left() {
  std::vector<Values> left;
  for (auto& [key, entry] : rows_) {
    if (!entry.used && entry.patch.there) {
      if (!entry.patch.complete()) {
        throw Error{ErrorKind::kTransient,
                    "source: a change table has an update of a row that the table does not show"};
      }
      left.push_back(std::move(entry.patch.values));
    }
  }
  rows_.clear();
  return left;
}

}  // namespace headgate::source::sqlserver
