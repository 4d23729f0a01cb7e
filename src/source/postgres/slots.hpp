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
  std::optional<int> active_pid;
  bool ready = true;  // false while its creation waits for older transactions
  std::uint64_t confirmed_flush = 0;
  std::uint64_t restart = 0;
  std::string wal_status;            // 13 and later; empty before
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

}  // namespace headgate::source::postgres
