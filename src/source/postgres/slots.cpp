#include "source/postgres/slots.hpp"

#include <fmt/format.h>

#include "base/deliberate_break.hpp"
#include "core/lsn.hpp"

namespace headgate::source::postgres {
namespace {

std::uint64_t lsn_or_zero(const pq::Result& rows, int column) {
  return rows.is_null(0, column) ? 0 : LSN::parse(rows.value(0, column)).to_postgres();
}

constexpr const char* kBeginAgain =
    "the changes since then are gone: drop the mirrored tables and this pipeline's row of "
    "headgate_positions in the sink, and start again with a new copy";

}  // namespace

std::optional<SlotState> find_slot(pq::Connection& connection, const std::string& name) {
  const bool knows_wal_status = connection.server_version() >= 130000;
  const pq::Result rows =
      connection.exec(fmt::format("SELECT plugin, database, slot_type = 'logical', active_pid, "
                                  "confirmed_flush_lsn, restart_lsn, {}, "
                                  "CASE WHEN pg_is_in_recovery() THEN 0 "
                                  "ELSE coalesce(pg_current_wal_lsn() - restart_lsn, 0) END::int8 "
                                  "FROM pg_replication_slots WHERE slot_name = $1",
                                  knows_wal_status ? "wal_status, safe_wal_size" : "NULL, NULL"),
                      {name}, "look up replication slot " + name);
  if (rows.rows() == 0) {
    return std::nullopt;
  }
  SlotState slot;
  slot.plugin = rows.text(0, 0);
  slot.database = rows.text(0, 1);
  slot.logical = rows.boolean(0, 2);
  if (!rows.is_null(0, 3)) {
    slot.active_pid = static_cast<int>(rows.integer(0, 3));
  }
  slot.ready = !rows.is_null(0, 4);
  slot.confirmed_flush = lsn_or_zero(rows, 4);
  slot.restart = lsn_or_zero(rows, 5);
  slot.wal_status = rows.text(0, 6);
  slot.safe_wal_bytes = rows.is_null(0, 7) ? -1 : rows.integer(0, 7);
  slot.retained_bytes = static_cast<std::uint64_t>(rows.integer(0, 8));
  return slot;
}

Findings check_slot(const std::optional<SlotState>& slot, const std::string& name,
                    const std::string& database, std::uint64_t log_end,
                    const std::vector<SinkStand>& sinks) {
  Findings findings;
  for (const SinkStand& stand : sinks) {
    // What was sent had been flushed, so a sink cannot be ahead of the log it was sent from.
    if (stand.position.lsn > LSN::from_postgres(log_end)) {
      findings.push_back(Finding::error(
          fmt::format("source: the server's log ends at {}, and {} stands at {}: was the source "
                      "restored to an earlier state?",
                      LSN::from_postgres(log_end).to_string(), stand.sink,
                      stand.position.to_string()),
          kBeginAgain, ErrorKind::kPositionLost));
    }
  }
  if (!slot) {
    if (!sinks.empty()) {
      findings.push_back(Finding::error(
          fmt::format("source: replication slot {} does not exist, and {} stands at {}", name,
                      sinks.front().sink, sinks.front().position.to_string()),
          kBeginAgain, ErrorKind::kPositionLost));
    }
    return findings;
  }
  if (!slot->logical || slot->plugin != "pgoutput" || slot->database != database) {
    findings.push_back(Finding::error(
        fmt::format(
            "source: slot {} is not a pgoutput slot of database {} (plugin \"{}\", database "
            "\"{}\")",
            name, database, slot->plugin, slot->database),
        "name another slot in source.slot"));
    return findings;
  }
  if (slot->wal_status == "lost") {
    findings.push_back(Finding::error(
        fmt::format(
            "source: replication slot {} is lost: the server has removed log that it needed", name),
        fmt::format("raise max_slot_wal_keep_size, drop the slot (SELECT "
                    "pg_drop_replication_slot('{}')); {}",
                    name, kBeginAgain),
        ErrorKind::kPositionLost));
  }
  if (!slot->ready) {
    findings.push_back(Finding::error(
        fmt::format("source: replication slot {} is still being created by another session", name),
        "it waits for transactions that were open when it was asked for", ErrorKind::kTransient));
    return findings;
  }
  for (const SinkStand& stand : sinks) {
    if (stand.position.lsn < LSN::from_postgres(slot->confirmed_flush) &&
        !broken(Break::kSkipGapCheck)) {
      findings.push_back(Finding::error(
          fmt::format("source: replication slot {} begins at {}, and {} stands at {}: what lies "
                      "between is no longer sent",
                      name, LSN::from_postgres(slot->confirmed_flush).to_string(), stand.sink,
                      stand.position.to_string()),
          fmt::format("was the sink restored, or the slot re-created? {}", kBeginAgain),
          ErrorKind::kPositionLost));
    }
  }
  return findings;
}

}  // namespace headgate::source::postgres
