#include "source/sqlserver/scan_fence.hpp"

#include <charconv>
#include <cstdint>
#include <string_view>

#include <fmt/format.h>

#include "base/error.hpp"
#include "db/odbc/statement.hpp"
#include "source/sqlserver/log_window.hpp"

namespace headgate::source::sqlserver {
namespace {

// Digits of the slot, and of the block before it.
constexpr std::size_t kSlotDigits = 5;
constexpr std::size_t kBlockDigits = 10;

constexpr const char* kLookAtScans = "look at the capture process's scans";

template <typename Number>
Number number_of(std::string_view digits, const std::string& all) {
  Number number = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, failure] = std::from_chars(digits.data(), end, number);
  if (all.empty() || digits.empty() || failure != std::errc{} || stop != end) {
    throw Error{ErrorKind::kOperator,
                fmt::format("source: the server shows an LSN as \"{}\"", all)};
  }
  return number;
}

// What `ask` throws for want of a right gets the statement that gives it.
template <typename Ask>
auto with_hint(Ask ask) {
  try {
    return ask();
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kOperator) {
      throw;
    }
    throw Error{ErrorKind::kOperator, error.what(),
                "GRANT VIEW SERVER STATE to the login (Azure SQL Database: VIEW DATABASE STATE to "
                "the user): a first copy needs it, to tell where in the log its rows stand"};
  }
}

}  // namespace

LSN lsn_of_decimal(const std::string& digits) {
  const std::string padded = std::string(kSlotDigits + kBlockDigits + 1, '0') + digits;
  const std::string_view all = padded;
  const std::size_t slot = all.size() - kSlotDigits;
  const std::size_t block = slot - kBlockDigits;
  return LSN::parse(fmt::format("{:08x}:{:08x}:{:04x}",
                                number_of<std::uint32_t>(all.substr(0, block), digits),
                                number_of<std::uint32_t>(all.substr(block, kBlockDigits), digits),
                                number_of<std::uint16_t>(all.substr(slot), digits)));
}

ScanFence ScanFence::set(odbc::Connection& snapshot, odbc::Connection& other) {
  return with_hint([&] {
    ScanFence fence;
    {
      odbc::Statement rows(snapshot, "find a copy point's place in the log");
      rows.execute(
          "SELECT CONVERT(varchar(40), t.database_transaction_most_recent_savepoint_lsn) "
          "FROM sys.dm_tran_database_transactions t "
          "JOIN sys.dm_tran_current_transaction c ON c.transaction_id = t.transaction_id "
          "WHERE t.database_id = DB_ID()");
      if (!rows.next() || rows.is_null(0)) {
        throw Error{ErrorKind::kOperator,
                    "source: the server does not show the place of our own savepoint"};
      }
      fence.savepoint_ = lsn_of_decimal(rows.text(0));
      rows.drain();
    }
    fence.look_at_scans(other);
    return fence;
  });
}

void ScanFence::look_at_scans(odbc::Connection& connection) {
  {
    odbc::Statement rows(connection, "look for an availability group");
    rows.execute(
        "SELECT COUNT(*) FROM sys.databases WHERE database_id = DB_ID() AND replica_id IS NOT "
        "NULL");
    in_group_ = rows.next() && rows.integer(0) > 0;
    rows.drain();
  }
  {
    odbc::Statement rows(connection, kLookAtScans);
    // The later of both: a clock that was set back makes scans look older than they are, and then
    // none counts by its time until the clock has caught up.
    rows.execute(
        "SELECT CONVERT(varchar(30), CASE WHEN MAX(start_time) > GETDATE() THEN MAX(start_time) "
        "ELSE GETDATE() END, 126) FROM sys.dm_cdc_log_scan_sessions WHERE session_id <> 0");
    if (rows.next()) {
      scans_begun_ = rows.text(0);
      rows.drain();
    }
  }
  odbc::Statement rows(connection, kLookAtScans);
  rows.execute(
      "SELECT TOP (1) session_id, empty_scan_count FROM sys.dm_cdc_log_scan_sessions WHERE "
      "session_id <> 0 AND end_time IS NOT NULL ORDER BY session_id DESC");
  if (rows.next()) {
    last_scan_ = rows.integer(0);
    empty_scans_ = rows.integer(1);
    rows.drain();
  }
}

std::optional<LSN> ScanFence::passed(odbc::Connection& connection) const {
  if (const auto captured = captured_to(connection); captured && savepoint_ <= *captured) {
    return captured;
  }
  if (in_group_) {
    return std::nullopt;
  }
  bool empty_scan = false;
  {
    odbc::Statement rows(connection, kLookAtScans);
    // By time, or by number: of two empty scans that are new since the fence, the first may have
    // begun before it.
    rows.execute(fmt::format(
        "SELECT COUNT(*) FROM sys.dm_cdc_log_scan_sessions WHERE session_id <> 0 AND end_time IS "
        "NOT NULL AND error_count = 0 AND empty_scan_count > 0 AND (start_time > "
        "CONVERT(datetime, '{}', 126) OR (session_id = {} AND empty_scan_count >= {}) OR "
        "(session_id > {} AND empty_scan_count >= 2))",
        scans_begun_, last_scan_, empty_scans_ + 2, last_scan_));
    empty_scan = rows.next() && rows.integer(0) > 0;
    rows.drain();
  }
  // Behind it: what earlier scans have captured is there.
  return empty_scan ? captured_to(connection) : std::nullopt;
}

}  // namespace headgate::source::sqlserver
