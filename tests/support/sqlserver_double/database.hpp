// One database: its schemas and tables, its log, and what change data capture keeps in it.

#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/sqlserver_double/log_lsn.hpp"
#include "support/sqlserver_double/table.hpp"

namespace headgate::test::sqlserver {

struct CapturedColumn {
  int column_id = 0;  // of the source table
  std::string name;
  SqlType type;  // of the column in the change table
  int ordinal = 1;
  bool computed = false;
};

struct CaptureInstance {
  std::string name;
  int object_id = 0;  // of the change table
  int source_object_id = 0;
  std::vector<CapturedColumn> columns;
  std::string index_name;                  // empty: none
  std::vector<std::string> index_columns;  // in the key's order
  std::optional<std::string> role_name;
  bool supports_net_changes = false;
  bool has_command_id = true;
  Lsn start_lsn;
  Moment create_date;
  // Whether the capture process has passed start_lsn, before which fn_cdc_get_min_lsn is NULL.
  bool established = false;
  TablePtr table;

  const CapturedColumn* column(const std::string& column_name) const;
};

// What the capture process has read of a DDL statement.
struct CapturedDdl {
  int source_object_id = 0;
  bool required_column_update = false;
  std::string command;
  Lsn lsn;
  Moment time;
};

// A session of the capture process that reads the log, in the server's local time.
struct LogScan {
  std::int64_t session = 1;
  Moment began;
  Moment ended;
  std::int64_t empty_scans = 0;  // consecutive ones are one row; 0: it found something
};

// What sys.dm_cdc_errors has.
struct CaptureFailure {
  int number = 0;
  Moment time;
};

// One column of a view or function's answer.
struct RowsetColumn {
  std::string name;
  SqlType type;
  bool nullable = true;
};

struct Rowset {
  std::vector<RowsetColumn> columns;
  std::vector<RowPtr> rows;
};

// Not thread-safe: guarded by the server's mutex.
class Database {
 public:
  Database(std::string database_name, int database_id, Moment created);

  // A copy of what is committed, as a backup holds it. REQUIRES: no open transaction in it.
  std::unique_ptr<Database> copy() const;

  std::string name;
  int id;
  Moment create_date;
  std::string recovery_fork_guid;  // 16 bytes
  std::string family_guid;
  std::string database_guid;
  std::map<std::string, int> schemas;  // lower-case name: id
  bool snapshot_isolation = true;
  bool read_committed_snapshot = false;

  struct Sequence {
    SqlType type;
    std::int64_t next = 1;
    std::int64_t step = 1;
  };
  std::map<std::string, Sequence> sequences;  // by "schema.name" in lower case

  LsnSource log;
  std::deque<LoggedTransaction> uncaptured;  // in commit order
  Lsn log_end;                               // the last commit of anything
  Lsn captured_upto;                         // empty: the capture process never ran
  bool cdc_enabled = false;
  std::optional<LogScan> last_scan;  // since the server's start
  bool scanning = false;             // and another one is under way
  std::vector<CaptureFailure> capture_failures;
  TablePtr lsn_time_mapping;  // none until CDC was enabled
  std::vector<CaptureInstance> instances;
  std::vector<CapturedDdl> ddl_history;

  TablePtr add_table(const std::string& schema, const std::string& table_name, Moment created);
  void remove_table(int object_id);
  // Throws SqlError 15335 when the name is taken.
  void rename_table(Table& table, const std::string& new_name);
  // Either may be in any case; none when there is no such table.
  TablePtr table(const std::string& schema, const std::string& table_name) const;
  TablePtr table(int object_id) const;
  const std::map<int, TablePtr>& tables() const { return tables_; }
  int next_object_id() { return next_object_id_ += 16; }

  CaptureInstance* instance(const std::string& instance_name);
  std::vector<CaptureInstance*> instances_of(int source_object_id);

 private:
  std::map<int, TablePtr> tables_;
  std::map<std::string, int> table_ids_;  // "schema.table" in lower case
  int next_object_id_ = 901578250;
};

std::string random_guid();

}  // namespace headgate::test::sqlserver
