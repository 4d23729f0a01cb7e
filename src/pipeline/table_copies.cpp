#include "pipeline/table_copies.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/deliberate_break.hpp"
#include "base/error.hpp"
#include "core/value_text.hpp"

namespace headgate {
namespace {

bool same_columns(const TableSchema& a, const TableSchema& b) {
  return a.source_id == b.source_id && a.columns == b.columns && a.key == b.key;
}

using Key = std::vector<std::string>;

// Whether `end`, a kCopyEnd, ends the copy of the table of this id.
bool is_ended(const Transaction& end, const std::string& id) {
  const auto& tables = end.involved_tables();
  return !end.copy.partial ||
         std::any_of(tables.begin(), tables.end(),
                     [&](const TableSchemaPtr& table) { return record_id(*table) == id; });
}

// The new key of a row that moves to it and leaves some value as it is in the row that it was.
std::optional<Key> moved_to(const TableSchema& table, Row before, Row data) {
  if (before.empty() || data.empty()) {
    return std::nullopt;
  }
  const auto value_of = [&](std::size_t column) {
    return data[column].is_unchanged() ? before[column] : data[column];
  };
  const bool moves = std::any_of(table.key.begin(), table.key.end(), [&](std::size_t column) {
    return before[column] != value_of(column);
  });
  const bool complete = std::none_of(data.begin(), data.end(),
                                     [](const Value& value) { return value.is_unchanged(); });
  if (!moves || complete) {
    return std::nullopt;
  }
  Key key;
  for (const std::size_t column : table.key) {
    key.push_back(value_text(table.columns[column], value_of(column)));
  }
  return key;
}

// The table as a copy has described it.
SinkConfigPtr config_of(const TableRecord& record, const TableName& name) {
  auto config = std::make_shared<SinkConfig>();
  config->name = record.source.name.to_string();
  config->source = record.source.name;
  config->output = record.source;
  config->output.name = name;
  return config;
}

// The table as the sink shall have it when the copy of `record` ends: renamed by then, perhaps.
SinkConfigPtr config_among(std::span<const SinkConfigPtr> tables, const TableRecord& record) {
  const auto found = std::find_if(tables.begin(), tables.end(), [&](const SinkConfigPtr& table) {
    return record_id(table->output) == record_id(record.source);
  });
  return found == tables.end() ? config_of(record, record.target) : *found;
}

}  // namespace

bool same_description(const TableSchema& a, const TableSchema& b) {
  return a.name == b.name && same_columns(a, b);
}

bool alters(const Transaction& transaction, const TableSchema& copied) {
  const std::string id = record_id(copied);
  const auto& involved = transaction.involved_tables();
  return std::any_of(involved.begin(), involved.end(), [&](const TableSchemaPtr& table) {
    return record_id(*table) == id && !same_description(*table, copied);
  });
}

std::vector<Key> moved_rows(const Transaction& transaction, const TableSchema& copied) {
  std::vector<Key> keys;
  const std::string id = record_id(copied);
  for (const TableSchemaPtr& table : transaction.involved_tables()) {
    if (record_id(*table) != id) {
      continue;
    }
    for (const Change& change : transaction.changes()) {
      if (change.operation == Operation::kUpdateAfter && change.table == table.get()) {
        if (auto key = moved_to(*table, change.before, change.data)) {
          keys.push_back(std::move(*key));
        }
      }
    }
  }
  return keys;
}

TableCopies::TableCopies(std::string sink, SinkDriver& driver, SchemaFollower& tables, Logger log)
    : sink_(std::move(sink)), driver_(driver), tables_(tables), log_(std::move(log)) {}

void TableCopies::connected() {
  copied_.clear();
  for (const TableRecord& record : tables_.records()) {
    if (record.copy) {
      copied_.emplace(record_id(record.source), Copied{record, nullptr});
    }
  }
}

CopiesStand TableCopies::stand() const {
  CopiesStand stand;
  for (const auto& [id, copied] : copied_) {
    stand.emplace(id, copied.record.copy->chunks);
  }
  return stand;
}

bool TableCopies::wants(const Transaction& transaction, const Position& position) const {
  switch (transaction.purpose) {
    case Purpose::kCopyBegin:
      return position.empty() || !transaction.copy.initial;
    case Purpose::kCopyChunk:
      return copied_.contains(record_id(*transaction.involved_tables().front()));
    case Purpose::kCopyEnd:
      return std::any_of(copied_.begin(), copied_.end(),
                         [&](const auto& copied) { return is_ended(transaction, copied.first); });
    case Purpose::kChanges:
    case Purpose::kInitialCopy:
      break;
  }
  HEADGATE_CHECK(false, "only transactions of a copy in chunks come here");
}

void TableCopies::begin(const SinkConfigPtr& table, ExistingRows existing, bool missing_only) {
  if (missing_only && (tables_.knows(*table) || driver_.has_table(table->output.name))) {
    return;
  }
  Copied copied{record_of(*table), nullptr};
  copied.record.copy.emplace();
  bool altered = false;
  if (const TableRecord* known = tables_.record_for(*table)) {
    // Readers have it already, unless that copy was not finished either.
    copied.record.copy->again = !known->copy || known->copy->again;
    copied.record.consistent_from = known->consistent_from;
    copied.record.paused = known->paused;
    altered = copied.record.copy->again && !same_columns(known->source, table->output);
  }
  if (copied.record.paused) {
    if (refuse(*table)) {
      return;
    }
    copied.record.paused->refused.clear();
  } else if (!altered) {  // otherwise the stream, or the copy's end, brings that before its rows
    const bool again = copied.record.copy->again;
    driver_.check_copy_target(*table, again ? ExistingRows::kKeep : existing);
  }
  Copied& kept =
      copied_.insert_or_assign(record_id(table->output), std::move(copied)).first->second;
  keep(kept);
}

// True when the sink's table cannot take a fresh copy as `table` has it. It stays paused, and its
// copy does not begin, or ends here.
bool TableCopies::refuse(const SinkConfig& table) {
  try {
    driver_.check_copy_target(table, ExistingRows::kKeep);
    return false;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kOperator) {
      throw;
    }
    if (const Copied* copied = find(table)) {
      give_up(*copied, table);
    }
    TableRecord record = *tables_.record_for(table);
    record.paused->refused = error.describe();
    tables_.remember(record);
    log_->warn("fresh copy refused, and the table stays paused sink={} table={} error=\"{}\"",
               sink_, table.output.name.to_string(), error.describe());
    return true;
  }
}

