#include "pipeline/snapshot_capturer.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <memory>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/deliberate_break.hpp"
#include "base/error.hpp"
#include "pipeline/table_copies.hpp"

namespace headgate {
namespace {

// While a copy point is awaited, how often it is looked for.
constexpr Duration kPointLook = std::chrono::milliseconds(20);

// How often it is asked whether a person has done what there must be for a point.
constexpr Duration kPersonLook = std::chrono::seconds(2);

// Only the sinks know how far a copy is that lost the source.
Error as_reread(const Error& error) {
  return error.kind() == ErrorKind::kTransient
             ? Error{ErrorKind::kReread, error.what(), error.hint()}
             : error;
}

// A stream is not behind when what it brings is younger than this. Capturing by polling takes some
// of it, and clocks differ; that a point waits so long costs the source nothing.
constexpr Duration kRecent = std::chrono::seconds(10);

// Rows that are read again at a time.
constexpr std::size_t kKeysMax = 1000;

}  // namespace

SnapshotCapturer::SnapshotCapturer(CopySource& source, Capturer& cdc, const Clock& clock,
                                   CopyOptions options, Logger log)
    : source_(source), cdc_(cdc), clock_(clock), options_(options), log_(std::move(log)) {}

void SnapshotCapturer::open(const StartPoint& start) {
  stop();
  start_ = start;
  delivered_ = start.resume;
  begin_pending_ = start.copy_needed || start.requested.has_value();
  for (const TableRecord& record : start.copies) {
    tables_.push_back(
        {.schema = std::make_shared<const TableSchema>(record.source), .progress = *record.copy});
    log_->info("copy goes on table={} rows={}", record.source.name.to_string(), record.copy->rows);
  }
  if (!start.resume.empty()) {
    cdc_.open(start);
    stream_open_ = true;
    next_point_ = clock_.now() + options_.catch_up_max;
    catching_up_ = true;
  }
  run_ = BatchContext::make({}, clock_.wall_now()).batch_id;
  copy_began_ = clock_.now();
  progress_told_ = copy_began_;
  copied_bytes_ = 0;
  copied_rows_ = 0;
  rows_estimated_ = false;
}

void SnapshotCapturer::stop() noexcept {
  source_.close();
  if (stream_open_) {
    cdc_.stop();
  }
  stream_open_ = false;
  tables_.clear();
  held_.clear();
  reading_ = nullptr;
  point_.reset();
  point_asked_ = false;
  next_point_ = {};
  past_point_ = false;
  within_transaction_ = false;
  paused_ = false;
  cancelled_ = false;
}

// Nobody knows for how long: the source keeps nothing for us meanwhile.
void SnapshotCapturer::pause(bool paused) {
  if (paused && !paused_ && !point_ && !point_asked_) {
    source_.close();
  }
  paused_ = paused;
}

void SnapshotCapturer::keep_alive() {
  if (!stream_open_) {
    return;
  }
  try {
    cdc_.keep_alive();
  } catch (const Error& error) {
    throw as_reread(error);
  }
}

CaptureResult SnapshotCapturer::fetch(const FetchLimits& limits, TimePoint deadline) {
  CaptureResult result;
  try {
    if (limits.transactions_max == 0) {
      keep_alive();
      return result;
    }
    while (true) {
      read(limits, deadline, result);
      if (!result.transactions.empty() || !result.next_capturer.empty()) {
        result.batch_id = BatchContext::make({}, clock_.wall_now()).batch_id;
        return result;
      }
      if (clock_.now() >= deadline) {
        keep_alive();
        return result;
      }
    }
  } catch (const Error& error) {
    throw as_reread(error);
  }
}

// One step; what it hands over is in `result`.
void SnapshotCapturer::read(const FetchLimits& limits, TimePoint deadline, CaptureResult& result) {
  if (begin_due()) {
    begin(result, deadline);
    return;
  }
  tell_progress();
  if (reading_ != nullptr) {
    read_chunk(limits, deadline, result);
    return;
  }
  if (cancelled_ && !within_transaction_) {
    end_copy(result);
    return;
  }
  if (at_point()) {
    if (!begin_chunk(result)) {
      end_round();
    }
    return;
  }
  if (next_table() == nullptr && !begin_pending_ && !within_transaction_) {
    end_copy(result);
    return;
  }
  if (leaves_behind() && !begin_pending_ && !within_transaction_) {
    end_without_late(result);
    return;
  }
  look_for_point(std::min(deadline, clock_.now() + kPointLook));
  if (point_asked_ && !point_) {
    give_point_up_when_late();
    if (source_.waiting().holds_stream) {
      keep_alive();  // what is committed now may be behind the point
      return;
    }
  }
  stream(limits, std::min(deadline, clock_.now() + kPointLook), result);
}

// The stream must not pass a point that is not known yet. So it waits, but never for long: then it
// goes on for a while before the next attempt. Where it need not wait, what the source keeps for
// the sake of the point should not grow for ever.
void SnapshotCapturer::give_point_up_when_late() {
  if (paused_ && !begin_pending_) {
    give_point_up();
    return;
  }
  const CopySource::Waiting waiting = source_.waiting();
  const Duration waited = clock_.now() - point_asked_at_;
  if (waited < options_.point_wait_max && !waiting.for_person) {
    return;
  }
  give_point_up();
  next_point_ = clock_.now() + (waiting.holds_stream ? 4 * waited : waited / 4);
  if (waiting.for_person) {
    next_attempt_ = clock_.now() + kPersonLook;
  }
  if (!late_points_told_) {
    late_points_told_ = true;
    log_->warn("the copy waits: {}; changes go on meanwhile remedy=\"{}\"", waiting.reason,
               waiting.remedy);
  }
}

void SnapshotCapturer::give_point_up() {
  source_.close();
  point_asked_ = false;
}

// A first copy begins at its first point, also while other sinks stream: at no earlier position
// would it be known which tables there were, and how they looked.
bool SnapshotCapturer::begin_due() const {
  return begin_pending_ && (!start_.copy_needed || !stream_open_ || at_point());
}

void SnapshotCapturer::begin(CaptureResult& result, TimePoint deadline) {
  if (!stream_open_) {
    look_for_point(deadline);
    if (!point_) {
      const CopySource::Waiting waiting = source_.waiting();
      if (waiting.for_person) {  // and nothing goes on meanwhile
        throw Error{ErrorKind::kOperator, fmt::format("source: no first copy: {}", waiting.reason),
                    std::string(waiting.remedy)};
      }
      return;
    }
  }
  for (const CopyTable& table : source_.tables(nullptr)) {
    if (!asked_for(table.schema->name)) {
      continue;
    }
    Table fresh{.schema = table.schema,
                .progress = {},
                .rows_estimate = table.rows_estimate,
                .described = point_.has_value()};
    const auto known = std::find_if(tables_.begin(), tables_.end(), [&](const Table& other) {
      return record_id(*other.schema) == record_id(*table.schema);
    });
    if (known != tables_.end()) {
      *known = std::move(fresh);
    } else {
      tables_.push_back(std::move(fresh));
    }
  }
  rows_estimated_ = start_.copies.empty();
  if (!stream_open_) {
    start_.resume = *point_;
    open_in_session(cdc_, start_);
    stream_open_ = true;
  }
  if (start_.copy_needed) {
    delivered_ = *point_;
  }
  const auto begun = mark_of(Purpose::kCopyBegin, delivered_);
  begun->copy.initial = start_.copy_needed;
  begun->copy.missing = start_.requested && start_.requested->missing_only;
  for (const Table& table : tables_) {
    begun->involve(table.schema);
  }
  log_->info("copy started tables={} lsn={}", tables_.size(), delivered_.to_string());
  begin_pending_ = false;
  result.transactions.push_back(begun);
}

bool SnapshotCapturer::asked_for(const TableName& table) const {
  if (start_.copy_needed || start_.requested->tables.empty()) {
    return true;
  }
  const auto& names = start_.requested->tables;
  return std::find(names.begin(), names.end(), table) != names.end();
}

void SnapshotCapturer::look_for_point(TimePoint deadline) {
  if (point_ || (next_table() == nullptr && !begin_pending_)) {
    return;
  }
  if (!point_asked_) {
    const bool paused = paused_ && !begin_pending_;
    if (paused || too_fast() || clock_.now() < std::max(next_point_, next_attempt_)) {
      return;
    }
    std::vector<std::uint32_t> wanted;
    for (const Table& table : tables_) {
      if (!table.finished()) {
        wanted.push_back(table.schema->source_id);
      }
    }
    source_.want(begin_pending_ ? nullptr : &wanted);
    source_.request_point();
    catching_up_ = false;
    point_asked_ = true;
    point_asked_at_ = clock_.now();
  }
  point_ = source_.point(deadline);
  if (point_ && !delivered_.empty() && point_->history != delivered_.history) {
    throw Error{ErrorKind::kReread, "source: the server has become another one during the copy"};
  }
  if (point_) {
    past_point_ = false;
    round_began_ = {};
    late_points_told_ = false;
    point_came_at_ = clock_.now();
  }
}

bool SnapshotCapturer::too_fast() const {
  const double seconds = std::chrono::duration<double>(clock_.now() - copy_began_).count();
  return options_.bytes_per_second_max > 0 &&
         seconds * static_cast<double>(options_.bytes_per_second_max) <
             static_cast<double>(copied_bytes_);
}

// Every transaction at or before the point was handed over, and none behind it.
bool SnapshotCapturer::at_point() const {
  if (broken(Break::kIgnoreCopyPoint)) {
    return point_ && !within_transaction_;
  }
  return point_ && !within_transaction_ &&
         (past_point_ || delivered_.lsn == point_->lsn ||
          (held_.empty() && cdc_.handed_over() >= point_->lsn));
}

void SnapshotCapturer::stream(const FetchLimits& limits, TimePoint deadline,
                              CaptureResult& result) {
  if (held_.empty()) {
    CaptureResult live = cdc_.fetch(limits, deadline);
    held_.assign(live.transactions.begin(), live.transactions.end());
    if (held_.empty() || (catching_up_ && is_recent(*held_.back()))) {
      catching_up_ = false;
      next_point_ = std::min(next_point_, clock_.now());  // there is nothing to catch up with
    }
  }
  std::size_t bytes = 0;
  while (!held_.empty() && result.transactions.size() < limits.transactions_max &&
         bytes < limits.bytes_max) {
    const TransactionPtr& next = held_.front();
    if (point_ && begins(next->portion) && !is_contained(*next, *point_)) {
      past_point_ = true;
      return;
    }
    observe(*next);
    within_transaction_ = !ends(next->portion);
    if (!within_transaction_) {
      delivered_ = next->end_position;
    }
    bytes += next->memory_bytes();
    result.transactions.push_back(next);
    held_.pop_front();
  }
}

// Committed just now, as far as the source's clock goes like ours.
bool SnapshotCapturer::is_recent(const Transaction& transaction) const {
  return clock_.wall_now() - transaction.commit_time() < kRecent;
}

void SnapshotCapturer::observe(const Transaction& transaction) {
  for (Table& table : tables_) {
    if (table.progress.chunks == 0) {
      continue;
    }
    if (alters(transaction, *table.schema)) {
      log_->info("copy begins again table={} rows={} reason=\"altered\"",
                 table.schema->name.to_string(), table.progress.rows);
      start_over(table);
      continue;
    }
    auto moved = moved_rows(transaction, *table.schema);
    std::move(moved.begin(), moved.end(), std::back_inserter(table.progress.moved));
  }
}

void SnapshotCapturer::start_over(Table& table) {
  const bool again = table.progress.again;
  table.progress = {};
  table.progress.again = again;
}

SnapshotCapturer::Table* SnapshotCapturer::next_table() {
  const auto found = std::find_if(tables_.begin(), tables_.end(),
                                  [](const Table& table) { return !table.finished(); });
  return found == tables_.end() ? nullptr : &*found;
}

// One of which the present point has something to read.
SnapshotCapturer::Table* SnapshotCapturer::next_table_here() {
  const auto found = std::find_if(tables_.begin(), tables_.end(), [](const Table& table) {
    return !table.refused &&
           (!table.progress.complete || (!table.progress.moved.empty() && !table.left_out));
  });
  return found == tables_.end() ? nullptr : &*found;
}

// False when nothing more is read at this point.
bool SnapshotCapturer::begin_chunk(CaptureResult& result) {
  Table* table = next_table_here();
  if (table == nullptr || paused_) {
    return false;
  }
  if (round_began_ == TimePoint{}) {
    round_began_ = clock_.now();
  } else if (clock_.now() >= round_began_ + round_length() || too_fast()) {
    return false;
  }
  estimate_rows();
  if (!table->described && !describe(*table, result)) {
    return true;
  }
  const CopyTable copied{table->schema, 0, 0};
  auto& moved = table->progress.moved;
  if (table->progress.chunks == 0) {
    moved.clear();  // of a sink that is ahead: the copy begins again there too
  }
  const std::size_t again = table->left_out ? 0 : std::min(moved.size(), kKeysMax);
  reading_keys_.assign(moved.begin(), moved.begin() + static_cast<std::ptrdiff_t>(again));
  const bool begun = reading_keys_.empty()
                         ? source_.begin_chunk(copied, table->progress.cursor, options_.chunk_rows)
                         : source_.begin_rows(copied, reading_keys_);
  if (!begun) {
    refuse(*table);
    return true;
  }
  if (table->began == TimePoint{}) {
    table->began = clock_.now();
  }
  reading_ = table;
  chunk_rows_ = 0;
  keep_alive();  // a round may be longer than the source's patience with a silent stream
  return true;
}

// The other tables are read at this point nevertheless.
void SnapshotCapturer::refuse(Table& table) {
  table.refused = true;
  CopySource::Refusal refusal = source_.refusal();
  if (refusal.reason.empty()) {
    return;
  }
  ++table.refusals;
  table.refusal = std::move(refusal);
  const std::string name = table.schema->name.to_string();
  const bool begins = !table.refusal.passes && table.refusals == 1;
  if (begins || table.refusals % options_.refusals_told == 0) {
    log_->warn("table waits to be copied table={} attempts={} reason=\"{}\" remedy=\"{}\"", name,
               table.refusals, table.refusal.reason, table.refusal.remedy);
  } else if (table.refusals == 1) {
    log_->info("table is copied later table={} reason=\"{}\"", name, table.refusal.reason);
  }
}

// False when the table is no longer there.
bool SnapshotCapturer::describe(Table& table, CaptureResult& result) {
  const std::set<std::uint32_t> only{table.schema->source_id};
  const std::vector<CopyTable> found = source_.tables(&only);
  if (found.empty()) {
    log_->warn("table is gone, and not copied table={}", table.schema->name.to_string());
    const auto gone = mark_of(Purpose::kCopyChunk, *point_);
    gone->copy.gone = true;
    gone->involve(table.schema);
    result.transactions.push_back(gone);
    std::erase_if(tables_, [&](const Table& other) { return &other == &table; });
    return false;
  }
  const CopyTable& now = found.front();
  if (!same_description(*table.schema, *now.schema)) {
    table.schema = now.schema;
    start_over(table);
  }
  table.rows_estimate = now.rows_estimate;
  table.described = true;
  return true;
}

std::shared_ptr<Transaction> SnapshotCapturer::mark_of(Purpose purpose,
                                                       const Position& position) const {
  auto mark = std::make_shared<Transaction>("copy", position.lsn, clock_.wall_now());
  mark->purpose = purpose;
  mark->end_position = position;
  return mark;
}

void SnapshotCapturer::read_chunk(const FetchLimits& limits, TimePoint deadline,
                                  CaptureResult& result) {
  const auto portion = mark_of(Purpose::kCopyChunk, *point_);
  portion->set_first_ordinal(chunk_rows_);
  portion->involve(reading_->schema);
  portion->copy.run = run_;
  portion->copy.chunk = reading_->progress.chunks + (reading_keys_.empty() ? 1 : 0);
  portion->copy.keys = reading_keys_;
  const auto [end, refused] = source_.read(*portion, limits.bytes_max, deadline);
  if (refused) {
    HEADGATE_CHECK(portion->changes().empty() && chunk_rows_ == 0, "nothing of it was handed over");
    refuse(*std::exchange(reading_, nullptr));
    return;
  }
  if (portion->changes().empty() && !end) {
    keep_alive();
    return;
  }
  const bool first = chunk_rows_ == 0;
  const std::size_t rows = portion->changes().size();
  chunk_rows_ += rows;
  copied_bytes_ += portion->memory_bytes();
  copied_rows_ += rows;
  reading_->rows_read += rows;
  reading_->bytes_read += portion->memory_bytes();
  portion->portion =
      first ? (end ? Portion::kWhole : Portion::kFirst) : (end ? Portion::kLast : Portion::kMiddle);
  if (end) {
    end_chunk(*portion);
  }
  result.transactions.push_back(portion);
}

void SnapshotCapturer::end_chunk(Transaction& last) {
  Table& table = *std::exchange(reading_, nullptr);
  delivered_ = *point_;
  table.refusals = 0;
  last.copy.later = source_.left_out();
  auto& moved = table.progress.moved;
  for (const auto& key : reading_keys_) {
    std::erase(moved, key);
  }
  moved.insert(moved.end(), last.copy.later.begin(), last.copy.later.end());
  table.left_out = table.left_out || !last.copy.later.empty();
  if (!reading_keys_.empty()) {
    return;
  }
  const auto cursor = source_.next_cursor();
  last.copy.cursor = cursor.value_or(std::vector<std::string>{});
  last.copy.last = !cursor;
  table.progress.cursor = last.copy.cursor;
  table.progress.complete = last.copy.last;
  table.progress.rows += chunk_rows_;
  ++table.progress.chunks;
  if (table.progress.complete) {
    log_->info("table read table={} rows={} seconds={:.1f}", table.schema->name.to_string(),
               table.progress.rows,
               std::chrono::duration<double>(clock_.now() - table.began).count());
  }
}

// Which the stream stands still.
Duration SnapshotCapturer::round_length() const {
  return std::max(options_.round_max, round_began_ - point_came_at_);
}

// Between two points, the stream gets as long as it has stood still, and what it took to come to
// the point counts.
void SnapshotCapturer::end_round() {
  const TimePoint now = clock_.now();
  if (round_began_ == TimePoint{}) {
    round_began_ = now;
  }
  const Duration came = round_began_ - point_came_at_;
  Duration stood = now - round_began_;
  if (source_.waiting().holds_stream) {
    stood += point_came_at_ - point_asked_at_;
  }
  next_point_ = now + std::max(stood - came, Duration{});
  if (paused_) {
    source_.close();
  } else {
    source_.release_point();
  }
  point_.reset();
  point_asked_ = false;
  past_point_ = false;
  for (Table& table : tables_) {
    table.described = false;
    table.left_out = false;
    table.refused = false;
  }
}

void SnapshotCapturer::end_copy(CaptureResult& result) {
  source_.close();
  const auto end = end_mark(cancelled_ ? "cancelled" : "read");
  end->copy.cancelled = cancelled_;
  result.transactions.push_back(end);
  result.next_capturer = "cdc";
}

std::shared_ptr<Transaction> SnapshotCapturer::end_mark(const std::string& what) {
  auto end = mark_of(Purpose::kCopyEnd, delivered_);
  std::uint64_t rows = 0;
  std::size_t tables = 0;
  for (const Table& table : tables_) {
    if (cancelled_ || table.finished()) {
      end->involve(table.schema);
      rows += table.progress.rows;
      ++tables;
    }
  }
  log_->info("copy {} tables={} rows={} seconds={:.1f} lsn={}", what, tables, rows,
             std::chrono::duration<double>(clock_.now() - copy_began_).count(),
             delivered_.to_string());
  return end;
}

// Whether tables are complete, and nothing but such keeps them waiting as no point shows.
bool SnapshotCapturer::leaves_behind() const {
  const bool any = std::any_of(tables_.begin(), tables_.end(),
                               [](const Table& table) { return table.finished(); });
  return any && !cancelled_ && std::all_of(tables_.begin(), tables_.end(), [&](const Table& table) {
           return table.finished() || table.refusals >= options_.refusals_max ||
                  (table.refusals > 0 && !table.refusal.passes);
         });
}

void SnapshotCapturer::end_without_late(CaptureResult& result) {
  const auto end = end_mark("read but for tables that wait");
  end->copy.partial = true;
  result.transactions.push_back(end);
  std::erase_if(tables_, [](const Table& table) { return table.finished(); });
  for (const Table& table : tables_) {
    log_->warn(
        "table is left behind, and copied by itself table={} attempts={} reason=\"{}\" "
        "remedy=\"{}\"",
        table.schema->name.to_string(), table.refusals, table.refusal.reason, table.refusal.remedy);
  }
}

}  // namespace headgate
