#include "pipeline/schema_follower.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"

namespace headgate {

SchemaFollower::SchemaFollower(std::string sink, SinkDriver& driver, Logger log)
    : sink_(std::move(sink)), driver_(driver), log_(std::move(log)) {}

void SchemaFollower::connected() {
  forget();
  narrowed_.clear();
  for (TableRecord& record : driver_.known_tables()) {
    const std::string id = record_id(record.source);
    if (record.paused) {
      paused_.insert(id);
    }
    records_.insert_or_assign(id, std::move(record));
  }
}

void SchemaFollower::forget() {
  records_.clear();
  paused_.clear();
}

bool SchemaFollower::is_paused(const SinkConfig& table) const {
  return any_paused() && paused_.contains(record_id(table.output));
}

TableRecords SchemaFollower::records() const {
  TableRecords list;
  for (const auto& [id, record] : records_) {
    list.push_back(record);
  }
  return list;
}

void SchemaFollower::prepare(const SinkConfigPtr& table, MissingTable missing) {
  HEADGATE_CHECK(!is_paused(*table), "nothing is written to a paused table but a fresh copy");
  if (table->source.table.empty()) {
    driver_.prepare_table(table, missing);
    return;
  }
  const TableRecord* before = record_for(*table);
  if (before == nullptr) {
    if (const TableRecord* occupant = occupant_of(table->output.name)) {
      pause(
          table,
          fmt::format("table {} of the source is not the one whose rows are in {}: it was dropped "
                      "and created anew, or another one has its name now",
                      table->source.to_string(), table->output.name.to_string()),
          driver_.plan_replacement(*table, *occupant), *occupant);
    }
  } else if (const TableAlteration alteration = compare(*before, *table); !alteration.empty()) {
    if (table->schema_changes == SchemaChanges::kIgnore && !alteration.table_renamed &&
        alteration.doubt.empty()) {
      log_->warn("table changed at the source, and stays as it is sink={} table={} change=\"{}\"",
                 sink_, table->output.name.to_string(), alteration.describe(*table));
      driver_.prepare_table(stay(table, *before), missing);
      return;
    }
    follow(table, *before, alteration);
  }
  driver_.prepare_table(table, missing);
  TableRecord now = record_of(*table);
  if (before != nullptr) {
    now.copy = before->copy;
    now.consistent_from = before->consistent_from;
  }
  if (before == nullptr || *before != now) {
    remember(now);
  }
}

void SchemaFollower::remember(const TableRecord& record) {
  driver_.remember_table(record);
  const std::string id = record_id(record.source);
  if (record.paused) {
    paused_.insert(id);
  } else {
    paused_.erase(id);
  }
  records_.insert_or_assign(id, record);
}

void SchemaFollower::forget(const TableRecord& record) {
  driver_.forget_table(record);
  const std::string id = record_id(record.source);
  paused_.erase(id);
  records_.erase(id);
}

void SchemaFollower::forget_occupants(const TableRecord& record) {
  const std::string id = record_id(record.source);
  for (const TableRecord& other : records()) {
    if (other.target == record.target && record_id(other.source) != id) {
      forget(other);
    }
  }
}

// The batch may have altered the table before it came to what cannot be carried over, and that is
// rolled back: what is to be done is planned from the table as it is.
void SchemaFollower::keep_paused(const TablePaused& pause, const Position& position) {
  const SinkConfig& table = *pause.table();
  TableRecord record = record_of(table);
  AlterationPlan plan;
  const TableRecord* there = record_for(table);
  if (there != nullptr) {
    record = *there;
    plan = driver_.plan_alteration(table, *there);
  } else if (there = occupant_of(table.output.name); there != nullptr) {
    plan = driver_.plan_replacement(table, *there);
  }
  record.paused = {pause.what(), fresh_copy_hint(table, there == nullptr ? record : *there, plan),
                   position.to_string()};
  remember(record);
}

const TableRecord* SchemaFollower::record_for(const SinkConfig& table) const {
  return find(record_id(table.output));
}

const TableRecord* SchemaFollower::find(const std::string& record_id) const {
  const auto found = records_.find(record_id);
  return found == records_.end() ? nullptr : &found->second;
}

const TableRecord* SchemaFollower::occupant_of(const TableName& target) const {
  const auto found = std::find_if(records_.begin(), records_.end(),
                                  [&](const auto& entry) { return entry.second.target == target; });
  return found == records_.end() ? nullptr : &found->second;
}

void SchemaFollower::follow(const SinkConfigPtr& table, const TableRecord& before,
                            const TableAlteration& alteration) {
  const AlterationPlan plan = driver_.plan_alteration(*table, before);
  const std::string change =
      fmt::format("table {} has changed at the source: {}", before.source.name.to_string(),
                  alteration.describe(*table));
  if (table->schema_changes == SchemaChanges::kPause ||
      (table->schema_changes == SchemaChanges::kIgnore && alteration.doubt.empty())) {
    pause(table, change, plan, before);
  }
  if (!alteration.doubt.empty()) {
    pause(table, fmt::format("{}; {}", change, alteration.doubt), plan, before);
  }
  if (!plan.obstacle.empty()) {
    pause(table, fmt::format("{}; {}", change, plan.obstacle), plan, before);
  }
  try {
    driver_.alter_table(plan);
  } catch (const Error& error) {
    if (reaction_to(error.kind()) != Reaction::kStop || error.kind() == ErrorKind::kFenced) {
      throw;
    }
    pause(table, fmt::format("{}; the sink refuses that: {}", change, error.what()), plan, before);
  }
  log_->info("table altered sink={} table={} change=\"{}\"", sink_, table->output.name.to_string(),
             alteration.describe(*table));
}

// The table keeps the columns that it has and that the source still sends.
const SinkConfigPtr& SchemaFollower::stay(const SinkConfigPtr& table, const TableRecord& before) {
  auto config = std::make_shared<SinkConfig>(*table);
  config->output.columns.clear();
  config->output.key.clear();
  Narrowed narrowed{table, nullptr, {}};
  const auto places = pair_columns(before.source, table->output);
  for (std::size_t i = 0; i < places.size(); ++i) {
    if (places[i]) {
      config->output.columns.push_back(table->output.columns[*places[i]]);
      config->output.columns.back().name = before.source.columns[i].name;
      narrowed.columns.push_back(*places[i]);
    }
  }
  if (narrowed.columns.empty()) {
    pause(table,
          fmt::format("table {} has no column at the source any more that the sink's table has",
                      table->source.to_string()),
          driver_.plan_alteration(*table, before), before);
  }
  for (const std::size_t key : table->output.key) {
    const auto kept = std::find(narrowed.columns.begin(), narrowed.columns.end(), key);
    if (kept == narrowed.columns.end()) {
      pause(table,
            fmt::format("table {} has a key at the source whose column {} the sink's table has not",
                        table->source.to_string(), table->output.columns[key].name),
            driver_.plan_alteration(*table, before), before);
    }
    config->output.key.push_back(static_cast<std::size_t>(kept - narrowed.columns.begin()));
  }
  narrowed.config = std::move(config);
  return narrowed_.insert_or_assign(table.get(), std::move(narrowed)).first->second.config;
}

std::span<const Sink> SchemaFollower::narrow(std::span<const Sink> operations) {
  if (narrowed_.empty()) {
    return operations;
  }
  narrow_operations_.assign(operations.begin(), operations.end());
  narrow_rows_ = {};
  for (Sink& operation : narrow_operations_) {
    const auto found = narrowed_.find(operation.config);
    if (found != narrowed_.end()) {
      operation.config = found->second.config.get();
      operation.data = narrow(found->second, operation.data);
      operation.before = narrow(found->second, operation.before);
    }
  }
  return narrow_operations_;
}

Row SchemaFollower::narrow(const Narrowed& narrowed, Row row) {
  if (row.empty()) {
    return row;
  }
  const auto kept = narrow_rows_.array<Value>(narrowed.columns.size());
  std::transform(narrowed.columns.begin(), narrowed.columns.end(), kept.begin(),
                 [&](std::size_t column) { return row[column]; });
  return kept;
}

// Deleting the record would say that the table is in order as it is. Where changes of it are
// skipped it never is, so that is not offered there.
std::string SchemaFollower::fresh_copy_hint(const SinkConfig& table, const TableRecord& there,
                                            const AlterationPlan& plan) const {
  std::string hint = fmt::format("in sink {}, drop table {} or bring it into the source's shape",
                                 sink_, there.target.to_string());
  for (std::size_t i = 0; i < plan.statements.size(); ++i) {
    hint += (i == 0 ? ": " : "; ") + plan.statements[i];
  }
  return hint + fmt::format("; then run `headgate snapshot start {}`", table.source.to_string());
}

void SchemaFollower::pause(const SinkConfigPtr& table, const std::string& what,
                           const AlterationPlan& plan, const TableRecord& before) {
  if (table->isolation == Isolation::kTable) {
    throw TablePaused{table, what};
  }
  std::string statements;
  for (const std::string& statement : plan.statements) {
    statements += statement + "; ";
  }
  throw Error{ErrorKind::kPaused, what,
              fmt::format("headgate goes on by itself once this was run in sink {}: {}{};", sink_,
                          statements, driver_.forget_statement(before))};
}

}  // namespace headgate
