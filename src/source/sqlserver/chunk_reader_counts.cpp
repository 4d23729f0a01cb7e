// The part of ChunkReader that reads tables without a key.

#include <fmt/format.h>

#include "source/sqlserver/change_table_reader.hpp"
#include "source/sqlserver/chunk_reader.hpp"

namespace headgate::source::sqlserver {

// A table without a key.
bool ChunkReader::begin_whole() {
  counts_.emplace(reading_->instance);
  if (!count_changes() || (!counts_->empty() && !captured_exactly())) {
    return false;
  }
  if (counts_->any_in_doubt()) {
    if (!ask_earlier()) {
      earlier_missed_ = true;  // the next point's view may ask ours
      return false;
    }
    counting_earlier_ = true;
    select(*earlier_, {});
    return true;
  }
  if (!holds_changes(seen_to_)) {
    return false;
  }
  select(*view_, {});
  return true;
}

// What has changed since everything that the view is known to have.
bool ChunkReader::count_changes() {
  const Options& options = session_.options();
  if (point_->lsn <= seen_to_) {
    return true;
  }
  ChangeTableReader changes(pages_, reading_->instance, options.query_mode, seen_to_, point_->lsn,
                            options.page_rows);
  while (changes.peek() != nullptr) {
    const ChangeRow change = changes.pop();
    if (!counts_->add(change, change.key.commit_lsn <= view_->savepoint)) {
      return refuse("it has no key, and its changes do not say all values of their rows",
                    "give it a primary key, and a capture instance that knows it");
    }
    if (counts_->bytes() > options.gate_bytes_max / 4) {
      return refuse("it has no key, and too many of its rows change for limits.memory",
                    "give it a primary key, or raise limits.memory");
    }
  }
  return true;
}

// Whether the earlier view tells what this one does not.
bool ChunkReader::ask_earlier() {
  const Options& options = session_.options();
  const auto refuse_restless = [&] {
    return refuse("it has no key, and rows of it that are like others change all the time",
                  "give it a primary key, stop its writers for half a minute, or set "
                  "snapshot.locking: brief");
  };
  if (!earlier_ || !earlier_->is_open()) {
    return refuse("it has no key, and was changed while the copy point came",
                  "nothing, unless that is said again and again");
  }
  // Its point was reached before ours was asked for, so its savepoint is not behind `seen_to_`, or
  // nothing is between the two.
  ChangeTableReader changes(pages_, reading_->instance, options.query_mode, earlier_->from,
                            seen_to_, options.page_rows);
  while (changes.peek() != nullptr) {
    const ChangeRow change = changes.pop();
    const bool told = counts_->add_earlier(change, change.key.commit_lsn <= earlier_->savepoint);
    if (!told) {
      return refuse_restless();
    }
  }
  return counts_->earlier_tells() ? holds_changes(earlier_->from) : refuse_restless();
}

// Text of another code page may be changed by capturing it, and then it is no row of the table.
bool ChunkReader::captured_exactly() {
  odbc::Statement rows(session_.connection(), "compare collations");
  rows.execute(fmt::format(
      "SELECT COUNT(*) FROM sys.columns WHERE object_id = {} AND system_type_id IN (35, 167, 175) "
      "AND collation_name <> CONVERT(nvarchar(128), DATABASEPROPERTYEX(DB_NAME(), 'Collation'))",
      reading_->instance.source_table));
  const bool exactly = rows.next() && rows.integer(0) == 0;
  rows.drain();
  return exactly || refuse("it has no key, and columns of another collation than the database",
                           "give it a primary key, or stop its writers for half a minute");
}

// False while there are more rows.
bool ChunkReader::count_earlier(TimePoint deadline) {
  while (clock_.now() < deadline) {
    if (!rows_->next()) {
      rows_.reset();
      counting_earlier_ = false;
      return true;
    }
    counts_->count_earlier(fetch());
  }
  return false;
}

// True at the end. There may be many equal rows, which were withheld.
bool ChunkReader::add_counted(Transaction& portion, std::size_t bytes_max, TimePoint deadline) {
  while (portion.memory_bytes() < bytes_max && clock_.now() < deadline) {
    const RowCounts::Row* row = counts_->next();
    if (row == nullptr) {
      return true;
    }
    add(*row, portion);
  }
  return false;
}

}  // namespace headgate::source::sqlserver