TableCopies::Copied* TableCopies::find(const SinkConfig& table) {
  const auto found = copied_.find(record_id(table.output));
  return found == copied_.end() ? nullptr : &found->second;
}

// A table that readers have is remembered as it is for them. What follows a paused one no longer
// matters: it is remembered as its copy is, so that the copy goes on after a restart.
void TableCopies::keep(const Copied& copied) {
  TableRecord record = copied.record;
  const TableRecord* known = tables_.find(record_id(record.source));
  if (record.copy->again && known != nullptr) {
    record.source = record.paused ? record.source : known->source;
    record.target = known->target;
  }
  tables_.remember(record);
}

void TableCopies::route(DataSet& data) {
  if (!any() && !tables_.any_paused()) {
    return;
  }
  struct Place {
    const SinkConfig* table;
    Copied* copied;  // null: it is not copied
    bool live;       // readers get the changes
  };
  std::vector<Place> places;
  for (const SinkConfigPtr& table : data.configs) {
    Copied* copied = find(*table);
    if (copied != nullptr && (table->source != copied->record.source.name ||
                              !same_columns(table->output, copied->record.source))) {
      start_over(*copied, "altered at the source");
    }
    const bool finished = copied == nullptr || copied->record.copy->again;
    places.push_back({table.get(), copied, finished && !tables_.is_paused(*table)});
  }
  const auto place_of = [&](const SinkConfig* table) -> const Place& {
    return *std::find_if(places.begin(), places.end(),
                         [&](const Place& place) { return place.table == table; });
  };
  std::vector<Sink> routed;
  routed.reserve(data.operations.size());
  for (const Sink& operation : data.operations) {
    const Place& place = place_of(operation.config);
    if (place.live) {
      routed.push_back(operation);
    }
    Copied* copied = place.copied;
    if (copied == nullptr || copied->record.copy->chunks == 0) {
      continue;  // what it is about is still to be copied, if at all
    }
    if (operation.operation == Operation::kUpdateAfter) {
      if (auto key = moved_to(operation.config->output, operation.before, operation.data)) {
        copied->record.copy->moved.push_back(std::move(*key));
        keep(*copied);
      }
    }
    if (broken(Break::kForgetStaging)) {
      continue;
    }
    use_staging(*copied, *operation.config);
    if (!copied->record.copy->mixed) {
      copied->record.copy->mixed = true;
      keep(*copied);
    }
    routed.push_back(operation);
    routed.back().config = copied->staging.get();
  }
  data.operations = std::move(routed);
  std::erase_if(data.configs,
                [&](const SinkConfigPtr& table) { return !place_of(table.get()).live; });
}

