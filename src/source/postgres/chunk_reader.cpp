#include "source/postgres/chunk_reader.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "source/postgres/catalog.hpp"
#include "source/postgres/copy_statement.hpp"

namespace headgate::source::postgres {
ChunkReader::ChunkReader(Session& session, const Clock& clock, Logger log)
    : session_(session), clock_(clock), log_(std::move(log)) {}

ChunkReader::~ChunkReader() {
  close();
}

void ChunkReader::request_point() {
  release_point();
  asked_ = session_.open_stream();
  session_.require_history(asked_->identify());
  // A number of its own each time: one that could not be removed yet is in nobody's way.
  asked_->ask_for_slot(fmt::format("{}_copy_{:08x}", session_.options().slot.substr(0, 40),
                                   TraceId::make(clock_.wall_now()).random),
                       ReplicationStream::SlotLife::kTemporary,
                       ReplicationStream::Snapshot::kExport);
}

std::optional<Position> ChunkReader::point(TimePoint deadline) {
  if (point_ || !asked_) {
    return point_;
  }
  const auto slot = asked_->made_slot(deadline, clock_);
  if (!slot) {
    return std::nullopt;
  }
  if (!connection_ || connection_->lost()) {
    connection_ = std::make_unique<pq::Connection>(session_options(session_.options()));
  }
  use_snapshot(*connection_, slot->snapshot);
  asked_.reset();  // and with it the slot: the snapshot is held by our transaction now
  point_ = Position{LSN::from_postgres(slot->consistent_point), session_.history()};
  tables_.clear();
  return point_;
}

CopySource::Waiting ChunkReader::waiting() const {
  return {true,
          "at no moment so far had all transactions ended that were open when it asked for a copy "
          "point",
          "end long or idle transactions at the source"};
}

void ChunkReader::use_snapshot(pq::Connection& connection, const std::string& snapshot) {
  connection.exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "begin a copy point");
  connection.exec("SET TRANSACTION SNAPSHOT " + connection.quote_literal(snapshot),
                  "use a copy point's snapshot");
  connection.exec("SET LOCAL lock_timeout = '1s'", "begin a copy point");
}

// A connection in the point's view that has nothing to do.
std::unique_ptr<pq::Connection> ChunkReader::lane() {
  if (!idle_.empty()) {
    auto lane = std::move(idle_.back());
    idle_.pop_back();
    return lane;
  }
  if (exported_.empty()) {
    exported_ = connection_->exec("SELECT pg_export_snapshot()", "share a copy point's snapshot")
                    .text(0, 0);
  }
  std::unique_ptr<pq::Connection> lane;
  if (resting_.empty()) {
    lane = std::make_unique<pq::Connection>(session_options(session_.options()));
  } else {
    lane = std::move(resting_.back());
    resting_.pop_back();
  }
  use_snapshot(*lane, exported_);
  return lane;
}

std::vector<CopyTable> ChunkReader::tables(const std::set<std::uint32_t>* only) {
  pq::Connection& connection = point_ ? *connection_ : session_.catalog();
  std::vector<CopyTable> list;
  for (Session::CopyTable& table : session_.copy_tables(connection, only)) {
    list.push_back({table.schema, 0, 0});
    if (point_) {
      tables_.push_back(std::move(table));
    }
  }
  add_estimates(connection, list);
  return list;
}

void ChunkReader::add_estimates(pq::Connection& connection, std::vector<CopyTable>& tables) {
  std::string oids;
  for (const CopyTable& table : tables) {
    oids += (oids.empty() ? "" : ",") + std::to_string(table.schema->source_id);
  }
  const pq::Result rows = connection.exec(
      "SELECT c.oid, greatest(c.reltuples, 0)::int8, pg_total_relation_size(c.oid) "
      "FROM pg_class c WHERE c.oid = ANY ($1::oid[])",
      {"{" + oids + "}"}, "estimate the tables");
  for (int row = 0; row < rows.rows(); ++row) {
    const auto table = std::find_if(tables.begin(), tables.end(), [&](const CopyTable& candidate) {
      return candidate.schema->source_id == rows.integer(row, 0);
    });
    if (table != tables.end()) {
      table->rows_estimate = static_cast<std::uint64_t>(rows.integer(row, 1));
      table->bytes_estimate =
          rows.is_null(row, 2) ? 0 : static_cast<std::uint64_t>(rows.integer(row, 2));
    }
  }
}

