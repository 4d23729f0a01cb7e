// The replication slot: is it there, is it ours, does it still hold what the sinks need?

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "db/pq/connection.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/finding.hpp"

namespace headgate::source::postgres {

// A row of pg_replication_slots.
struct SlotState {
  std::string plugin;
  std::string database;
  bool logical = false;
  bool temporary = false;  // goes with the session that made it
  bool two_phase = false;  // 14 and later: sends transactions when they are prepared
  bool failover = false;   // 17 and later: kept in step by standbys, and waits for them
  std::optional<int> active_pid;
  std::string reader;       // who that is, as far as this user may see; never empty with active_pid
  bool read_by_us = false;  // `reader` has our user and application name: a running headgate
  bool ready = true;        // false while its creation waits for older transactions
  std::uint64_t confirmed_flush = 0;
  std::uint64_t restart = 0;
  std::string wal_status;            // 13 and later; empty before
  std::string invalidation_reason;   // 17 and later; empty before, and while the slot is valid
  std::int64_t safe_wal_bytes = -1;  // 13 and later; -1: no limit
  std::uint64_t retained_bytes = 0;  // log kept back since `restart`
};

std::optional<SlotState> find_slot(pq::Connection& connection, const std::string& name);

// Whether reading can go on from where `sinks` stand with this slot, on a server whose log ends at
// `log_end`. The server never says so itself: asked for something older than it holds, it silently
// begins later.
Findings check_slot(const std::optional<SlotState>& slot, const std::string& name,
                    const std::string& database, std::uint64_t log_end,
                    const std::vector<SinkStand>& sinks);

// The log that the server keeps for the slot (none yet: nothing): what limits it, and how close the
// limit is.
Findings check_retention(pq::Connection& connection, const std::optional<SlotState>& slot,
                         const std::string& name);

// Standbys that a slot with FAILOVER waits for (synchronized_standby_slots), and that do not read.
Findings check_awaited_standbys(pq::Connection& connection, const SlotState& slot);

// Throws Error{kTransient} that names the reader when the slot is in use: one consumer at a time.
void require_unread(const SlotState& slot, const std::string& name);

// What the creation of a slot waits for: transactions that have written and have not ended,
// prepared ones too, that are at least `age` old and that this user may see, one text each.
std::vector<std::string> slot_blockers(pq::Connection& connection, Duration age);

}  // namespace headgate::source::postgres
