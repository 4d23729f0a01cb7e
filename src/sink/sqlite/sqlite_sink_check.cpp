// The part of SqliteSink that looks without touching: for `headgate check`.

#include <filesystem>

#include <fmt/format.h>

#include "sink/sqlite/database_file.hpp"
#include "sink/sqlite/sqlite_sink.hpp"

namespace headgate::sink::sqlite {
namespace {

using db::sqlite::Connection;

bool has_position_table(Connection& connection) {
  return connection.query_integer(
             "SELECT count(*) FROM main.sqlite_schema WHERE name = 'headgate_positions'") != 0;
}

}  // namespace

SinkPosition SqliteSink::check(Findings& findings) {
  const std::string role = "sink " + options_.name + ": ";
  try {
    const std::string path = check_database_place(options_.path);
    if (!std::filesystem::exists(path)) {
      findings.push_back(Finding::ok(role + path + " is not there yet and will be made"));
      return {};
    }
    // For writing, although nothing is written: the last connection that was opened for reading
    // only leaves the -wal and -shm files behind.
    Connection connection(path, {.create = false, .busy_timeout = tuning_.busy_timeout});
    connection.execute("PRAGMA query_only = ON");
    check_encoding(connection);
    const std::string mode = connection.query_text("PRAGMA journal_mode");
    findings.push_back(Finding::ok(
        mode == "wal" ? role + path + " is a SQLite database in WAL mode"
                      : fmt::format("{}{} is a SQLite database; its journal mode becomes "
                                    "wal instead of {}",
                                    role, path, mode)));
    if (!has_position_table(connection)) {
      return {};
    }
    const auto row = PositionTable(connection, options_.pipeline, options_.name).read();
    return row ? SinkPosition{row->position, row->epoch} : SinkPosition{};
  } catch (const Error& error) {
    findings.push_back(Finding::from(error.with_context("sink " + options_.name)));
    return {};
  }
}

}  // namespace headgate::sink::sqlite
