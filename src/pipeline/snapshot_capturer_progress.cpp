// How far the copy is: for `headgate snapshot status`, and for the log.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <set>
#include <string>

#include <fmt/format.h>

#include "pipeline/snapshot_capturer.hpp"

namespace headgate {
namespace {

// How often the log says how far the copy is.
constexpr Duration kProgressTold = std::chrono::seconds(30);

}  // namespace

// Of a copy that goes on: only the source knows how much is left.
void SnapshotCapturer::estimate_rows() {
  if (rows_estimated_) {
    return;
  }
  rows_estimated_ = true;
  std::set<std::uint32_t> ids;
  for (const Table& table : tables_) {
    ids.insert(table.schema->source_id);
  }
  for (const CopyTable& found : source_.tables(&ids)) {
    for (Table& table : tables_) {
      if (table.schema->source_id == found.schema->source_id) {
        table.rows_estimate = found.rows_estimate;
      }
    }
  }
}

// Readers have every one of the tables from an earlier copy.
bool SnapshotCapturer::all_again() const {
  return std::all_of(tables_.begin(), tables_.end(), [&](const Table& table) {
    return table.progress.again || (start_.requested && !start_.requested->missing_only);
  });
}

void SnapshotCapturer::tell_progress() {
  if (clock_.now() < progress_told_ + kProgressTold) {
    return;
  }
  progress_told_ = clock_.now();
  for (const Table& table : tables_) {
    if (!table.finished() && table.began != TimePoint{}) {
      log_->info("copying table={} {}", table.schema->name.to_string(), progress_of(table));
    }
  }
}

// As the log's lines are: `key=value` and blanks.
std::string SnapshotCapturer::progress_of(const Table& table) const {
  const std::uint64_t rows = table.progress.rows + (reading_ == &table ? chunk_rows_ : 0);
  const std::uint64_t estimate =
      table.progress.complete ? rows : std::max(rows, table.rows_estimate);
  std::string text = fmt::format("rows={} rows_estimate={}", rows, estimate);
  if (estimate > 0) {
    text += fmt::format(" percent={:.0f}",
                        100.0 * static_cast<double>(rows) / static_cast<double>(estimate));
  }
  text += fmt::format(" bytes={}", table.bytes_read);
  if (table.began == TimePoint{} || table.finished()) {
    return text + (table.finished() ? " state=read" : " state=waits");
  }
  const double seconds = std::chrono::duration<double>(clock_.now() - table.began).count();
  if (seconds > 0 && table.rows_read > 0) {
    const double rows_per_second = static_cast<double>(table.rows_read) / seconds;
    text += fmt::format(" bytes_per_second={:.0f} seconds_left={:.0f}",
                        static_cast<double>(table.bytes_read) / seconds,
                        static_cast<double>(estimate - rows) / rows_per_second);
  }
  return text + " state=reads";
}

std::map<std::string, std::string> SnapshotCapturer::progress() const {
  std::uint64_t rows = 0;
  std::uint64_t estimate = 0;
  std::size_t complete = 0;
  std::string current;
  for (const Table& table : tables_) {
    rows += table.progress.rows;
    estimate += std::max(table.progress.rows,
                         table.progress.complete ? std::uint64_t{0} : table.rows_estimate);
    complete += table.progress.complete ? 1U : 0U;
    if (current.empty() && !table.progress.complete) {
      current = table.schema->name.to_string();
    }
  }
  if (reading_ != nullptr) {
    rows += chunk_rows_;
    estimate = std::max(estimate, rows);
  }
  const double seconds = std::chrono::duration<double>(clock_.now() - copy_began_).count();
  std::map<std::string, std::string> told{
      {"tables", fmt::format("{} of {}", complete, tables_.size())},
      {"rows", std::to_string(rows)},
      {"rows_estimate", std::to_string(estimate)},
      {"bytes", std::to_string(copied_bytes_)},
      {"bytes_per_second",
       fmt::format("{:.0f}", seconds > 0 ? static_cast<double>(copied_bytes_) / seconds : 0.0)}};
  if (copied_rows_ > 0) {
    told.emplace("seconds_left",
                 fmt::format("{:.0f}", static_cast<double>(estimate - rows) * seconds /
                                           static_cast<double>(copied_rows_)));
  }
  for (const Table& table : tables_) {
    told.emplace("table " + table.schema->name.to_string(), progress_of(table));
  }
  told.emplace("copy", start_.copy_needed || !all_again() ? "first" : "again");
  if (!current.empty()) {
    told.emplace("table", current);
  }
  if (paused_) {
    told.emplace("paused", "yes");
  }
  if (catching_up_) {
    told.emplace("catching_up", "yes");
  }
  std::string waiting;
  for (const Table& table : tables_) {
    if (table.refusals >= options_.refusals_told || (table.refusals > 0 && !table.refusal.passes)) {
      waiting +=
          fmt::format("{}{}: {}; {}", waiting.empty() ? "" : "; ", table.schema->name.to_string(),
                      table.refusal.reason, table.refusal.remedy);
    }
  }
  if (!waiting.empty()) {
    told.emplace("waiting", waiting);
  }
  return told;
}

}  // namespace headgate
