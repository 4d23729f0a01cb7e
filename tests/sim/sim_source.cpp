#include "sim_source.hpp"

#include <algorithm>
#include <utility>

#include "base/error.hpp"

namespace headgate::sim {
namespace {

bool has_room(const std::vector<TransactionPtr>& read, std::size_t bytes,
              const FetchLimits& limits) {
  return read.size() < limits.transactions_max && bytes < limits.bytes_max;
}

Portion portion_of(bool first, bool last) {
  if (first) {
    return last ? Portion::kWhole : Portion::kFirst;
  }
  return last ? Portion::kLast : Portion::kMiddle;
}

TransactionPtr empty_transaction(const Position& end, WallTime now) {
  auto made = std::make_shared<Transaction>("", end.lsn, now);
  made->end_position = end;
  return made;
}

}  // namespace

// -- the log

void SimLogReader::open(const StartPoint& start) {
  connect("open");
  if (database_.reader != nullptr && database_.reader != this) {
    throw Error{ErrorKind::kTransient, "simulated: the slot is in use"};
  }
  if (!start.resume.empty() && start.resume.history != database_.history()) {
    throw Error{ErrorKind::kReread, "simulated: the server was promoted"};
  }
  const std::uint64_t confirmed = database_.confirmed().value_or(0);
  const std::uint64_t resume = start.resume.empty() ? confirmed : start.resume.lsn.to_postgres();
  if (resume < confirmed) {
    throw Error{ErrorKind::kPositionLost, "simulated: the slot stands ahead of the start point"};
  }
  database_.reader = this;
  acknowledged_ = 0;
  handed_over_ = resume;
  world_.trace("source", "stream opens behind {:X}", resume);
  begin_behind(resume);
}

CaptureResult SimLogReader::fetch(const FetchLimits& limits, TimePoint deadline) {
  enter("fetch");
  if (database_.reader != this) {
    throw Error{ErrorKind::kTransient, "simulated: the stream was closed"};
  }
  CaptureResult result;
  result.transactions = read(limits);
  if (result.transactions.empty()) {
    waits_until_ = deadline;
  }
  return result;
}

void SimLogReader::acknowledge(const Position& durable) {
  if (dead() || database_.reader != this) {
    return;
  }
  const std::uint64_t position = durable.lsn.to_postgres();
  if (position < acknowledged_) {
    world_.violated("an acknowledgement went back");
  }
  acknowledged_ = position;
  for (const SinkDatabase* sink : sinks_) {
    const std::uint64_t held = sink->durable_position().lsn.to_postgres();
    // Nobody can know of a restore before the sink is connected again.
    if (held < position && !sink->was_restored()) {
      world_.violated(fmt::format("{:X} was acknowledged while {} held {:X} durably", position,
                                  sink->name(), held));
    }
  }
  if (world_.random.chance(world_.rates.connection_lost)) {
    world_.trace("source", "acknowledgement of {:X} is lost with the connection", position);
    database_.reader = nullptr;
    return;
  }
  world_.trace("source", "acknowledged {:X}", position);
  database_.confirm(position);
}

void SimLogReader::keep_alive() {
  enter("keep_alive");
}

void SimLogReader::stop() noexcept {
  if (database_.reader == this) {
    database_.reader = nullptr;
  }
}

// -- as one stream

void SimStream::begin_behind(std::uint64_t position) {
  commit_ = database_.behind(position);
  row_ = 0;
}

std::vector<TransactionPtr> SimStream::read(const FetchLimits& limits) {
  std::vector<TransactionPtr> found;
  std::size_t bytes = 0;
  const std::size_t most = world_.random.between(1, options_.fetch_max);
  while (commit_ < database_.log().size() && found.size() < most &&
         has_room(found, bytes, limits)) {
    found.push_back(next());
    bytes += found.back()->memory_bytes();
  }
  return found;
}

TransactionPtr SimStream::next() {
  const Commit& commit = database_.log()[commit_];
  if (commit.changes.empty()) {
    ++commit_;
    handed_over_ = commit.end;
    return empty_transaction(database_.position(commit.end), world_.clock.wall_now());
  }
  auto portion = std::make_shared<Transaction>(commit.id, LSN::from_postgres(commit.end - 1),
                                               world_.clock.wall_now());
  portion->set_commit_time(commit.time);
  portion->set_first_ordinal(row_);
  const std::size_t end = std::min(row_ + options_.portion_rows, commit.changes.size());
  portion->portion = portion_of(row_ == 0, end == commit.changes.size());
  for (; row_ < end; ++row_) {
    append(*portion, commit.changes[row_]);
  }
  if (ends(portion->portion)) {
    portion->end_position = database_.position(commit.end);
    handed_over_ = commit.end;
    ++commit_;
    row_ = 0;
  }
  return portion;
}

// -- table by table

void SimChangeTables::begin_behind(std::uint64_t position) {
  std::set<TableName> tables;
  for (const TableSchemaPtr& schema : schemas()) {
    tables.insert(schema->name);
  }
  gate_ = std::make_unique<TransactionBuffer>(world_.clock, tables);
  cursors_.fill({database_.behind(position), 0});
  captured_ = database_.behind(position);
}

std::vector<TransactionPtr> SimChangeTables::read(const FetchLimits&) {
  // The capture job lags behind the log, and never goes back.
  const std::size_t all = database_.log().size();
  captured_ = std::min(all, captured_ + world_.random.below(all - captured_ + 2));
  for (std::size_t pages = world_.random.between(1, options_.fetch_max); pages > 0; --pages) {
    read_page(world_.random.below(kTables));
  }
  std::vector<TransactionPtr> found;
  for (ReleasedTransaction& released : gate_->get_complete_transactions()) {
    if (!released.whole) {
      world_.violated("the gate let a transaction go that is not whole");
    }
    released.transaction.end_position.history = database_.history();
    handed_over_ = released.transaction.end_position.lsn.to_postgres();
    found.push_back(std::make_shared<Transaction>(std::move(released.transaction)));
  }
  // Every table was read to here, and nothing is pending: the position may move without rows.
  const std::size_t read_to =
      std::min_element(cursors_.begin(), cursors_.end(), [](const Cursor& a, const Cursor& b) {
        return a.commit < b.commit;
      })->commit;
  if (read_to > 0 && gate_->is_empty()) {
    const std::uint64_t end = database_.log()[read_to - 1].end;
    if (end > handed_over_) {
      handed_over_ = end;
      found.push_back(empty_transaction(database_.position(end), world_.clock.wall_now()));
    }
  }
  return found;
}

void SimChangeTables::read_page(std::size_t table) {
  Cursor& cursor = cursors_[table];
  std::size_t rows = 0;
  const Commit* read = nullptr;
  while (cursor.commit < captured_ && rows < options_.page_rows) {
    const Commit& commit = database_.log()[cursor.commit];
    for (; cursor.row < commit.changes.size() && rows < options_.page_rows; ++cursor.row) {
      if (commit.changes[cursor.row].table != table) {
        continue;
      }
      Transaction holder(commit.id, LSN::from_postgres(commit.end), world_.clock.wall_now());
      holder.set_commit_time(commit.time);
      holder.set_first_ordinal(cursor.row);
      append(holder, commit.changes[cursor.row]);
      if (!gate_->add(commit.changes[cursor.row].schema, holder.changes().front())) {
        world_.violated("the gate refused a change although it was not closed");
      }
      ++rows;
    }
    if (cursor.row == commit.changes.size()) {
      read = &commit;
      ++cursor.commit;
      cursor.row = 0;
    }
  }
  if (read != nullptr) {
    gate_->update_table_max_commit_time(schemas()[table]->name, read->time,
                                        LSN::from_postgres(read->end));
  }
}

CaptureResult SimPatientReader::fetch(const FetchLimits& limits, TimePoint deadline) {
  CaptureResult result = log_.fetch(limits, deadline);
  if (result.transactions.empty()) {
    world_.clock.advance_to(deadline);
  }
  return result;
}

// -- the copy

void SimCopy::open(const StartPoint& start) {
  connect("open of the copy");
  if (!start.copy_needed) {
    world_.violated("a copy was begun although no sink needs one");
  }
  position_ = database_.end();
  rows_.clear();
  next_ = 0;
  first_ = true;
  for (std::size_t table = 0; table < kTables; ++table) {
    schemas_[table] = database_.now().schema(table);
    for (const auto& [key, row] : database_.now()[table].by_key) {
      rows_.push_back({table, Operation::kInsert, row, {}, false, schemas_[table]});
    }
    for (const auto& [row, count] : database_.now()[table].counts) {
      rows_.insert(rows_.end(), count,
                   {table, Operation::kInsert, row, {}, false, schemas_[table]});
    }
  }
  world_.trace("source", "copy of {} rows at {:X}", rows_.size(), position_);
}

CaptureResult SimCopy::fetch(const FetchLimits&, TimePoint) {
  enter("fetch of the copy");
  auto portion =
      std::make_shared<Transaction>("copy", LSN::from_postgres(position_), world_.clock.wall_now());
  portion->purpose = Purpose::kInitialCopy;
  portion->end_position = database_.position(position_);
  portion->set_first_ordinal(next_);
  if (first_) {
    for (const TableSchemaPtr& schema : schemas_) {
      portion->involve(schema);
    }
  }
  const std::size_t end = std::min(next_ + options_.portion_rows, rows_.size());
  for (; next_ < end; ++next_) {
    append(*portion, rows_[next_]);
  }
  const bool last = next_ == rows_.size();
  portion->portion = portion_of(first_, last);
  first_ = false;
  CaptureResult result;
  result.transactions.push_back(std::move(portion));
  if (last) {
    result.next_capturer = "cdc";
  }
  return result;
}

// -- the source

SimSource::SimSource(World& world, SourceDatabase& database, const SourceOptions& options,
                     const std::vector<SinkDatabase*>& sinks)
    : SimConnection(world, database),
      copy_(world, database, options),
      copy_source_(world, database),
      snapshot_(&copy_) {
  if (options.by_table) {
    log_ = std::make_unique<SimChangeTables>(world, database, options, sinks);
  } else {
    log_ = std::make_unique<SimStream>(world, database, options, sinks);
  }
  if (options.chunks) {
    if (options.points_at_the_end) {
      copy_source_.find_points_at_the_end();
    }
    patient_log_ = std::make_unique<SimPatientReader>(world, *log_);
    chunks_ = std::make_unique<SnapshotCapturer>(copy_source_, *patient_log_, world.clock,
                                                 options.copy, world.log());
    snapshot_ = chunks_.get();
  }
}

void SimSource::die() {
  log_->stop();
  log_->die();
  copy_.die();
  copy_source_.die();
  SimConnection::die();
}

History SimSource::prepare(const std::vector<SinkStand>& sinks) {
  connect("prepare");
  if (!database_.confirmed()) {
    if (!sinks.empty()) {
      throw Error{ErrorKind::kPositionLost, "simulated: the slot is gone"};
    }
    world_.at_durable_operation();
    database_.make_slot();
    world_.trace("source", "slot made at {:X}", database_.end());
    world_.at_durable_operation();
  }
  for (const SinkStand& stand : sinks) {
    const std::uint64_t position = stand.position.lsn.to_postgres();
    if (position < *database_.confirmed() || !database_.holds(stand.position)) {
      throw Error{ErrorKind::kPositionLost,
                  fmt::format("simulated: {} stands at {:X}, the slot at {:X}", stand.sink,
                              position, *database_.confirmed())};
    }
  }
  return database_.history();
}

void SimSource::give_up() noexcept {
  if (!dead()) {
    database_.drop_slot();
  }
}

}  // namespace headgate::sim