// What rewrites a table, or truncates it, makes it look empty to older snapshots (PostgreSQL
// documentation, "Caveats" of MVCC). With the lock it can no longer happen, and what happened since
// the point shows.
bool ChunkReader::lock(const Session::CopyTable& table) {
  if (locked_.contains(table.schema->source_id)) {
    return true;
  }
  const std::string name = (table.partitioned ? "" : "ONLY ") + quoted(table.schema->name);
  try {
    connection_->exec("LOCK TABLE " + name + " IN ACCESS SHARE MODE", doing_);
  } catch (const Error& error) {
    if (connection_->lost() || error.kind() != ErrorKind::kTransient) {
      throw;
    }
    log_->info("table is locked by others, and copied later table={}",
               table.schema->name.to_string());
    return false;
  }
  // What SQL reads of pg_class is as of the snapshot; the function looks at what is there now.
  const pq::Result same = connection_->exec(
      fmt::format("SELECT coalesce(bool_and(c.relfilenode = pg_relation_filenode(c.oid)), false) "
                  "FROM pg_class c WHERE c.relkind = 'r' AND (c.oid = $1::oid{})",
                  table.partitioned ? " OR c.oid IN (WITH RECURSIVE leaves AS (SELECT $1::oid AS "
                                      "id UNION ALL SELECT i.inhrelid FROM pg_inherits i JOIN "
                                      "leaves ON i.inhparent = leaves.id) SELECT id FROM leaves)"
                                    : ""),
      {std::to_string(table.schema->source_id)}, doing_);
  const pq::Result has_leaves =
      connection_->exec("SELECT EXISTS (SELECT 1 FROM pg_inherits WHERE inhparent = $1::oid)",
                        {std::to_string(table.schema->source_id)}, doing_);
  const bool empty_root = table.partitioned && !has_leaves.boolean(0, 0);
  if (!same.boolean(0, 0) && !empty_root) {
    return false;
  }
  locked_.insert(table.schema->source_id);
  return true;
}

// Null where the point does not show its rows.
const Session::CopyTable* ChunkReader::open(const CopyTable& table) {
  const auto found =
      std::find_if(tables_.rbegin(), tables_.rend(), [&](const Session::CopyTable& candidate) {
        return candidate.schema->source_id == table.schema->source_id;
      });
  HEADGATE_CHECK(found != tables_.rend(), "a chunk is of a table of the point");
  doing_ = "copy table " + table.schema->name.to_string();
  next_cursor_.reset();
  reading_ = table.schema;
  return lock(*found) ? &*found : nullptr;
}

ChunkReader::Chunk ChunkReader::begin_copy(const Session::CopyTable& table, const KeyRange& range) {
  const bool binary = has_binary_text(*table.schema);
  Chunk chunk{.connection = lane(),
              .table = table.schema->source_id,
              .after = {},
              .rows_max = 0,
              .next_cursor = {},
              .rows = CopyReader(table.schema->columns.size(),
                                 binary ? ValueKind::kBinary : ValueKind::kText)};
  chunk.connection->copy_begin(copy_statement(*chunk.connection, table, binary, range), doing_);
  return chunk;
}

// Where a chunk ends is known before its rows are: the next one need not wait for them.
KeyRange ChunkReader::range_of(const Session::CopyTable& table,
                               const std::vector<std::string>& after, std::size_t rows_max) {
  KeyRange range{after, {}, {}};
  if (table.schema->key.empty()) {
    return range;
  }
  const pq::Result bound =
      connection_->exec(bound_statement(*connection_, table, after, rows_max), doing_);
  for (int column = 0; bound.rows() > 0 && column < bound.columns(); ++column) {
    range.up_to.push_back(bound.text(0, column));
  }
  return range;
}

