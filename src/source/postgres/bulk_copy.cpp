#include "source/postgres/bulk_copy.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "source/postgres/catalog.hpp"
#include "source/postgres/copy_statement.hpp"

namespace headgate::source::postgres {
namespace {

constexpr Duration kSnapshotPatience = std::chrono::seconds(30);

}  // namespace

BulkCopy::BulkCopy(Session& session, const Clock& clock, Logger log)
    : session_(session), clock_(clock), log_(std::move(log)) {}

void BulkCopy::open(const StartPoint&) {
  stop();
  take_snapshot();
  tables_ = session_.copy_tables(*connection_);
  // Without rows, the tables are still created and the position still begins here.
  table_ = session_.options().copy_rows ? 0 : tables_.size();
  rows_ = 0;
  reader_.reset();
  first_portion_ = true;
  started_ = clock_.now();
  log_->info("copy started tables={} lsn={}", tables_.size(), position_.to_string());
}

void BulkCopy::take_snapshot() {
  const std::unique_ptr<ReplicationStream> stream = session_.open_stream();
  const CreatedSlot slot = stream->create_slot(
      // A number of its own each time: one that could not be removed yet is in nobody's way.
      fmt::format("{}_copy_{:08x}", session_.options().slot.substr(0, 40),
                  TraceId::make(clock_.wall_now()).random),
      ReplicationStream::SlotLife::kTemporary, ReplicationStream::Snapshot::kExport,
      kSnapshotPatience, session_.interrupted());
  position_ = {LSN::from_postgres(slot.consistent_point), session_.history()};

  connection_ = std::make_unique<pq::Connection>(session_options(session_.options()));
  connection_->exec("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "begin the copy");
  connection_->exec("SET TRANSACTION SNAPSHOT " + connection_->quote_literal(slot.snapshot),
                    "use the slot's snapshot");
  // From here on the snapshot is held by this transaction; the temporary slot goes with `stream`.
}

CaptureResult BulkCopy::fetch(const FetchLimits& limits, TimePoint deadline) {
  std::unique_ptr<Transaction> portion = new_portion();
  if (first_portion_) {
    for (const Session::CopyTable& table : tables_) {
      portion->involve(table.schema);  // an empty table is created as well
    }
  }
  while (table_ < tables_.size() && portion->memory_bytes() < limits.bytes_max) {
    if (!reader_) {
      begin_table();
    }
    const Taken taken = take_row(*portion, deadline);
    if (taken == Taken::kTableEnd) {
      end_table();
    } else if (taken == Taken::kNothingYet) {
      break;
    }
  }

  CaptureResult result;
  if (portion->changes().empty() && table_ < tables_.size()) {
    return result;  // the server is slow: what there is to say comes with the first rows
  }
  const bool last = table_ == tables_.size();
  portion->portion = first_portion_ ? (last ? Portion::kWhole : Portion::kFirst)
                                    : (last ? Portion::kLast : Portion::kMiddle);
  first_portion_ = false;
  result.transactions.push_back(std::move(portion));
  result.batch_id = BatchContext::make({}, clock_.wall_now()).batch_id;
  if (last) {
    log_->info("copy read tables={} rows={} seconds={:.1f}", tables_.size(), rows_,
               std::chrono::duration<double>(clock_.now() - started_).count());
    connection_.reset();  // and with it the snapshot, which keeps the source from cleaning up
    result.next_capturer = "cdc";
  }
  return result;
}

std::unique_ptr<Transaction> BulkCopy::new_portion() const {
  auto portion = std::make_unique<Transaction>("copy", position_.lsn, clock_.wall_now());
  portion->purpose = Purpose::kInitialCopy;
  portion->end_position = position_;
  portion->set_first_ordinal(rows_);
  return portion;
}

void BulkCopy::begin_table() {
  const Session::CopyTable& table = tables_[table_];
  copying_what_ = "copy table " + table.schema->name.to_string();
  const bool binary = has_binary_text(*table.schema);
  connection_->copy_begin(copy_statement(*connection_, table, binary), copying_what_);
  reader_.emplace(table.schema->columns.size(), binary ? ValueKind::kBinary : ValueKind::kText);
  table_rows_ = 0;
}

BulkCopy::Taken BulkCopy::take_row(Transaction& portion, TimePoint deadline) {
  const TableSchemaPtr& schema = tables_[table_].schema;
  const auto data = connection_->copy_get(deadline, copying_what_);
  if (data.end) {
    return Taken::kTableEnd;
  }
  if (!data.row) {
    return Taken::kNothingYet;
  }
  const auto row = reader_->read(*data.row, portion.arena());
  if (!row) {
    return Taken::kRow;  // header or trailer
  }
  portion.add_change(schema, Operation::kInsert, *row);
  ++table_rows_;
  ++rows_;
  return Taken::kRow;
}

void BulkCopy::end_table() {
  log_->info("table read table={} rows={}", tables_[table_].schema->name.to_string(), table_rows_);
  reader_.reset();
  ++table_;
}

void BulkCopy::stop() noexcept {
  connection_.reset();
}

}  // namespace headgate::source::postgres
