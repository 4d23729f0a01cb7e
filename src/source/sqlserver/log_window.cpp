#include "source/sqlserver/log_window.hpp"

#include <charconv>
#include <chrono>

#include <fmt/format.h>

#include "base/hex.hpp"
#include "db/odbc/statement.hpp"

namespace headgate::source::sqlserver {

std::optional<LSN> captured_to(odbc::Connection& connection) {
  odbc::Statement rows(connection, "ask how far changes are captured");
  rows.execute("SELECT MAX(start_lsn) FROM cdc.lsn_time_mapping");
  if (!rows.next() || rows.is_null(0)) {
    return std::nullopt;
  }
  const LSN captured = LSN::from_bytes(rows.bytes(0));
  rows.drain();
  return captured;
}

LogWindow next_window(odbc::Connection& connection, const LSN& from, const LSN& captured,
                      std::size_t transactions_max, const ServerTime& time) {
  LogWindow window{from, captured, {}};
  odbc::Statement rows(connection, "read cdc.lsn_time_mapping");
  // tran_id 0x00 marks rows that stand for no transaction.
  rows.execute(fmt::format(
      "SELECT TOP ({}) start_lsn, tran_id, {} FROM cdc.lsn_time_mapping WHERE start_lsn > {} AND "
      "start_lsn <= {} AND tran_id <> 0x00 ORDER BY start_lsn",
      transactions_max, time.milliseconds_of("tran_end_time"), from.to_hex(), captured.to_hex()));
  while (rows.next()) {
    const LSN commit = LSN::from_bytes(rows.bytes(0));
    MappedTransaction transaction;
    transaction.id = "0x" + to_hex(rows.bytes(1));
    if (!rows.is_null(2)) {
      transaction.commit_time = time.to_utc(rows.integer(2));
    }
    window.transactions.insert_or_assign(commit, std::move(transaction));
  }
  if (window.transactions.size() >= transactions_max) {
    window.to = window.transactions.rbegin()->first;  // the rest comes with the next window
  }
  return window;
}

}  // namespace headgate::source::sqlserver
