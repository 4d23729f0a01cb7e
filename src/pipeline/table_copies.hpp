// A sink's side of a copy in chunks: staging tables, and how far each is.

#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/log.hpp"
#include "core/transaction.hpp"
#include "pipeline/schema_follower.hpp"
#include "pipeline/sink_driver.hpp"

namespace headgate {

// Whether two descriptions of a table are the same to a copy in progress.
bool same_description(const TableSchema& a, const TableSchema& b);

// Whether `transaction` describes the table of `copied` otherwise: then its copy begins again.
bool alters(const Transaction& transaction, const TableSchema& copied);

// The keys to which `transaction` moves rows of the table without the values that it leaves alone.
// Where such a row was under its old key may not be copied yet, so the sink has nothing to move.
// Values as the source prints them.
std::vector<std::vector<std::string>> moved_rows(const Transaction& transaction,
                                                 const TableSchema& copied);

// Which tables are copied, by record_id(), and how many chunks of each are there.
using CopiesStand = std::map<std::string, std::uint64_t>;

// The rows of a table that is copied in chunks are gathered in a staging table, which nobody reads.
// What the stream changes in the table meanwhile is written there too (or only there, as long as
// readers have no copy), by the rules of a mirror: complete rows are inserted or overwrite, updates
// without large values and deletes do nothing where the row is not there. When every table of the
// copy is complete, all come into their places in one transaction.
//
// How far a copy is stands in the table's record, which changes in the same transaction.
//
// A fresh copy also ends the pause of a table that stays as it was while all else goes on
// (TableRecord::paused): its changes go to the staging table alone. Where the sink's table cannot
// take such a copy, this one copy is dropped, and the table stays paused.
//
// Belongs to one ApplyStep.
class TableCopies {
 public:
  // All references must outlive it.
  TableCopies(std::string sink, SinkDriver& driver, SchemaFollower& tables, Logger log);

  // The driver is connected (again), and the records are read.
  void connected();

  // Some table is being copied.
  bool any() const { return !copied_.empty(); }

  CopiesStand stand() const;

  // Whether `transaction`, of one of the purposes kCopy…, is for a sink at `position`.
  bool wants(const Transaction& transaction, const Position& position) const;

  // Within the driver's transaction, as all that follow. kCopyBegin of `table`. `missing_only`: not
  // where the sink has it.
  //
  // Throws Error{kOperator} when the sink's table cannot take the rows, or holds some and
  // `existing` is kRefuse. A paused table that cannot take them stays paused, and is not copied.
  void begin(const SinkConfigPtr& table, ExistingRows existing, bool missing_only);

  // Directs changes to where they belong. Operations that a copy will bring anyway are dropped, and
  // those of paused tables.
  void route(DataSet& data);

  // A kCopyChunk, or a portion of one, and what the transformer has made of it.
  //
  // Throws Error{kReread} when chunks between this one and the last are missing.
  void write_chunk(const Transaction& portion, const DataSet& data);

  // `end`, a kCopyEnd, at `position`. Throws Error{kReread} when some table that ends is not
  // complete. Cancelled: what was gathered goes; readers keep the copy that they have. `tables`:
  // what the transformer has made of those that end.
  void end(const Transaction& end, std::span<const SinkConfigPtr> tables, const Position& position,
           ExistingRows existing);

 private:
  struct Copied {
    TableRecord record;     // its source: as the rows in the staging table are
    SinkConfigPtr staging;  // null: not used yet since the driver was connected
    // Of the chunk that is written.
    bool chunk_meets_rows = false;
    std::uint64_t chunk_rows = 0;
  };

  using Tables = std::span<const SinkConfigPtr>;

  Copied* find(const SinkConfig& table);
  void cancel(Tables tables);
  StagedTable stage(const Copied& copied, Tables tables, ExistingRows existing);
  void refuse_unfit(Tables tables);
  bool refuse(const SinkConfig& table);
  void keep(const Copied& copied);
  void use_staging(Copied& copied, const SinkConfig& table);
  void make_staging(Copied& copied, const SinkConfig& table);
  void start_over(Copied& copied, const std::string& reason);
  void give_up(const Copied& copied, const SinkConfig& table);

  std::string sink_;
  SinkDriver& driver_;
  SchemaFollower& tables_;
  Logger log_;
  std::map<std::string, Copied> copied_;  // by record_id()
};

}  // namespace headgate
