// What a sink remembers of a mirrored table: how the source described it when its last change was
// applied. A later description is compared with it, so that what the source altered meanwhile can
// be told apart (a renamed column from a dropped and an added one, say), also over restarts.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/schema.hpp"
#include "pipeline/sink_operation.hpp"

namespace headgate {

// How far the copy of a table in chunks is in a sink. Stored with each chunk.
struct CopyProgress {
  std::uint64_t chunks = 0;         // that are there; 0: no row of it is
  std::vector<std::string> cursor;  // CopyMark's of the last of them
  std::string run;                  // and its run
  std::uint64_t rows = 0;           // in these
  bool complete = false;            // the last one is there; the other tables are waited for
  // Rows that came to these keys without values that only the row under their old key had, and that
  // may not have been copied: they are read again.
  std::vector<std::vector<std::string>> moved;
  bool again = false;  // readers see an earlier copy meanwhile, which is kept up to date
  // Changes, or chunks of an earlier attempt, have been written: a chunk may meet rows that are
  // there.
  bool mixed = false;

  friend bool operator==(const CopyProgress&, const CopyProgress&) = default;
};

// Why a table stays as it is while all else goes on (Isolation::kTable). Its changes are skipped
// from then on, so that only a fresh copy ends it.
struct TablePause {
  std::string reason;        // what the source has changed, and why headgate cannot
  std::string remedy;        // what a person does
  std::string since;         // the sink's position then: the rows are the source's there
  std::string refused = {};  // why the last fresh copy was not taken; empty: none was refused

  friend bool operator==(const TablePause&, const TablePause&) = default;
};

// One row of headgate_tables. A plain value.
struct TableRecord {
  // Its fills are not kept. Of a paused table that is copied: as its copy's rows are.
  TableSchema source;
  TableName target;                       // the sink's table
  std::optional<CopyProgress> copy = {};  // while it is copied in chunks
  // From which position on its rows are those of the source; empty where a first copy of all tables
  // at once has brought them.
  std::string consistent_from = {};
  std::optional<TablePause> paused = {};

  friend bool operator==(const TableRecord&, const TableRecord&) = default;
};

using TableRecords = std::vector<TableRecord>;

// The record of a table as `config` has it.
TableRecord record_of(const SinkConfig& config);

// What names the record among those of its pipeline and sink: the source's id of the table, or its
// name where the source has none.
std::string record_id(const TableSchema& source);

// As JSON, and back. parse_record() throws Error{kOperator} when `json` is none of ours.
std::string to_json(const TableRecord& record);
TableRecord parse_record(std::string_view json);

}  // namespace headgate
