#include "source/sqlserver/key_moves.hpp"

#include <algorithm>
#include <functional>
#include <string>

#include "core/operation.hpp"

namespace headgate::source::sqlserver {

bool KeyMoves::follow(const ChangeRow& row) {
  if (instance_.key.empty()) {
    return true;  // such rows are never looked for
  }
  begin(row.key.commit_lsn);
  if (static_cast<Operation>(row.key.operation) == Operation::kDelete) {
    removed_sequence_ = row.key.sequence;
    removed_ = key_of(row);
    return true;
  }
  const bool moves = removed_sequence_ == row.key.sequence;
  removed_sequence_ = {};
  return !moves || move(removed_, key_of(row));
}

bool KeyMoves::follow(const ChangeRow& before, const ChangeRow& after) {
  const bool moves =
      std::any_of(instance_.key.begin(), instance_.key.end(),
                  [&](std::size_t place) { return before.values[place] != after.values[place]; });
  if (!moves) {
    return true;
  }
  begin(after.key.commit_lsn);
  return move(key_of(before), key_of(after));
}

void KeyMoves::begin(const LSN& commit) {
  if (commit_ != commit) {
    commit_ = commit;
    removed_sequence_ = {};
    moved_to_.clear();
  }
}

bool KeyMoves::move(std::size_t from, std::size_t to) {
  if (moved_to_.contains(from) || moved_to_.size() >= kMovesMax) {
    return false;
  }
  moved_to_.insert(to);
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
