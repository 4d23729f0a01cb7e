// What of the log can be read now, and which transactions are in it.

#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "core/lsn.hpp"
#include "db/odbc/connection.hpp"
#include "source/sqlserver/server_time.hpp"

namespace headgate::source::sqlserver {

// A transaction as cdc.lsn_time_mapping has it.
struct MappedTransaction {
  std::string id;          // as 0x-hex
  WallTime commit_time{};  // by the server's clock; ties are common, and it may go back: order
                           // nothing by it
};

// Everything that was committed behind `from`, up to and including `to`. All change tables are
// complete to there: the capture process commits whole transactions, with their rows of the
// mapping.
struct LogWindow {
  LSN from;
  LSN to;
  std::map<LSN, MappedTransaction> transactions;  // by commit LSN
};

// To where the change tables are complete; none while the capture process has never run. Not
// sys.fn_cdc_get_max_lsn(): whether that reads uncommitted rows is not documented.
std::optional<LSN> captured_to(odbc::Connection& connection);

// The next window behind `from`: at most `transactions_max` transactions, up to `captured`.
LogWindow next_window(odbc::Connection& connection, const LSN& from, const LSN& captured,
                      std::size_t transactions_max, const ServerTime& time);

}  // namespace headgate::source::sqlserver
