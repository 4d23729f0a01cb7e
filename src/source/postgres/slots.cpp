#include "source/postgres/slots.hpp"

#include <chrono>

#include <fmt/format.h>

#include "base/deliberate_break.hpp"
#include "core/lsn.hpp"

namespace headgate::source::postgres {
namespace {

constexpr std::int64_t kMebibyte = std::int64_t{1} << 20;

// Below this a stop of some minutes, or one large transaction, costs a busy server its slot.
constexpr std::int64_t kSmallLimit = 256 * kMebibyte;

std::uint64_t lsn_or_zero(const pq::Result& rows, int column) {
  return rows.is_null(0, column) ? 0 : LSN::parse(rows.value(0, column)).to_postgres();
}

constexpr const char* kBeginAgain =
    "the changes since then are gone: drop the mirrored tables and this pipeline's rows of "
    "headgate_positions and headgate_tables in the sink, and start again with a new copy";

std::string drop_statement(const std::string& name) {
  return fmt::format("SELECT pg_drop_replication_slot('{}')", name);
}

// Why a slot was lost, and what keeps the next one from it.
struct Loss {
  std::string reason;
  std::string prevention;
};

Loss loss_of(const SlotState& slot) {
  if (slot.invalidation_reason == "rows_removed") {
    return {"rows of the catalog that it needed were removed",
            "set hot_standby_feedback = on at the standby"};
  }
  if (slot.invalidation_reason == "wal_level_insufficient") {
    return {"wal_level was lowered", "keep wal_level at logical"};
  }
  if (slot.invalidation_reason == "idle_timeout") {
    return {"nobody read it for longer than idle_replication_slot_timeout",
            "ALTER SYSTEM SET idle_replication_slot_timeout = 0"};
  }
  return {"the server has removed log that it needed", "raise max_slot_wal_keep_size"};
}

Finding lost(const SlotState& slot, const std::string& name, const std::vector<SinkStand>& sinks) {
  const Loss loss = loss_of(slot);
  const std::string what =
      fmt::format("source: replication slot {} is lost: {}", name, loss.reason);
  const std::string drop = drop_statement(name);
  if (sinks.empty()) {
    // Nobody goes on from it, so a new one costs nothing.
    return Finding::error(what, fmt::format("{}; {};", loss.prevention, drop))
        .mended_by("source", {drop});
  }
  return Finding::error(
      what, fmt::format("{}, drop the slot ({}); {}", loss.prevention, drop, kBeginAgain),
      ErrorKind::kPositionLost);
}

Findings check_log_end(const std::optional<SlotState>& slot, const std::string& name,
                       std::uint64_t log_end, const std::vector<SinkStand>& sinks) {
  Findings findings;
  const LSN end = LSN::from_postgres(log_end);
  for (const SinkStand& stand : sinks) {
    // What was sent had been flushed, so a sink cannot be ahead of the log it was sent from.
    if (stand.position.lsn > end) {
      findings.push_back(Finding::error(
          fmt::format("source: the server's log ends at {}, and {} stands at {}: was the source "
                      "restored to an earlier state?",
                      end.to_string(), stand.sink, stand.position.to_string()),
          kBeginAgain, ErrorKind::kPositionLost));
    }
  }
  // The server believes any position that a reader confirms, and skips all that commits before it.
  // (While the slot is read, it may have moved on since we asked for the log's end.)
  if (slot && !slot->active_pid && slot->confirmed_flush > log_end && findings.empty()) {
    findings.push_back(Finding::error(
        fmt::format("source: replication slot {} begins at {}, and the server's log ends at {}: "
                    "what commits until then would not be sent",
                    name, LSN::from_postgres(slot->confirmed_flush).to_string(), end.to_string()),
        fmt::format("drop the slot ({}); {}", drop_statement(name),
                    sinks.empty() ? "headgate makes a new one" : kBeginAgain),
        sinks.empty() ? ErrorKind::kOperator : ErrorKind::kPositionLost));
  }
  return findings;
}

// Whether the slot is one that this pipeline can read at all.
Findings check_kind(const SlotState& slot, const std::string& name, const std::string& database) {
  if (!slot.logical || slot.plugin != "pgoutput" || slot.database != database) {
    return {Finding::error(
        fmt::format(
            "source: slot {} is not a pgoutput slot of database {} (plugin \"{}\", database "
            "\"{}\")",
            name, database, slot.plugin, slot.database),
        "name another slot in source.slot")};
  }
  if (slot.temporary) {
    return {Finding::error(
        fmt::format("source: replication slot {} is temporary: it belongs to another session, and "
                    "goes with it",
                    name),
        "name another slot in source.slot")};
  }
  if (slot.two_phase) {
    return {Finding::error(
        fmt::format("source: replication slot {} was made with TWO_PHASE: it sends transactions "
                    "that are only prepared",
                    name),
        fmt::format("name another slot in source.slot, or drop this one ({}) and headgate makes "
                    "its own",
                    drop_statement(name)))};
  }
  return {};
}

std::string mebibytes(std::int64_t bytes) {
  return fmt::format("{} MB", bytes / kMebibyte);
}

}  // namespace

std::optional<SlotState> find_slot(pq::Connection& connection, const std::string& name) {
  // As JSON: what this version does not know is NULL.
  const pq::Result rows = connection.exec(
      "SELECT s.plugin, s.database, s.slot_type = 'logical', s.active_pid, "
      "s.confirmed_flush_lsn, s.restart_lsn, j->>'wal_status', j->>'safe_wal_size', "
      "CASE WHEN pg_is_in_recovery() THEN 0 "
      "ELSE coalesce(pg_current_wal_lsn() - s.restart_lsn, 0) END::int8, "
      "s.temporary, coalesce((j->>'two_phase')::bool, false), j->>'invalidation_reason', "
      "concat_ws(', ', nullif(a.application_name, ''), 'user ' || a.usename, "
      "'from ' || host(a.client_addr)), "
      "coalesce(a.usename = session_user AND a.application_name = "
      "current_setting('application_name'), false), coalesce((j->>'failover')::bool, false) "
      "FROM pg_replication_slots s CROSS JOIN LATERAL to_jsonb(s) AS j "
      "LEFT JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = $1",
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
    slot.reader = rows.value(0, 12).empty()
                      ? fmt::format("server process {}", *slot.active_pid)
                      : fmt::format("server process {} ({})", *slot.active_pid, rows.value(0, 12));
    slot.read_by_us = rows.boolean(0, 13);
  }
  slot.ready = !rows.is_null(0, 4);
  slot.confirmed_flush = lsn_or_zero(rows, 4);
  slot.restart = lsn_or_zero(rows, 5);
  slot.wal_status = rows.text(0, 6);
  slot.safe_wal_bytes = rows.is_null(0, 7) ? -1 : rows.integer(0, 7);
  slot.retained_bytes = static_cast<std::uint64_t>(rows.integer(0, 8));
  slot.temporary = rows.boolean(0, 9);
  slot.two_phase = rows.boolean(0, 10);
  slot.invalidation_reason = rows.text(0, 11);
  slot.failover = rows.boolean(0, 14);
  return slot;
}

Findings check_slot(const std::optional<SlotState>& slot, const std::string& name,
                    const std::string& database, std::uint64_t log_end,
                    const std::vector<SinkStand>& sinks) {
  Findings findings = slot ? check_kind(*slot, name, database) : Findings{};
  if (!findings.empty()) {
    return findings;  // its numbers say nothing about our position
  }
  append(findings, check_log_end(slot, name, log_end, sinks));
  if (!slot) {
    if (!sinks.empty()) {
      findings.push_back(Finding::error(
          fmt::format("source: replication slot {} does not exist, and {} stands at {}", name,
                      sinks.front().sink, sinks.front().position.to_string()),
          kBeginAgain, ErrorKind::kPositionLost));
    }
    return findings;
  }
  if (slot->wal_status == "lost" || !slot->invalidation_reason.empty()) {
    findings.push_back(lost(*slot, name, sinks));
    return findings;
  }
  if (!slot->ready) {
    findings.push_back(Finding::error(
        fmt::format("source: replication slot {} is still being created by another session", name),
        "it waits for transactions that were open when it was asked for", ErrorKind::kTransient));
    return findings;
  }
  if (slot->read_by_us) {
    // A headgate that runs has made sure before it began, and moves sinks and slot on while we look
    // at one after the other. Nobody else begins to read before it ends: require_unread().
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

Findings check_retention(pq::Connection& connection, const std::optional<SlotState>& slot,
                         const std::string& name) {
  Findings findings;
  // Neither setting is known before its version: no row.
  const pq::Result settings = connection.exec(
      "SELECT (SELECT setting::int8 FROM pg_settings WHERE name = 'max_slot_wal_keep_size'), "
      "(SELECT extract(epoch FROM current_setting(name)::interval)::int8 FROM pg_settings "
      "WHERE name = 'idle_replication_slot_timeout')",
      "ask what limits the slot's log");
  const std::int64_t limit = settings.is_null(0, 0) || settings.integer(0, 0) < 0
                                 ? -1
                                 : settings.integer(0, 0) * kMebibyte;
  const std::string raise =
      "ALTER SYSTEM SET max_slot_wal_keep_size = '…GB'; SELECT pg_reload_conf();";
  if (limit < 0) {
    findings.push_back(Finding::ok(
        "source: the server keeps all log that the slot needs, however long headgate is away"));
  } else if (limit < kSmallLimit) {
    findings.push_back(Finding::warning(
        fmt::format("source: max_slot_wal_keep_size is {}: a short stop, or one large transaction, "
                    "can cost the slot and with it the position",
                    mebibytes(limit)),
        raise));
  } else {
    findings.push_back(
        Finding::ok("source: the server keeps up to " + mebibytes(limit) + " of log for the slot"));
  }
  // Before it is lost a slot is `unreserved`: the next checkpoint removes what it needs.
  if (slot && slot->wal_status == "unreserved") {
    findings.push_back(Finding::warning(
        fmt::format("source: replication slot {} is about to be lost: {} of log are kept for it, "
                    "and the limit is {}",
                    name, mebibytes(static_cast<std::int64_t>(slot->retained_bytes)),
                    limit < 0 ? "unknown" : mebibytes(limit)),
        "start headgate at once; " + raise));
  }
  constexpr std::int64_t kDay = 86400;
  const std::int64_t idle = settings.is_null(0, 1) ? 0 : settings.integer(0, 1);
  if (idle > 0 && idle < kDay) {
    findings.push_back(Finding::warning(
        fmt::format("source: idle_replication_slot_timeout is {} s: when headgate is stopped for "
                    "longer, the slot and with it the position is lost",
                    idle),
        "ALTER SYSTEM SET idle_replication_slot_timeout = 0; SELECT pg_reload_conf();"));
  }
  return findings;
}

Findings check_awaited_standbys(pq::Connection& connection, const SlotState& slot) {
  if (!slot.failover) {
    return {};
  }
  const pq::Result rows = connection.exec(
      "SELECT name FROM regexp_split_to_table(current_setting('synchronized_standby_slots', true), "
      "'[, ]+') AS listed CROSS JOIN LATERAL trim(BOTH '\"' FROM listed) AS name WHERE name <> '' "
      "AND NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = name AND active) "
      "ORDER BY name",
      "look for standbys that are waited for");
  Findings findings;
  for (int row = 0; row < rows.rows(); ++row) {
    findings.push_back(Finding::warning(
        fmt::format("source: the server sends nothing that {} is not known to have, and that "
                    "standby does not read its slot",
                    rows.value(row, 0)),
        "start the standby, or take it out of synchronized_standby_slots (ALTER SYSTEM, and SELECT "
        "pg_reload_conf())"));
  }
  return findings;
}

void require_unread(const SlotState& slot, const std::string& name) {
  if (slot.active_pid) {
    throw Error{ErrorKind::kTransient,
                fmt::format("source: replication slot {} is in use by {}", name, slot.reader),
                "it is waited for; two pipelines need two slots (`source.slot`)"};
  }
}

std::vector<std::string> slot_blockers(pq::Connection& connection, Duration age) {
  // Everybody sees the lock that each writing transaction holds on its own number; when it began,
  // only who may (pg_read_all_stats) or for sessions of the same user.
  const pq::Result rows = connection.exec(
      "SELECT * FROM (SELECT DISTINCT format('server process %s (%s) in database %s, %s, for %s "
      "s', "
      "a.pid, concat_ws(', ', nullif(a.application_name, ''), 'user ' || a.usename), a.datname, "
      "a.state, extract(epoch FROM clock_timestamp() - a.xact_start)::int8), "
      "a.xact_start AS since FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
      "WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted "
      "AND l.pid <> pg_backend_pid() "
      "UNION ALL SELECT format('prepared transaction %L of %s in database %s, for %s s', gid, "
      "owner, database, extract(epoch FROM clock_timestamp() - prepared)::int8), prepared "
      "FROM pg_prepared_xacts) AS open "
      "WHERE since <= clock_timestamp() - $1::int8 * interval '1 second' ORDER BY since LIMIT 5",
      {std::to_string(std::chrono::duration_cast<std::chrono::seconds>(age).count())},
      "look for open transactions");
  std::vector<std::string> blockers;
  for (int row = 0; row < rows.rows(); ++row) {
    blockers.push_back(rows.text(row, 0));
  }
  return blockers;
}

}  // namespace headgate::source::postgres
