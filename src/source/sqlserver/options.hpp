// Options of a SQL Server source. Plain values; config/ fills them.

#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace headgate::source::sqlserver {

struct Options {
  // ODBC's, as the user gave it, and the password from password_file.
  std::string connection_string;
  std::string password;

  // In the configuration's order, as for PostgreSQL.
  std::vector<std::string> tables;

  // How often the server is asked whether something was captured.
  Duration poll_interval = std::chrono::milliseconds(500);

  // Transactions in one window, and rows in one page of a change table.
  std::size_t window_transactions_max = 500;
  std::size_t page_rows = 2000;

  // A lock of somebody else (the capture job's, the clean-up's) is waited for so long, and a
  // statement's answer.
  Duration lock_timeout = std::chrono::seconds(10);
  Duration statement_timeout = std::chrono::seconds(60);

  // With nothing captured, how often the sinks' positions follow, so that three quiet days do not
  // look like a gap.
  Duration idle_advance_interval = std::chrono::seconds(10);

  // What pending transactions may take in memory, and where the rest of them goes.
  std::size_t gate_bytes_max = std::size_t{64} * 1024 * 1024;
  std::string spill_folder;
  std::uint64_t spill_bytes_max = std::uint64_t{20} * 1024 * 1024 * 1024;
};

}  // namespace headgate::source::sqlserver
