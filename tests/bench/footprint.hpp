// How soon Headgate is at work, and what it needs when there is none.

#pragma once

#include <cstdint>

#include "drain.hpp"

namespace headgate::bench {

struct FootprintReport {
  DrainReport first_change;  // of one_change(): from the start of the process to its commit
  std::uint64_t idle_rss_postgres_bytes = 0;
  std::uint64_t idle_rss_sqlite_bytes = 0;
  double idle_cpu_share = 0;  // of one core, with the PostgreSQL sink
  std::uint64_t binary_bytes = 0;
  std::uint64_t loaded_bytes = 0;  // of it: code and data, without symbols
};

FootprintReport footprint(Stage& stage, const DrainOptions& options);

}  // namespace headgate::bench