// None of the rows is used any more; the next chunk is the first.
void TableCopies::start_over(Copied& copied, const std::string& reason) {
  CopyProgress& progress = *copied.record.copy;
  if (progress.chunks == 0) {
    return;
  }
  log_->info("copy begins again sink={} table={} rows={} reason=\"{}\"", sink_,
             copied.record.source.name.to_string(), progress.rows, reason);
  const bool again = progress.again;
  progress = {};
  progress.again = again;
  keep(copied);
}

// Makes the staging table of rows like those of `table` ready for writing.
void TableCopies::use_staging(Copied& copied, const SinkConfig& table) {
  if (!copied.staging) {
    auto staging = std::make_shared<SinkConfig>(table);
    staging->output.name = driver_.staging_name(table);
    driver_.prepare_table(staging, MissingTable::kRefuse);
    copied.staging = std::move(staging);
  }
}

void TableCopies::write_chunk(const Transaction& portion, const DataSet& data) {
  const SinkConfig& table = *data.configs.front();
  Copied* copied = find(table);
  if (copied == nullptr) {
    return;  // given up, and only the reply to that was lost
  }
  if (portion.copy.gone) {
    give_up(*copied, table);
    return;
  }
  CopyProgress& progress = *copied->record.copy;
  const bool rows_again = !portion.copy.keys.empty();
  if (begins(portion.portion)) {
    if (portion.copy.chunk > progress.chunks + (rows_again ? 0 : 1)) {
      throw Error{
          ErrorKind::kReread,
          fmt::format("sink {}: the copy of table {} is at chunk {}, and {} came", sink_,
                      copied->record.source.name.to_string(), progress.chunks, portion.copy.chunk)};
    }
    if (portion.copy.chunk == 1 && !rows_again) {
      make_staging(*copied, table);
    }
    // Another sink is behind: this one meets its own rows of later chunks from here on.
    progress.mixed = progress.mixed || portion.copy.chunk <= progress.chunks;
    copied->chunk_meets_rows = progress.mixed;
    copied->chunk_rows = 0;
  }
  use_staging(*copied, table);
  std::vector<Sink> rows = data.operations;
  for (Sink& row : rows) {
    row.config = copied->staging.get();
  }
  driver_.copy_chunk(rows, copied->chunk_meets_rows);
  copied->chunk_rows += rows.size();
  const auto add_later = [&] {
    const auto& later = portion.copy.later;
    progress.moved.insert(progress.moved.end(), later.begin(), later.end());
  };
  if (rows_again && ends(portion.portion)) {
    for (const Key& key : portion.copy.keys) {
      std::erase(progress.moved, key);
    }
    add_later();
    keep(*copied);
  } else if (ends(portion.portion)) {
    add_later();
    progress.chunks = portion.copy.chunk;
    progress.cursor = portion.copy.cursor;
    progress.run = portion.copy.run;
    progress.rows += copied->chunk_rows;
    progress.complete = portion.copy.last;
    keep(*copied);
  }
}

