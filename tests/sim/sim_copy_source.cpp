#include "sim_copy_source.hpp"

#include <algorithm>
#include <chrono>

#include "base/error.hpp"
#include "pipeline/table_copies.hpp"

namespace headgate::sim {

using std::chrono::milliseconds;

void SimCopySource::expect(bool holds, const char* rule) {
  if (!holds) {
    world_.violated(std::string("copy source: ") + rule);
  }
}

void SimCopySource::request_point() {
  close();
  connect("request_point");
  asked_ = true;
  asked_at_ = database_.end();
  ready_at_ = world_.clock.now();
  if (world_.random.chance(world_.rates.late_points)) {
    ready_at_ += milliseconds(world_.random.between(1, 8000));
  } else if (world_.random.chance(300)) {
    ready_at_ += milliseconds(world_.random.between(1, 60));
  }
}

// It is any state between the question and the answer, as the server finds one.
std::optional<Position> SimCopySource::point(TimePoint deadline) {
  enter("point");
  expect(asked_ || point_, "a point is awaited that nobody asked for");
  if (point_) {
    return point_;
  }
  world_.clock.advance_to(std::min(deadline, ready_at_));
  if (world_.clock.now() < ready_at_) {
    return std::nullopt;
  }
  asked_ = false;
  point_ = database_.any_position(at_the_end_ ? database_.end() : asked_at_);
  told_.clear();
  state_ = *database_.state_at(*point_);
  world_.trace("source", "copy point at {:X}", point_->lsn.to_postgres());
  return point_;
}

CopySource::Waiting SimCopySource::waiting() const {
  return {!at_the_end_, "a point is late", "wait"};
}

std::vector<CopyTable> SimCopySource::tables(const std::set<std::uint32_t>* only) {
  if (point_ || asked_) {
    enter("tables");
  } else {
    connect("tables");
  }
  const State& state = point_ ? state_ : database_.now();
  std::vector<CopyTable> found;
  for (std::size_t table = 0; table < kTables; ++table) {
    const TableSchemaPtr& schema = state.schema(table);
    if (!state.gone(table) && (only == nullptr || only->contains(schema->source_id))) {
      found.push_back({schema, world_.random.below(20), 0});
      told_.insert(schema->source_id);
    }
  }
  return found;
}

std::optional<std::size_t> SimCopySource::begin_reading(const CopyTable& table) {
  expect(!reading_, "a chunk within a chunk");
  expect(point_.has_value(), "a chunk without a point");
  expect(told_.contains(table.schema->source_id), "a chunk of a table that the point did not tell");
  const std::size_t number = table_of(table.schema->name);
  expect(same_description(*table.schema, *state_.schema(number)),
         "a chunk by another description than the point's");
  rows_.clear();
  next_ = 0;
  next_cursor_.reset();
  if (database_.is_rewritten(number, *point_) || world_.random.chance(world_.rates.locked)) {
    world_.trace("source", "{} cannot be read at this point", table.schema->name.table);
    return std::nullopt;
  }
  reading_ = true;
  return number;
}

bool SimCopySource::begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                                std::size_t rows_max) {
  enter("begin_chunk");
  const auto number = begin_reading(table);
  if (!number) {
    return false;
  }
  find_chunk(*number, after, rows_max);
  world_.trace("source", "chunk of {}: {} rows at {:X}", table.schema->name.table, rows_.size(),
               point_->lsn.to_postgres());
  return true;
}

void SimCopySource::find_chunk(std::size_t table, const std::vector<std::string>& after,
                               std::size_t rows_max) {
  const TableSchemaPtr& schema = state_.schema(table);
  const auto add = [&](const Record& row) {
    rows_.push_back({table, Operation::kInsert, row, {}, false, schema});
  };
  if (schema->key.empty()) {
    expect(after.empty(), "a table without a key is read behind some key");
    for (const auto& [row, count] : state_[table].counts) {
      for (std::size_t i = 0; i < count; ++i) {
        add(row);
      }
    }
    return;
  }
  const auto& rows = state_[table].by_key;
  auto row = after.empty() ? rows.begin() : rows.upper_bound(key_record(after));
  for (; row != rows.end() && rows_.size() < rows_max; ++row) {
    add(row->second);
  }
  // Whether a full chunk is the last one, a source may see only when it asks for the next.
  if (rows_.size() == rows_max && (row != rows.end() || world_.random.chance(500))) {
    std::vector<std::string>& cursor = next_cursor_.emplace();
    for (const Cell& cell : key_of(table, rows_.back().data)) {
      cursor.push_back(cell.text);
    }
  }
}

bool SimCopySource::begin_rows(const CopyTable& table,
                               const std::vector<std::vector<std::string>>& keys) {
  enter("begin_rows");
  expect(!keys.empty(), "no rows are asked for");
  const auto number = begin_reading(table);
  if (!number) {
    return false;
  }
  const TableSchemaPtr& schema = state_.schema(*number);
  for (const std::vector<std::string>& key : keys) {
    expect(key.size() == schema->key.size(), "a key of another width");
    const auto row = state_[*number].by_key.find(key_record(key));
    if (row != state_[*number].by_key.end()) {
      rows_.push_back({*number, Operation::kInsert, row->second, {}, false, schema});
    }
  }
  world_.trace("source", "{} of {} rows of {} again at {:X}", rows_.size(), keys.size(),
               table.schema->name.table, point_->lsn.to_postgres());
  return true;
}

CopySource::Read SimCopySource::read(Transaction& portion, std::size_t bytes_max, TimePoint) {
  enter("read of a chunk");
  expect(reading_, "a chunk is read that was not begun");
  if (world_.random.chance(100)) {
    world_.clock.advance(milliseconds(world_.random.between(1, 100)));
    return {false};
  }
  const std::size_t end = std::min(rows_.size(), next_ + world_.random.between(1, 8));
  while (next_ < end && portion.memory_bytes() < bytes_max) {
    append(portion, rows_[next_++]);
  }
  // The end may come by itself.
  const bool at_end = next_ == rows_.size() && world_.random.chance(700);
  reading_ = !at_end;
  return {at_end};
}

std::optional<std::vector<std::string>> SimCopySource::next_cursor() const {
  return next_cursor_;
}

void SimCopySource::release_point() noexcept {
  point_.reset();
  told_.clear();
  reading_ = false;
}

void SimCopySource::close() noexcept {
  asked_ = false;
  release_point();
}

}  // namespace headgate::sim
