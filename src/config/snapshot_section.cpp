#include <chrono>

#include "config/not_available.hpp"
#include "config/sections.hpp"

namespace headgate::config {
namespace {

// How a SQL Server's copy points begin.
void read_locking(const Section& snapshot, Config& config) {
  const source::sqlserver::Options defaults;
  const bool brief = snapshot.choice("locking", "none", {"none", "brief"}) == "brief";
  const Duration lock_timeout =
      snapshot.duration("lock_timeout", defaults.table_lock_timeout,
                        {std::chrono::milliseconds(1), std::chrono::seconds(30)});
  const Duration commit_settles =
      snapshot.duration("commit_settles", defaults.commit_settles,
                        {std::chrono::milliseconds(0), std::chrono::minutes(10)});
  if (config.sqlserver) {
    config.sqlserver->lock_tables = brief;
    config.sqlserver->table_lock_timeout = lock_timeout;
    config.sqlserver->commit_settles = commit_settles;
    return;
  }
  if (brief) {
    snapshot.fail("locking", "brief applies to sqlserver sources only", "leave the key out");
  }
  if (lock_timeout != defaults.table_lock_timeout) {
    snapshot.fail("lock_timeout", "applies to sqlserver sources only", "leave the key out");
  }
  if (commit_settles != defaults.commit_settles) {
    snapshot.fail("commit_settles", "applies to sqlserver sources only", "leave the key out");
  }
}

}  // namespace

void read_snapshot(const Section& root, Config& config) {
  const Section snapshot = root.section("snapshot");
  config.snapshot.mode = snapshot.choice("mode", "initial", {"initial", "never"}) == "initial"
                             ? SnapshotMode::kInitial
                             : SnapshotMode::kNever;
  config.snapshot.existing =
      snapshot.choice("existing", config.snapshot.existing, {"keep", "replace", "refuse"});

  config.snapshot.in_chunks = snapshot.choice("method", "chunks", {"chunks", "bulk"}) == "chunks";
  if (config.sqlserver && config.snapshot.mode == SnapshotMode::kInitial &&
      !config.snapshot.in_chunks) {
    snapshot.fail("method", "bulk applies to postgres sources only", "leave the key out");
  }
  config.snapshot.copy.chunk_rows =
      snapshot.number("chunk_rows", config.snapshot.copy.chunk_rows, {1, 100'000'000});
  config.snapshot.copy.bytes_per_second_max =
      snapshot.size("max_rate", 0, {1024, std::uint64_t{1} << 50});
  if (config.sqlserver) {
    only_default_number(snapshot, "parallel", 2, {1, 64});
  } else {
    config.snapshot.parallel = snapshot.number("parallel", config.snapshot.parallel, {1, 64});
  }
  read_locking(snapshot, config);
}

}  // namespace headgate::config