// A new one, whatever there was: rows of a copy that began again, or of one that a person has ended
// by removing our position.
void TableCopies::make_staging(Copied& copied, const SinkConfig& table) {
  const bool again = copied.record.copy->again;
  const TableName target = copied.record.target;
  copied.record.source = table.output;
  copied.record.source.name = table.source;
  copied.record.target = target;
  copied.record.copy = CopyProgress{};
  copied.record.copy->again = again;
  auto staging = std::make_shared<SinkConfig>(table);
  staging->output.name = driver_.staging_name(table);
  driver_.drop_staging(staging->output.name);
  driver_.prepare_table(staging, MissingTable::kCreate);
  copied.staging = std::move(staging);
}

// The source has dropped the table while it was copied.
void TableCopies::give_up(const Copied& copied, const SinkConfig& table) {
  driver_.drop_staging(driver_.staging_name(table));
  TableRecord record = copied.record;
  copied_.erase(record_id(record.source));
  if (record.copy->again) {
    if (const TableRecord* known = tables_.find(record_id(record.source))) {
      record = *known;
    }
    record.copy.reset();
    tables_.remember(record);
  } else {
    tables_.forget(record);
  }
}

void TableCopies::cancel(Tables tables) {
  for (auto copied = copied_.begin(); copied != copied_.end();) {
    const Copied& again = (copied++)->second;
    if (again.record.copy->again) {
      give_up(again, *config_among(tables, again.record));
    }
  }
}

void TableCopies::end(const Transaction& end, Tables tables, const Position& position,
                      ExistingRows existing) {
  if (end.copy.cancelled) {
    cancel(tables);
  }
  std::map<std::string, Copied> others;
  for (auto copied = copied_.begin(); copied != copied_.end();) {
    const auto next = std::next(copied);
    if (!is_ended(end, copied->first)) {
      others.insert(copied_.extract(copied));
    }
    copied = next;
  }
  for (const auto& [id, copied] : copied_) {
    if (!copied.record.copy->complete || !copied.record.copy->moved.empty()) {
      throw Error{ErrorKind::kReread, fmt::format("sink {}: the copy of table {} is not complete",
                                                  sink_, copied.record.source.name.to_string())};
    }
  }
  refuse_unfit(tables);
  std::vector<StagedTable> staged;
  for (const auto& [id, copied] : copied_) {
    staged.push_back(stage(copied, tables, existing));
  }
  driver_.take_staging(staged);
  for (const StagedTable& taken : staged) {
    const Copied& copied = *find(*taken.table);
    TableRecord record = copied.record;
    record.target = taken.table->output.name;
    record.copy.reset();
    record.paused.reset();
    record.consistent_from = position.to_string();
    tables_.remember(record);
    tables_.forget_occupants(record);
    log_->info("table copied sink={} table={} rows={} consistent_from={}{}", sink_,
               record.target.to_string(), copied.record.copy->rows, record.consistent_from,
               copied.record.paused ? " paused=no" : "");
  }
  copied_ = std::move(others);
}

// Since the copy began, somebody may have altered a paused table, or the source its own.
void TableCopies::refuse_unfit(Tables tables) {
  for (auto copied = copied_.begin(); copied != copied_.end();) {
    const TableRecord& record = (copied++)->second.record;
    if (record.paused) {
      refuse(*config_among(tables, record));
    }
  }
}

// A paused table is not followed: its person has seen to it, and its shape is checked already.
StagedTable TableCopies::stage(const Copied& copied, Tables tables, ExistingRows existing) {
  const TableRecord& record = copied.record;
  const SinkConfigPtr at_end = config_among(tables, record);
  if (record.paused) {
    return {at_end, driver_.staging_name(*at_end), ExistingRows::kReplace};
  }
  auto table = std::make_shared<SinkConfig>(*config_of(record, record.target));
  table->isolation = at_end->isolation;
  const bool again = record.copy->again;
  if (again) {
    tables_.prepare(table, MissingTable::kRefuse);  // altered since a change last came
  }
  return {table, driver_.staging_name(*table), again ? ExistingRows::kReplace : existing};
}

}  // namespace headgate
