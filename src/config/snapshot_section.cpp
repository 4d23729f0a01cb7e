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

  // Both end in the same rows, so asking for chunks is no reason to refuse; but an interrupted copy
  // starts from scratch, which somebody who asked for chunks must know.
  if (snapshot.choice("method", "bulk", {"chunks", "bulk"}) == "chunks") {
    snapshot.warn("method", "chunks is not available yet, the copy runs as bulk");
  }
  config.snapshot.method = "bulk";
  only_default_number(snapshot, "chunk_rows", 50000, {1, 100'000'000});
  only_default_number(snapshot, "parallel", 2, {1, 64});
  only_null(snapshot, "max_rate", "a limit on the copy's speed");
}

}  // namespace headgate::config
