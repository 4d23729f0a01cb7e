// What a sink remembers of a mirrored table: how the source described it when its last change was
// applied. A later description is compared with it, so that what the source altered meanwhile can
// be told apart (a renamed column from a dropped and an added one, say), also over restarts.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/schema.hpp"
#include "pipeline/sink_operation.hpp"

namespace headgate {

// One row of headgate_tables. A plain value.
struct TableRecord {
  TableSchema source;  // its fills are not kept
  TableName target;    // the sink's table

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
