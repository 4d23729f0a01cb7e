// Options of a PostgreSQL source. Plain values; config/ fills them.

#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "pipeline/snapshot_capturer.hpp"

namespace headgate::source::postgres {

// What to do with a captured table that has no usable replica identity.
enum class KeylessPolicy {
  kAppend,  // publish its inserts (and truncates) only, through `<publication>_append`
  kRefuse,  // stop and name the table
};

struct Options {
  // libpq connection string or URI, without the password.
  std::string conninfo;
  // From password_file; empty: libpq's own ways (PGPASSFILE, service file, peer authentication).
  std::string password;

  std::string slot;
  std::string publication;

  // In the configuration's order: `schema.table`, `*` in either part, `!` in front excludes. The
  // last pattern that matches decides.
  std::vector<std::string> tables;
  KeylessPolicy keyless = KeylessPolicy::kAppend;

  // logical_decoding_work_mem for our own walsender, as the server takes it ("256MB").
  std::optional<std::string> decoding_work_mem;

  // Where transactions that are sent while in progress wait for their end, and how much of them, in
  // bytes. An empty folder: they are not asked for, and the server keeps them itself.
  std::string spill_folder;
  std::uint64_t spill_bytes_max = std::uint64_t{20} * 1024 * 1024 * 1024;

  // Ask servers that can (14 and later) for large transactions while they are in progress.
  bool streaming = true;

  // Leave out what was itself replicated to the source (carries an origin), so that two databases
  // may follow each other.
  bool local_changes_only = false;

  // Ask for binary values where every sink can take them.
  bool binary = false;

  // False (snapshot.mode: never): a new sink begins empty, at the slot's position, without the rows
  // that are there already.
  bool copy_rows = true;

  // How the rows of a first copy come: chunk by chunk beside the stream, or in one go before it.
  // What is asked for later comes in chunks.
  bool copy_in_chunks = false;
  CopyOptions chunks{};
  // Of one table, how many chunks the server works on at a time, each through a connection of its
  // own; at least 1.
  std::size_t parallel = 2;
  // What matches `tables` for the first time is published and copied.
  bool copy_new_tables = false;

  // A transaction larger than this travels in portions of this size.
  std::size_t portion_bytes = std::size_t{4} * 1024 * 1024;

  // Status messages to the server at least this often, whatever else happens; far below
  // wal_sender_timeout (60 s by default).
  Duration status_interval = std::chrono::seconds(5);

  // A server that sends nothing, although it was asked for a sign of life when half of this had
  // passed, is taken for lost. Longer each time until the stream gets on.
  Duration receive_timeout = std::chrono::minutes(2);

  // How often the catalog is looked at for tables that were altered and have no new rows.
  Duration schema_watch_interval = std::chrono::seconds(10);

  // With nothing to apply, how often the sinks' positions follow the server's log, so that an idle
  // slot does not hold it back.
  Duration idle_advance_interval = std::chrono::seconds(10);
};

}  // namespace headgate::source::postgres
