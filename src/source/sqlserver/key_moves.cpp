#include "source/sqlserver/key_moves.hpp"

#include <functional>
#include <string>

#include "core/operation.hpp"

namespace headgate::source::sqlserver {

bool KeyMoves::follow(const ChangeRow& row) {
  if (instance_.key.empty()) {
    return true;  // such rows are never looked for
  }
  if (commit_ != row.key.commit_lsn) {
    commit_ = row.key.commit_lsn;
    removed_sequence_ = {};
    moved_to_.clear();
  }
  if (static_cast<Operation>(row.key.operation) == Operation::kDelete) {
    removed_sequence_ = row.key.sequence;
    removed_ = key_of(row);
    return true;
  }
  const bool moves = removed_sequence_ == row.key.sequence;
  removed_sequence_ = {};
  if (!moves) {
    return true;
  }
  if (moved_to_.contains(removed_) || moved_to_.size() >= kMovesMax) {
    return false;
  }
  moved_to_.insert(key_of(row));
  return true;
}

std::size_t KeyMoves::key_of(const ChangeRow& row) const {
  std::size_t hash = 0;
  for (const std::size_t place : instance_.key) {
    const std::optional<std::string>& value = row.values[place];
    const std::size_t part = value ? std::hash<std::string>{}(*value) : 1;
    hash = hash * 1099511628211U + part;
  }
  return hash;
}

}  // namespace headgate::source::sqlserver
