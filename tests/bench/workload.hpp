// What is done at the source: tables as they are at first, and the changes that are then drained.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace headgate::bench {

struct Workload {
  std::string name;   // short; also the source's database
  std::string title;  // for people
  std::string unit;   // what is counted: "rows" or "transactions"
  double units = 0;   // how many of them the change makes

  // `conninfo`: the workload's own empty database at the source.
  std::function<void(const std::string& conninfo)> create;
  std::function<void(const std::string& conninfo)> change;

  // Run in the sink's PostgreSQL database before the drain: indexes, foreign keys, triggers.
  std::string sink_sql{};
};

// limits.md's three. `rows` is that of w1, 1,000,000 there; the others shrink with it.
Workload bulk_insert(std::uint64_t rows);     // w1: one transaction
Workload single_updates(std::uint64_t rows);  // w2: rows / 10 transactions on as many rows
Workload tpcb(std::uint64_t rows);            // w3: rows * 0.06 transactions
// w1's table with five times as many rows, of which no sink has one yet.
Workload first_copy(std::uint64_t rows);

// The tables of w2 with `rows` rows and nothing that changes them: for live latency.
Workload idle_table(std::uint64_t rows);
// Those of w3, a table `probe` with one row, and nothing that changes them.
Workload idle_tpcb(std::uint64_t rows);
// A table of 1,000 rows, and one update.
Workload one_change();

// The table that most workloads use: 99 bytes a row as text.
std::string t4_sql();
// Fills it with ids from 1.
std::string fill_t4_sql(std::uint64_t rows);

// Triggers on pgbench's tables of the sink that never fire, not even for a subscription, but keep
// Headgate from everything except the source's own order.
std::string order_keeping_triggers();

// pgbench's TPC-B as fast as it goes, for `seconds`; returns transactions a second.
double tpcb_rate(const std::string& conninfo, unsigned seconds);

}  // namespace headgate::bench
