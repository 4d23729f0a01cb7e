// Keeps a sink's tables in step with the source's: creates them, alters them where the source has
// altered its own, or says what a person must do.

#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/arena.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "core/position.hpp"
#include "pipeline/sink_driver.hpp"
#include "pipeline/table_alteration.hpp"

namespace headgate {

// A table must stay as it is, and it alone (Isolation::kTable). Of kind kPaused; what() says what
// the source has changed, and why headgate cannot.
class TablePaused final : public Error {
 public:
  TablePaused(SinkConfigPtr table, const std::string& reason)
      : Error(ErrorKind::kPaused, reason), table_(std::move(table)) {}

  const SinkConfigPtr& table() const { return table_; }

 private:
  SinkConfigPtr table_;
};

// Belongs to one ApplyStep, and is called from its thread.
class SchemaFollower {
 public:
  // `driver` must outlive it. `sink` is the sink's name in the configuration.
  SchemaFollower(std::string sink, SinkDriver& driver, Logger log);

  // The driver is connected (again): reads what the sink remembers of its tables. What was prepared
  // in a transaction that was rolled back is forgotten with it.
  void connected();

  // What the sink remembers.
  TableRecords records() const;

  // A first copy begins: nothing is known of any table.
  void forget();

  // Whether the sink holds this table of the source, under whatever description.
  bool knows(const SinkConfig& table) const { return record_for(table) != nullptr; }

  // The record of this table of the source; null where there is none. Valid until the next change.
  const TableRecord* record_for(const SinkConfig& table) const;

  const TableRecord* find(const std::string& record_id) const;

  // Whether this table of the source stays as it is in the sink, and all that comes of it is
  // skipped.
  bool is_paused(const SinkConfig& table) const;
  bool any_paused() const { return !paused_.empty(); }

  // Within the driver's transaction: keeps `record`, also in the sink; or keeps none of it.
  void remember(const TableRecord& record);
  void forget(const TableRecord& record);
  // None but `record` is in its table: forgets whose rows were there.
  void forget_occupants(const TableRecord& record);

  // Makes `table` ready for its first row of this description, within the transaction that brings
  // the row. `missing` as for SinkDriver::prepare_table().
  //
  // Throws Error{kPaused} when a person must act first, with the statements as its hint;
  // TablePaused where everything else goes on meanwhile. REQUIRES: !is_paused(*table).
  void prepare(const SinkConfigPtr& table, MissingTable missing);

  // Within a transaction of the driver's own at `position`, behind the rollback of the one in which
  // `pause` was thrown: keeps in the table's record that it stays as it is from here on.
  void keep_paused(const TablePaused& pause, const Position& position);

  // With `schema_changes: ignore`, the operations as the sink's tables, left as they were, can take
  // them: without the columns that came since. Otherwise `operations` themselves. The result lives
  // as long as the operations and until the next call.
  std::span<const Sink> narrow(std::span<const Sink> operations);

 private:
  // What a table keeps of the rows of its newer description.
  struct Narrowed {
    SinkConfigPtr wide;
    SinkConfigPtr config;
    std::vector<std::size_t> columns;  // of `wide`, in the order of `config`
  };

  const SinkConfigPtr& stay(const SinkConfigPtr& table, const TableRecord& before);
  Row narrow(const Narrowed& narrowed, Row row);
  const TableRecord* occupant_of(const TableName& target) const;
  void follow(const SinkConfigPtr& table, const TableRecord& before,
              const TableAlteration& alteration);
  [[noreturn]] void pause(const SinkConfigPtr& table, const std::string& what,
                          const AlterationPlan& plan, const TableRecord& before);
  std::string fresh_copy_hint(const SinkConfig& table, const TableRecord& there,
                              const AlterationPlan& plan) const;

  std::string sink_;
  SinkDriver& driver_;
  Logger log_;
  std::map<std::string, TableRecord> records_;  // by record_id()
  std::set<std::string> paused_;                // those of records_ with a pause
  std::map<const SinkConfig*, Narrowed> narrowed_;
  std::vector<Sink> narrow_operations_;
  Arena narrow_rows_;
};

}  // namespace headgate
