// Change data capture: enabling it, the process that reads the log into change tables, and
// clean-up.
//
// All calls REQUIRE the engine's mutex.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "support/sqlserver_double/engine.hpp"

namespace headgate::test::sqlserver {

struct EnableTableArguments {
  std::string schema;
  std::string table;
  std::string capture_instance;  // empty: schema_table
  std::optional<std::string> role_name;
  std::string index_name;            // empty: the primary key, if any
  std::vector<std::string> columns;  // empty: all
  bool supports_net_changes = false;
};

// What sp_cdc_enable_db and its like do; each throws SqlError with the number that the procedure
// raises.
void enable_database(Engine& engine, Database& database);
void disable_database(Engine& engine, Database& database);
void enable_table(Engine& engine, Database& database, const EnableTableArguments& arguments);
// `capture_instance` may be "all".
void disable_table(Engine& engine, Database& database, const std::string& schema,
                   const std::string& table, const std::string& capture_instance);
// Part of DROP TABLE.
void drop_instances_of(Database& database, int source_object_id);

// What sys.dm_cdc_log_scan_sessions has of a scan that ends now.
void record_scan(const Engine& engine, Database& database, bool empty);

// Reads up to `transactions_max` committed transactions of the log into the change tables and
// commits. Returns how many it read.
std::size_t capture(Engine& engine, Database& database, std::size_t transactions_max);

// As capture(), but leaves the capture process's own transaction open: its rows are there for who
// reads uncommitted, and nobody else. Returns that transaction, which the caller commits.
Transaction& capture_uncommitted(Engine& engine, Database& database, std::size_t transactions_max);

// A row of lsn_time_mapping that stands for no transaction, as a server writes them when idle. It
// says that everything before it is captured, so there is none while something is not.
void write_idle_row(Engine& engine, Database& database);

// Clean-up in its two steps, of which a reader may see only the first. `only` names one instance;
// empty: all of them.
void raise_low_water_mark(Database& database, const Lsn& mark, const std::string& only = {});
void delete_below_low_water_mark(Engine& engine, Database& database);

// The mark that the clean-up job would use: the first commit within `retention_minutes` of the
// last one's time. None when nothing was captured.
std::optional<Lsn> low_water_mark(Engine& engine, const Database& database,
                                  std::int64_t retention_minutes);

// Both steps, as sp_cdc_cleanup_change_table: 22964 when `mark` is no commit that is known, 22957
// when it is below the instance's start already.
void cleanup_change_table(Engine& engine, Database& database, const std::string& capture_instance,
                          const Lsn& mark);

// MAX(start_lsn) of lsn_time_mapping as committed; none when it is empty.
std::optional<Lsn> max_lsn(Engine& engine, const Database& database);

// The bit of column `ordinal` (1-based) in a mask, whose last byte holds the lowest ordinals.
bool mask_bit(const std::string& mask, int ordinal);

}  // namespace headgate::test::sqlserver
