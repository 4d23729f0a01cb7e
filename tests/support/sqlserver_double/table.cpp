#include "support/sqlserver_double/table.hpp"

#include <algorithm>

#include "support/sqlserver_double/convert.hpp"
#include "support/sqlserver_double/sql_error.hpp"
#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

std::optional<std::size_t> TableShape::place_of(const std::string& name) const {
  for (std::size_t at = 0; at < columns.size(); ++at) {
    if (same_name(columns[at].name, name)) {
      return at;
    }
  }
  return std::nullopt;
}

std::optional<std::size_t> TableShape::place_of_id(int id) const {
  for (std::size_t at = 0; at < columns.size(); ++at) {
    if (columns[at].id == id) {
      return at;
    }
  }
  return std::nullopt;
}

bool Table::KeyLess::operator()(const std::vector<Value>& left,
                                const std::vector<Value>& right) const {
  const std::size_t size = std::min(left.size(), right.size());
  for (std::size_t at = 0; at < size; ++at) {
    const auto order = order_nulls_first(left[at], right[at], types[at]);
    if (order != 0) {
      return order < 0;
    }
  }
  return false;  // a shorter key equals all that it begins, so that ranges can be sought by it
}

const Key* Table::primary_key() const {
  const auto found =
      std::find_if(keys_.begin(), keys_.end(), [](const Key& key) { return key.primary; });
  return found == keys_.end() ? nullptr : &*found;
}

std::vector<std::size_t> Table::places_of(const std::vector<int>& column_ids) const {
  std::vector<std::size_t> places;
  for (const int id : column_ids) {
    places.push_back(shape->place_of_id(id).value());
  }
  return places;
}

void Table::add_key(Key key) {
  key.index_id = key.primary ? 1 : 2;
  for (const Key& other : keys_) {
    key.index_id = key.primary ? 1 : std::max(key.index_id, other.index_id + 1);
  }
  keys_.push_back(std::move(key));
  rebuild_indexes();
  if (!keys_.back().unique) {
    return;
  }
  const Index& index = indexes_.back();
  for (auto at = index.begin(); at != index.end(); ++at) {
    const auto next = std::next(at);
    if (next != index.end() && !index.key_comp()(at->first, next->first) &&
        versions_[at->second].end.is_never() && versions_[next->second].end.is_never()) {
      const std::string name_taken = keys_.back().name;
      keys_.pop_back();
      rebuild_indexes();
      throw SqlError(1505,
                     "The CREATE UNIQUE INDEX statement terminated because a duplicate key was "
                     "found for the object name '" +
                         schema + "." + name + "' and the index name '" + name_taken + "'.");
    }
  }
}

void Table::drop_key(const std::string& key_name) {
  std::erase_if(keys_, [&key_name](const Key& key) { return same_name(key.name, key_name); });
  rebuild_indexes();
}

std::vector<Value> Table::key_of(const Key& key, const Row& row) const {
  std::vector<Value> values;
  values.reserve(key.column_ids.size());
  for (const int id : key.column_ids) {
    values.push_back(row[shape->place_of_id(id).value()]);
  }
  return values;
}

void Table::index_slot(std::size_t slot) {
  for (std::size_t at = 0; at < keys_.size(); ++at) {
    indexes_[at].emplace(key_of(keys_[at], *versions_[slot].row), slot);
  }
}

void Table::unindex_slot(std::size_t slot) {
  for (std::size_t at = 0; at < keys_.size(); ++at) {
    auto [begin, end] = indexes_[at].equal_range(key_of(keys_[at], *versions_[slot].row));
    const auto found =
        std::find_if(begin, end, [slot](const auto& entry) { return entry.second == slot; });
    if (found != end) {
      indexes_[at].erase(found);
    }
  }
}

void Table::rebuild_indexes() {
  indexes_.clear();
  for (const Key& key : keys_) {
    KeyLess less;
    for (const std::size_t place : places_of(key.column_ids)) {
      less.types.push_back(shape->columns[place].type);
    }
    indexes_.emplace_back(less);
  }
  for (std::size_t slot = 0; slot < versions_.size(); ++slot) {
    index_slot(slot);
  }
}

bool Table::ended_for(const Version& version, TransactionId own) const {
  return !version.end.is_never() &&
         (!version.end.is_pending() || version.end == Stamp::pending(own));
}

std::optional<std::size_t> Table::find(const Key& key, const Row& row, TransactionId own) const {
  for (std::size_t at = 0; at < keys_.size(); ++at) {
    if (&keys_[at] != &key) {
      continue;
    }
    const auto [begin, end] = indexes_[at].equal_range(key_of(key, row));
    for (auto entry = begin; entry != end; ++entry) {
      if (!ended_for(versions_[entry->second], own)) {
        return entry->second;
      }
    }
  }
  return std::nullopt;
}

std::vector<std::size_t> Table::matching(const std::vector<std::size_t>& places,
                                         const std::vector<Value>& values,
                                         TransactionId own) const {
  std::vector<std::size_t> slots;
  for (const std::size_t slot : candidates(ColumnRange{places[0], values[0], values[0]})) {
    bool equal = !ended_for(versions_[slot], own);
    for (std::size_t at = 0; equal && at < places.size(); ++at) {
      const Value& value = (*versions_[slot].row)[places[at]];
      equal = !is_null(value) && order(value, values[at], shape->columns[places[at]].type) == 0;
    }
    if (equal) {
      slots.push_back(slot);
    }
  }
  return slots;
}

