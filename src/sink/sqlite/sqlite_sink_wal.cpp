// The part of SqliteSink that watches the write-ahead log.

#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "db/sqlite/statement.hpp"
#include "sink/sqlite/sqlite_sink.hpp"

namespace headgate::sink::sqlite {

// Never in the way: the commit is done, and the next one says so if the disk is full.
void SqliteSink::warn_about_wal() noexcept {
  constexpr std::chrono::minutes kInterval{1};
  try {
    std::error_code failure;
    // By name, without opening it: closing a file drops SQLite's POSIX locks on it.
    const auto bytes = std::filesystem::file_size(connection_->path() + "-wal", failure);
    if (failure || bytes <= tuning_.wal_bytes_warn || clock_.now() < next_wal_warning_) {
      return;
    }
    next_wal_warning_ = clock_.now() + kInterval;
    if (wal_is_stuck()) {
      log_->warn(
          "write-ahead log keeps growing sink={} file={}-wal bytes={} hint=\"a reader holds "
          "an old snapshot: end long read transactions on this database\"",
          options_.name, connection_->path(), bytes);
    }
  } catch (const std::exception& error) {
    log_->warn("write-ahead log not checked sink={} error=\"{}\"", options_.name, error.what());
  }
}

// A checkpoint as far as it goes without waiting. What it leaves behind, a reader still needs.
// (After one huge transaction it leaves nothing: then the log is large, but about to be reused.)
bool SqliteSink::wal_is_stuck() {
  db::sqlite::Statement checkpoint(*connection_, "PRAGMA wal_checkpoint(PASSIVE)", "checkpoint");
  db::sqlite::Rows rows = checkpoint.rows();
  return rows.next() && rows.integer(2) < rows.integer(1);
}

}  // namespace headgate::sink::sqlite
