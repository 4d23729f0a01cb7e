// The addresses of a transaction log, and what it holds for the capture process.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "support/sqlserver_double/table.hpp"

namespace headgate::test::sqlserver {

// Ten bytes, big-endian: log file 4, block 4, slot 2. Ordered as bytes.
using Lsn = std::string;

Lsn make_lsn(std::uint32_t file, std::uint32_t block, std::uint16_t slot);
Lsn zero_lsn();
Lsn next_lsn(Lsn lsn);
Lsn previous_lsn(Lsn lsn);
// "00000027:00000758:0003"
std::string colon_text(const Lsn& lsn);
// 0x00000027000007580003
std::string hex_text(const Lsn& lsn);
// file * 10^15 + block * 10^5 + slot, as some management views show it.
Int128 decimal_lsn(const Lsn& lsn);

// Hands out addresses: dense inside a block, with gaps between blocks and log files, as a log has.
class LsnSource {
 public:
  // Of one more record.
  Lsn next_record();
  // Of a commit, which closes its block.
  Lsn next_commit();
  Lsn last() const { return make_lsn(file_, block_, slot_); }

 private:
  std::uint32_t file_ = 0x27;
  std::uint32_t block_ = 0x100;
  std::uint16_t slot_ = 0;
};

enum class LogOperation { kDelete = 1, kInsert = 2, kUpdate = 3 };

struct LogChange {
  int object_id = 0;
  ShapePtr shape;
  LogOperation operation = LogOperation::kInsert;
  RowPtr before;  // of a delete or update
  RowPtr after;   // of an insert or update
  Lsn lsn;
  std::uint64_t statement = 0;  // changes of one statement have one number
};

// A change of a table's columns.
struct LogDdl {
  int object_id = 0;
  std::string command;
  bool type_changed = false;  // of a column that may be captured
  int column_id = 0;
  SqlType new_type;
  Lsn lsn;
  Moment time;
};

struct LoggedTransaction {
  Lsn begin_lsn;
  Lsn commit_lsn;
  Moment begin_time;
  Moment end_time;
  std::string id;  // six bytes
  std::vector<LogChange> changes;
  std::vector<LogDdl> ddl;
  bool enables_capture = false;                        // sp_cdc_enable_table itself
  std::chrono::steady_clock::time_point committed_at;  // for a lag of the capture process
};

}  // namespace headgate::test::sqlserver