std::size_t Table::insert(RowPtr row, TransactionId by) {
  for (const Key& key : keys_) {
    const auto met = key.unique ? find(key, *row, by) : std::nullopt;
    if (!met) {
      continue;
    }
    const Version& other = versions_[*met];
    for (const Stamp stamp : {other.begin, other.end}) {
      if (stamp.is_pending() && stamp != Stamp::pending(by)) {
        throw LockedBy{stamp.transaction()};
      }
    }
    std::string values;
    for (const std::size_t place : places_of(key.column_ids)) {
      values +=
          (values.empty() ? "" : ", ") + display_text((*row)[place], shape->columns[place].type);
    }
    throw key.constraint
        ? SqlError(2627,
                   "Violation of " + std::string(key.primary ? "PRIMARY" : "UNIQUE") +
                       " KEY constraint '" + key.name +
                       "'. Cannot insert duplicate key in object '" + schema + "." + name +
                       "'. The duplicate key value is (" + values + ").",
                   14)
        : SqlError(2601,
                   "Cannot insert duplicate key row in object '" + schema + "." + name +
                       "' with unique index '" + key.name + "'. The duplicate key value is (" +
                       values + ").",
                   14);
  }
  versions_.push_back({std::move(row), Stamp::pending(by), Stamp::never()});
  index_slot(versions_.size() - 1);
  return versions_.size() - 1;
}

void Table::end(std::size_t slot, TransactionId by) {
  versions_[slot].end = Stamp::pending(by);
}

void Table::settle(std::size_t slot, TransactionId by, CommitNumber number) {
  Version& version = versions_[slot];
  if (version.begin == Stamp::pending(by)) {
    version.begin = Stamp::committed(number);
  }
  if (version.end == Stamp::pending(by)) {
    version.end = Stamp::committed(number);
    ++ended_;
  }
}

void Table::undo_insert(std::size_t slot) {
  unindex_slot(slot);
  Version& version = versions_[slot];
  version.begin = Stamp::never();
  version.end = Stamp::committed(0);
  ++ended_;
  // The last versions go at once, so that a table ordered by appending stays ordered.
  while (!versions_.empty() && versions_.back().begin.is_never()) {
    versions_.pop_back();
    --ended_;
  }
}

void Table::undo_end(std::size_t slot) {
  versions_[slot].end = Stamp::never();
}

bool Table::visible(std::size_t slot, const ReadView& view) const {
  const Version& version = versions_[slot];
  const auto seen = [&view](Stamp stamp) {
    if (stamp.is_never()) {
      return false;
    }
    if (stamp.is_pending()) {
      return view.dirty || stamp.transaction() == view.own;
    }
    return stamp.number() <= view.upto;
  };
  if (view.blocking) {
    for (const Stamp stamp : {version.begin, version.end}) {
      if (stamp.is_pending() && stamp.transaction() != view.own) {
        throw LockedBy{stamp.transaction()};
      }
    }
  }
  return seen(version.begin) && !seen(version.end);
}

TransactionId Table::held_by_other(std::size_t slot, TransactionId own) const {
  for (const Stamp stamp : {versions_[slot].begin, versions_[slot].end}) {
    if (stamp.is_pending() && stamp.transaction() != own) {
      return stamp.transaction();
    }
  }
  const auto lock = row_locks.find(slot);
  return lock == row_locks.end() || lock->second == own ? 0 : lock->second;
}

const Table::Index* Table::index_on(std::size_t place) const {
  for (std::size_t at = 0; at < keys_.size(); ++at) {
    if (keys_[at].column_ids.front() == shape->columns[place].id) {
      return &indexes_[at];
    }
  }
  return nullptr;
}

bool Table::seekable(std::size_t place) const {
  return append_ordered ? place == 0 : index_on(place) != nullptr;
}

std::vector<std::size_t> Table::candidates(const std::optional<ColumnRange>& range) const {
  std::vector<std::size_t> slots;
  if (range && append_ordered && range->place == 0) {
    const SqlType& type = shape->columns[0].type;
    const auto below = [&type](const Version& version, const Value& value) {
      return order_nulls_first((*version.row)[0], value, type) < 0;
    };
    const auto above = [&type](const Value& value, const Version& version) {
      return order_nulls_first(value, (*version.row)[0], type) < 0;
    };
    const auto first =
        range->least ? std::lower_bound(versions_.begin(), versions_.end(), *range->least, below)
                     : versions_.begin();
    const auto last = range->most ? std::upper_bound(first, versions_.end(), *range->most, above)
                                  : versions_.end();
    for (auto at = first; at < last; ++at) {
      slots.push_back(static_cast<std::size_t>(at - versions_.begin()));
    }
    return slots;
  }
  const Index* index = range ? index_on(range->place) : nullptr;
  if (index != nullptr) {
    if (range->least && range->most && index->key_comp()({*range->most}, {*range->least})) {
      return {};
    }
    const auto first = range->least ? index->lower_bound({*range->least}) : index->begin();
    const auto last = range->most ? index->upper_bound({*range->most}) : index->end();
    for (auto at = first; at != last; ++at) {
      slots.push_back(at->second);
    }
    return slots;
  }
  // A whole table is read in the order of its clustered index.
  for (std::size_t at = 0; at < keys_.size(); ++at) {
    if (keys_[at].primary) {
      for (const auto& [key, slot] : indexes_[at]) {
        slots.push_back(slot);
      }
      return slots;
    }
  }
  for (std::size_t slot = 0; slot < versions_.size(); ++slot) {
    if (!versions_[slot].begin.is_never()) {
      slots.push_back(slot);
    }
  }
  return slots;
}

void Table::vacuum(CommitNumber horizon) {
  std::erase_if(versions_, [horizon](const Version& version) {
    return version.begin.is_never() || (!version.end.is_never() && !version.end.is_pending() &&
                                        version.end.number() <= horizon);
  });
  ended_ = 0;
  rebuild_indexes();
}

}  // namespace headgate::test::sqlserver
