#include "scripted_copy_source.hpp"

#include <algorithm>
#include <utility>

namespace headgate::pipeline_test {

void ScriptedCopySource::put(const TableSchemaPtr& table, std::vector<std::string> ids) {
  tables_[table->source_id] = {table, std::move(ids)};
}

void ScriptedCopySource::expect(bool holds, const std::string& rule) {
  if (!holds) {
    misuse.push_back(rule);
  }
}

void ScriptedCopySource::enter(const std::string& call, bool needs_point) {
  expect(!needs_point || point_.has_value(), call + " without a point");
  if (const auto failure = failures_.find(call); failure != failures_.end()) {
    const ErrorKind kind = failure->second;
    failures_.erase(failure);
    throw Error{kind, "scripted failure of " + call};
  }
}

void ScriptedCopySource::want(const std::vector<std::uint32_t>* tables) {
  wanted.push_back(tables == nullptr ? std::vector<std::uint32_t>{0} : *tables);
}

void ScriptedCopySource::request_point() {
  close();
  enter("request_point", false);
  ++requests;
  asked_at_ = clock_.now();
  asked_ = Point{{}, std::chrono::hours(1000)};
  if (!points_.empty()) {
    asked_ = points_.front();
    points_.pop_front();
  }
}

std::optional<Position> ScriptedCopySource::point(TimePoint deadline) {
  enter("point", false);
  expect(asked_ || point_, "point() that nobody asked for");
  if (asked_) {
    const TimePoint ready = asked_at_ + asked_->delay;
    clock_.advance_to(std::min(ready, deadline));
    if (clock_.now() >= ready) {
      point_ = asked_->position;
      told_.clear();
      asked_.reset();
    }
  }
  return point_;
}

std::vector<CopyTable> ScriptedCopySource::tables(const std::set<std::uint32_t>* only) {
  enter("tables", false);
  std::vector<CopyTable> found;
  for (const auto& [id, table] : tables_) {
    if (only == nullptr || only->contains(id)) {
      found.push_back({table.schema, table.ids.size(), 0});
      told_.insert(id);
    }
  }
  return found;
}

bool ScriptedCopySource::begin_reading(const CopyTable& table) {
  expect(told_.contains(table.schema->source_id), "a chunk of a table that no point told");
  expect(reading_ == nullptr, "a chunk within a chunk");
  rows_.clear();
  left_out_.clear();
  next_cursor_.reset();
  if (std::exchange(hidden_, false) || refused.contains(table.schema->source_id)) {
    return false;
  }
  reading_ = table.schema;
  return true;
}

bool ScriptedCopySource::begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                                     std::size_t rows_max) {
  enter("begin_chunk", true);
  if (!begin_reading(table)) {
    return false;
  }
  const auto& ids = tables_.at(table.schema->source_id).ids;
  for (const std::string& id : ids) {
    if (!after.empty() && id <= after.front()) {
      continue;
    }
    if (rows_.size() == rows_max && !table.schema->key.empty()) {
      next_cursor_ = {rows_.back()};
      break;
    }
    rows_.push_back(id);
  }
  return true;
}

bool ScriptedCopySource::begin_rows(const CopyTable& table,
                                    const std::vector<std::vector<std::string>>& keys) {
  enter("begin_rows", true);
  if (!begin_reading(table)) {
    return false;
  }
  const auto& ids = tables_.at(table.schema->source_id).ids;
  for (const auto& key : keys) {
    if (std::find(ids.begin(), ids.end(), key.front()) != ids.end()) {
      rows_.push_back(key.front());
    }
  }
  return true;
}

CopySource::Read ScriptedCopySource::read(Transaction& portion, std::size_t, TimePoint) {
  enter("read", true);
  expect(reading_ != nullptr, "read() of nothing");
  clock_.advance(time_per_read);
  if (refused_late.contains(reading_->source_id)) {
    reading_.reset();
    return {false, true};
  }
  for (std::size_t i = 0; i < rows_per_read && !rows_.empty(); ++i) {
    if (unknown.contains(rows_.front())) {
      left_out_.push_back({rows_.front()});
      rows_.pop_front();
      continue;
    }
    const Value value = Value::text(rows_.front());
    portion.add_change(reading_, Operation::kInsert, portion.copy_row({&value, 1}));
    rows_.pop_front();
  }
  const bool end = rows_.empty();
  if (end) {
    reading_.reset();
  }
  return {end, false};
}

void ScriptedCopySource::release_point() noexcept {
  point_.reset();
  told_.clear();
  reading_.reset();
}

void ScriptedCopySource::close() noexcept {
  ++closes;
  asked_.reset();
  release_point();
}

}  // namespace headgate::pipeline_test
