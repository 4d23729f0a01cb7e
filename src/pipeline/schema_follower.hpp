// Keeps a sink's tables in step with the source's: creates them, alters them where the source has
// altered its own, or says what a person must do.

#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/arena.hpp"
#include "base/log.hpp"
#include "pipeline/sink_driver.hpp"
#include "pipeline/table_alteration.hpp"

namespace headgate {

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
  void forget() { records_.clear(); }

  // Whether the sink holds this table of the source, under whatever description.
  bool knows(const SinkConfig& table) const { return record_for(table) != nullptr; }

  // The record of this table of the source; null where there is none. Valid until the next change.
  const TableRecord* record_for(const SinkConfig& table) const;

  const TableRecord* find(const std::string& record_id) const;

  // Within the driver's transaction: keeps `record`, also in the sink; or keeps none of it.
  void remember(const TableRecord& record);
  void forget(const TableRecord& record);

  // Makes `table` ready for its first row of this description, within the transaction that brings
  // the row. `missing` as for SinkDriver::prepare_table().
  //
  // Throws Error{kPaused} when a person must act first, with the statements as its hint.
  void prepare(const SinkConfigPtr& table, MissingTable missing);

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
  void follow(const SinkConfig& table, const TableRecord& before,
              const TableAlteration& alteration);
  [[noreturn]] void pause(const std::string& what, const AlterationPlan& plan,
                          const TableRecord& before);

  std::string sink_;
  SinkDriver& driver_;
  Logger log_;
  std::map<std::string, TableRecord> records_;  // by record_id()
  std::map<const SinkConfig*, Narrowed> narrowed_;
  std::vector<Sink> narrow_operations_;
  Arena narrow_rows_;
};

}  // namespace headgate
