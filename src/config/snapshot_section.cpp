#include "config/not_available.hpp"
#include "config/sections.hpp"

namespace headgate::config {

void read_snapshot(const Section& root, Config& config) {
  const Section snapshot = root.section("snapshot");
  config.snapshot.mode = snapshot.choice("mode", "initial", {"initial", "never"}) == "initial"
                             ? SnapshotMode::kInitial
                             : SnapshotMode::kNever;
  if (config.sqlserver && config.snapshot.mode != SnapshotMode::kNever) {
    snapshot.fail("mode", "initial is not available for a sqlserver source in this version",
                  "snapshot: { mode: never } begins with what is captured from now on");
  }
  config.snapshot.existing =
      snapshot.choice("existing", config.snapshot.existing, {"keep", "replace", "refuse"});

  config.snapshot.in_chunks = snapshot.choice("method", "chunks", {"chunks", "bulk"}) == "chunks";
  config.snapshot.copy.chunk_rows =
      snapshot.number("chunk_rows", config.snapshot.copy.chunk_rows, {1, 100'000'000});
  config.snapshot.copy.bytes_per_second_max =
      snapshot.size("max_rate", 0, {1024, std::uint64_t{1} << 50});
  only_default_number(snapshot, "parallel", 2, {1, 64});
}

}  // namespace headgate::config
