#include "source/sqlserver/row_patches.hpp"

#include <algorithm>
#include <utility>

#include "core/change.hpp"
#include "source/sqlserver/update_mask.hpp"

namespace headgate::source::sqlserver {
namespace {

Operation operation_of(const ChangeRow& change) {
  return static_cast<Operation>(change.key.operation);
}

std::size_t bytes_of(const RowPatches::Values& values) {
  std::size_t bytes = values.size() * sizeof(RowPatches::Values::value_type);
  for (const auto& value : values) {
    bytes += value ? value->size() : 0;
  }
  return bytes;
}

}  // namespace

bool RowPatches::Patch::complete() const {
  return std::find(as_read.begin(), as_read.end(), true) == as_read.end();
}

RowPatches::RowPatches(const CaptureInstance& instance, bool in_command_order)
    : instance_(&instance), in_command_order_(in_command_order) {}

RowPatches::Key RowPatches::key_of(const Values& values) const {
  Key key;
  for (const std::size_t place : instance_->key) {
    key.push_back(values[place]);
  }
  return key;
}

void RowPatches::add(ChangeRow change) {
  Key key = key_of(change.values);
  const Operation operation = operation_of(change);
  // An update that moves a row has only one of its two rows here where the other's key is not among
  // what is read.
  const bool of_pair = before_ && operation == Operation::kUpdateAfter &&
                       before_->at.commit_lsn == change.key.commit_lsn &&
                       before_->at.sequence == change.key.sequence;
  const bool in_place = of_pair && before_->key == key;
  before_.reset();
  if (operation == Operation::kUpdateBefore) {
    before_ = Before{change.key, key};
  }
  const auto [found, is_new] = rows_.try_emplace(key);
  Entry& entry = found->second;
  if (is_new) {
    bytes_ += bytes_of(key);
  }
  const bool same_transaction = entry.changed_at == change.key.commit_lsn;
  entry.changed_at = change.key.commit_lsn;
  if (same_transaction && !in_command_order_ && !in_place) {
    entry.patch = Patch{true, false, {}, {}};  // two changes of a key, in an order not recorded
  } else if (!same_transaction || in_command_order_ || !entry.patch.unknown) {
    follow(std::move(change), entry, in_place);
  }
  weigh(entry);
}

void RowPatches::follow(ChangeRow change, Entry& entry, bool in_place) const {
  const Operation operation = operation_of(change);
  Patch& patch = entry.patch;
  if (operation == Operation::kDelete) {
    patch = Patch{};
    return;
  }
  if (operation == Operation::kUpdateBefore) {
    patch.there = false;  // but for the row after it, which comes next and may need its values
    return;
  }
  std::vector<bool> as_read(change.values.size(), false);
  for (std::size_t i = 0; i < change.values.size(); ++i) {
    const CapturedColumn& column = instance_->columns[i];
    const bool recorded = operation != Operation::kUpdateAfter || change.values[i] ||
                          !column.mapping.may_be_unrecorded || column.dropped ||
                          is_changed(change.update_mask, column.ordinal);
    if (recorded) {
      continue;
    }
    if (!in_place || patch.unknown) {
      patch = Patch{true, false, {}, {}};
      return;
    }
    if (patch.values.empty()) {
      as_read[i] = true;
    } else {
      change.values[i] = std::move(patch.values[i]);
      as_read[i] = patch.as_read[i];
    }
  }
  patch = {false, true, std::move(change.values), std::move(as_read)};
}

void RowPatches::weigh(Entry& entry) {
  const std::size_t bytes = sizeof(Entry) + bytes_of(entry.patch.values);
  bytes_ += bytes - entry.bytes;
  entry.bytes = bytes;
}

const RowPatches::Patch* RowPatches::use(const Values& row) {
  const auto found = rows_.find(key_of(row));
  if (found == rows_.end()) {
    return nullptr;
  }
  found->second.used = true;
  return &found->second.patch;
}

std::vector<RowPatches::Values> RowPatches::take_left() {
  std::vector<Values> left;
  for (auto& [key, entry] : rows_) {
    if (entry.used || !entry.patch.there) {
      continue;
    }
    if (entry.patch.complete()) {
      left.push_back(std::move(entry.patch.values));
    } else {
      entry.patch = Patch{true, false, {}, {}};  // it was to be read, and nobody has seen it
    }
  }
  return left;
}

std::vector<RowPatches::Key> RowPatches::unknown() const {
  std::vector<Key> keys;
  for (const auto& [key, entry] : rows_) {
    if (entry.patch.unknown) {
      keys.push_back(key);
    }
  }
  return keys;
}

}  // namespace headgate::source::sqlserver
