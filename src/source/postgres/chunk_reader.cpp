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
  asked_ = std::make_unique<ReplicationStream>(session_.replication_options());
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
  use_snapshot(slot->snapshot);
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

void ChunkReader::use_snapshot(const std::string& snapshot) {
  if (!connection_ || connection_->lost()) {
    connection_ = std::make_unique<pq::Connection>(session_options(session_.options()));
  }
  connection_->exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "begin a copy point");
  connection_->exec("SET TRANSACTION SNAPSHOT " + connection_->quote_literal(snapshot),
                    "use the slot's snapshot");
  connection_->exec("SET LOCAL lock_timeout = '1s'", "begin a copy point");
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
  return same.boolean(0, 0) || empty_root;
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

void ChunkReader::begin_copy(const Session::CopyTable& table, const KeyRange& range) {
  const bool binary = has_binary_text(*table.schema);
  connection_->copy_begin(copy_statement(*connection_, table, binary, range), doing_);
  rows_.emplace(table.schema->columns.size(), binary ? ValueKind::kBinary : ValueKind::kText);
}

bool ChunkReader::begin_chunk(const CopyTable& table, const std::vector<std::string>& after,
                              std::size_t rows_max) {
  const Session::CopyTable* found = open(table);
  if (found == nullptr) {
    return false;
  }
  KeyRange range{after, {}, {}};
  if (!table.schema->key.empty()) {
    const pq::Result bound =
        connection_->exec(bound_statement(*connection_, *found, after, rows_max), doing_);
    if (bound.rows() > 0) {
      for (int column = 0; column < bound.columns(); ++column) {
        range.up_to.push_back(bound.text(0, column));
      }
      next_cursor_ = range.up_to;
    }
  }
  begin_copy(*found, range);
  return true;
}

bool ChunkReader::begin_rows(const CopyTable& table,
                             const std::vector<std::vector<std::string>>& keys) {
  const Session::CopyTable* found = open(table);
  if (found != nullptr) {
    begin_copy(*found, {{}, {}, keys});
  }
  return found != nullptr;
}

CopySource::Read ChunkReader::read(Transaction& portion, std::size_t bytes_max,
                                   TimePoint deadline) {
  while (portion.memory_bytes() < bytes_max) {
    const auto data = connection_->copy_get(deadline, doing_);
    if (data.end) {
      rows_.reset();
      return {true};
    }
    if (!data.row) {
      return {false};
    }
    if (const auto row = rows_->read(*data.row, portion.arena())) {
      portion.add_change(reading_, Operation::kInsert, *row);
    }
  }
  return {false};
}

std::optional<std::vector<std::string>> ChunkReader::next_cursor() const {
  return next_cursor_;
}

void ChunkReader::release_point() noexcept {
  if (!std::exchange(point_, std::nullopt)) {
    return;
  }
  tables_.clear();
  try {
    if (rows_) {
      connection_.reset();  // in the middle of a COPY
    } else if (connection_ && !connection_->lost()) {
      connection_->exec("ROLLBACK", "end a copy point");
    }
  } catch (const Error&) {
    connection_.reset();
  }
  rows_.reset();
}

void ChunkReader::close() noexcept {
  if (asked_) {
    asked_->cancel();
    asked_.reset();
  }
  release_point();
  connection_.reset();
}

}  // namespace headgate::source::postgres
