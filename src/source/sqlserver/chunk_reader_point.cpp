// The part of ChunkReader that makes copy points.

#include <algorithm>
#include <thread>
#include <utility>

#include "base/error.hpp"
#include "source/sqlserver/chunk_reader.hpp"
#include "source/sqlserver/log_window.hpp"

namespace headgate::source::sqlserver {
namespace {

// While a point is awaited, how often the server is asked.
constexpr Duration kLook = std::chrono::milliseconds(100);
// And whether it allows snapshots by now.
constexpr Duration kLookForSnapshots = std::chrono::seconds(2);

}  // namespace

void ChunkReader::want(const std::vector<std::uint32_t>* tables) {
  wanted_tables_.reset();
  if (tables != nullptr) {
    wanted_tables_ = *tables;
  }
}

void ChunkReader::request_point() {
  release_point();
  const auto from = captured_to(session_.connection());
  if (!from) {
    throw Error{ErrorKind::kTransient, "source: the capture process has never run",
                "start SQL Server Agent and the capture job"};
  }
  from_ = *from;
  asked_ = true;
  snapshots_allowed_ = true;
  const Options& options = session_.options();
  next_look_ = clock_.now() + (options.lock_tables ? Duration{} : options.commit_settles);
}

std::optional<Position> ChunkReader::point(TimePoint deadline) {
  while (!point_ && asked_) {
    if (const TimePoint look = std::min(next_look_, deadline); look > clock_.now()) {
      std::this_thread::sleep_for(look - clock_.now());
    }
    if (clock_.now() < next_look_) {
      break;
    }
    if (!fence_ && !try_to_pin()) {
      continue;
    }
    next_look_ = clock_.now() + kLook;
    if (const auto to = fence_->passed(session_.connection())) {
      point_ = Position{*to, session_.history()};
      tables_.clear();
      asked_ = false;
    }
  }
  return point_;
}

bool ChunkReader::try_to_pin() {
  try {
    pin();
    snapshots_allowed_ = true;
    return true;
  } catch (const SnapshotsNotAllowed&) {
    view_->end();
    snapshots_allowed_ = false;
    next_look_ = clock_.now() + kLookForSnapshots;
    return false;
  }
}

CopySource::Waiting ChunkReader::waiting() const {
  if (!snapshots_allowed_) {
    return {false, "snapshot isolation is not allowed in the source's database",
            "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON", true};
  }
  return {false,
          "the capture process has not read the log to where it asked for a copy point, and no "
          "commit behind it is captured",
          "see that the capture job runs and keeps up: headgate check"};
}

// With locks, writers stand still from take() to release(): nothing else is done meanwhile.
void ChunkReader::pin() {
  if (!view_) {
    view_ = std::make_unique<CopyView>(session_);
  }
  view_->connect();
  if (session_.options().lock_tables) {
    const std::vector<TableLocks::Table> tables = tables_to_lock();
    locks_.connect(session_.history());
    try {
      locks_.take(tables);
      view_->begin();
    } catch (...) {
      locks_.release();
      throw;
    }
    locks_.release();
  } else {
    view_->begin();
  }
  fence_ = ScanFence::set(view_->connection(), session_.connection());
  view_->from = from_;
  view_->savepoint = fence_->place();
}

std::vector<TableLocks::Table> ChunkReader::tables_to_lock() {
  std::vector<TableLocks::Table> all;
  for (const Reading& reading : session_.follow(from_)) {
    const TableName& name = reading.instance.table;
    all.push_back({reading.schema->source_id, quoted(name.schema) + "." + quoted(name.table)});
  }
  if (!wanted_tables_) {
    return all;
  }
  std::vector<TableLocks::Table> wanted;
  for (const std::uint32_t id : *wanted_tables_) {
    const auto found = std::find_if(all.begin(), all.end(),
                                    [&](const TableLocks::Table& table) { return table.id == id; });
    if (found != all.end()) {
      wanted.push_back(*found);
    }
  }
  return wanted;
}

std::vector<CopyTable> ChunkReader::tables(const std::set<std::uint32_t>* only) {
  const auto at = point_ ? point_->lsn : captured_to(session_.connection());
  std::vector<CopyTable> list;
  if (!at) {
    return list;
  }
  for (Reading& reading : session_.follow(*at)) {
    if (only == nullptr || only->contains(reading.schema->source_id)) {
      list.push_back({reading.schema, 0, 0});
      std::erase_if(tables_, [&](const Reading& known) {
        return known.schema->source_id == reading.schema->source_id;
      });
      tables_.push_back(std::move(reading));
    }
  }
  add_estimates(list);
  return list;
}

void ChunkReader::add_estimates(std::vector<CopyTable>& tables) {
  odbc::Statement rows(session_.connection(), "estimate the tables");
  // Of the heap or the clustered index.
  rows.execute(
      "SELECT object_id, SUM(rows) FROM sys.partitions WHERE index_id IN (0, 1) GROUP BY "
      "object_id");
  while (rows.next()) {
    for (CopyTable& table : tables) {
      if (table.schema->source_id == rows.integer(0) && !rows.is_null(1)) {
        table.rows_estimate = static_cast<std::uint64_t>(rows.integer(1));
      }
    }
  }
}

void ChunkReader::release_point() noexcept {
  rows_.reset();
  if (point_) {
    earlier_.reset();
    if (earlier_missed_) {
      earlier_ = std::move(view_);
    }
    earlier_missed_ = false;
  }
  asked_ = false;
  point_.reset();
  fence_.reset();
  tables_.clear();
  reading_ = nullptr;
  key_.reset();
  patches_.reset();
  counts_.reset();
  if (view_) {
    view_->end();
  }
}

void ChunkReader::close() noexcept {
  release_point();
  view_.reset();
  earlier_.reset();
  locks_.close();
}

}  // namespace headgate::source::sqlserver