ChunkReader::Chunk ChunkReader::begin_range(const Session::CopyTable& table, const KeyRange& range,
                                            std::size_t rows_max) {
  Chunk chunk = begin_copy(table, range);
  chunk.after = range.after;
  chunk.rows_max = rows_max;
  if (!range.up_to.empty()) {
    chunk.next_cursor = range.up_to;
  }
  return chunk;
}

void ChunkReader::read_ahead(const Session::CopyTable& table) {
  while (ahead_.size() + 1 < session_.options().parallel) {
    const Chunk& last = ahead_.empty() ? *chunk_ : ahead_.back();
    if (!last.next_cursor) {
      return;
    }
    const KeyRange range = range_of(table, *last.next_cursor, last.rows_max);
    try {
      ahead_.push_back(begin_range(table, range, last.rows_max));
    } catch (const Error& error) {
      // Somebody waits for the table's lock, or there is no room for another connection.
      if (connection_->lost()) {
        throw;
      }
      log_->debug("not read ahead table={} error=\"{}\"", table.schema->name.to_string(),
                  error.what());
      return;
    }
  }
}

bool ChunkReader::begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                              std::size_t rows_max) {
  const Session::CopyTable* found = open(table);
  if (found == nullptr) {
    return false;
  }
  const bool is_there = !ahead_.empty() && ahead_.front().table == table.schema->source_id &&
                        ahead_.front().after == after && ahead_.front().rows_max == rows_max;
  if (is_there) {
    chunk_ = std::move(ahead_.front());
    ahead_.pop_front();
  } else {
    ahead_.clear();
    chunk_ = begin_range(*found, range_of(*found, after, rows_max), rows_max);
  }
  next_cursor_ = chunk_->next_cursor;
  read_ahead(*found);
  return true;
}

bool ChunkReader::begin_rows(const CopyTable& table,
                             const std::vector<std::vector<std::string>>& keys) {
  const Session::CopyTable* found = open(table);
  if (found == nullptr) {
    return false;
  }
  ahead_.clear();
  chunk_ = begin_copy(*found, {{}, {}, keys});
  return true;
}

CopySource::Read ChunkReader::read(Transaction& portion, std::size_t bytes_max,
                                   TimePoint deadline) {
  while (portion.memory_bytes() < bytes_max) {
    const auto data = chunk_->connection->copy_get(deadline, doing_);
    if (data.end) {
      idle_.push_back(std::move(chunk_->connection));
      chunk_.reset();
      return {.end = true};
    }
    if (!data.row) {
      return {};
    }
    if (const auto row = chunk_->rows.read(*data.row, portion.arena())) {
      portion.add_change(reading_, Operation::kInsert, *row);
    }
  }
  return {};
}

std::optional<std::vector<std::string>> ChunkReader::next_cursor() const {
  return next_cursor_;
}

void ChunkReader::release_point() noexcept {
  // Those in the middle of a COPY cannot be used again.
  chunk_.reset();
  ahead_.clear();
  if (!std::exchange(point_, std::nullopt)) {
    return;
  }
  tables_.clear();
  locked_.clear();
  exported_.clear();
  const auto leave_view = [](pq::Connection& connection) {
    try {
      if (!connection.lost()) {
        connection.exec("ROLLBACK", "end a copy point");
        return true;
      }
    } catch (const Error&) {  // as one that is lost
    }
    return false;
  };
  if (connection_ && !leave_view(*connection_)) {
    connection_.reset();
  }
  for (auto& lane : idle_) {
    if (leave_view(*lane)) {
      resting_.push_back(std::move(lane));
    }
  }
  idle_.clear();
}

void ChunkReader::close() noexcept {
  if (asked_) {
    asked_->cancel();
    asked_.reset();
  }
  release_point();
  connection_.reset();
  resting_.clear();
}

}  // namespace headgate::source::postgres
