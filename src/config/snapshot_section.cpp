#include "config/not_available.hpp"
#include "config/sections.hpp"

namespace headgate::config {

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
  only_default_number(snapshot, "parallel", 2, {1, 64});
}

}  // namespace headgate::config
