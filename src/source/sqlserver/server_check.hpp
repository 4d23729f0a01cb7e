// What the server, the database and our rights there must be for `headgate check`, each failing
// point with the T-SQL that mends it.
//
// Each function asks one thing and changes nothing.

#pragma once

#include <string>
#include <vector>

#include "db/odbc/connection.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/finding.hpp"
#include "pipeline/table_filter.hpp"
#include "source/sqlserver/capture_instances.hpp"
#include "source/sqlserver/capture_state.hpp"
#include "source/sqlserver/options.hpp"

namespace headgate::source::sqlserver {

// ---- what following needs: asked at each start of the daemon, too

// The version's floor, and editions that cannot capture changes.
Finding check_version(const ServerFacts& server);

// Change data capture is on for the database. Throws Error{kOperator} when the database is not
// listed.
Finding check_capture_is_on(odbc::Connection& connection, const ServerFacts& server);

// SELECT on what stands beside the change tables, and on them where they are read directly; where
// their functions are asked instead, what those want.
// Of instances of tables that `filter` leaves out nothing is asked.
Findings check_reading(odbc::Connection& connection, const ServerFacts& server,
                       const TableFilter& filter, QueryMode mode);

// Every table that was named is there, under that name, and captured; those that a pattern matches
// and nobody captures are warned of. REQUIRES: check_reading() found nothing.
Findings check_tables(odbc::Connection& connection, const ServerFacts& server,
                      const TableFilter& filter, const std::vector<CaptureInstance>& all);

// The statement that captures a table.
std::string enable_table(const TableName& table);

// ---- what keeps it going: for a person who asks, while the daemon watches the same as it runs

// Agent, jobs, retention, the capture process's lag, how near each sink is to what clean-up takes,
// and the rights to see all that.
Findings check_capture(odbc::Connection& connection, const ServerFacts& server,
                       const std::vector<SinkStand>& sinks, const Options& options);

// Gating roles, columns that are captured wrongly or make the application's statements fail; for
// the first copy, where there is one, SELECT on the tables and snapshot isolation.
Findings check_details(odbc::Connection& connection, const ServerFacts& server,
                       const std::vector<CaptureInstance>& ours, const Options& options);

}  // namespace headgate::source::sqlserver
