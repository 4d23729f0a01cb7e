// `headgate demo`: the main job, live, with nothing installed but PostgreSQL's programs.

#pragma once

#include <string>

namespace headgate {

struct DemoOptions {
  unsigned seconds = 0;  // 0: until Ctrl-C
  double rate = 200;     // transactions a second; 0: as many as the workload can
  std::string keep;      // the mirror's file; empty: a temporary one
};

// A throw-away PostgreSQL with a live order workload, mirrored into a SQLite file; one progress
// line, then a summary and a full comparison. Returns kExitOk when source and sink are equal,
// kExitDiffers when not.
int demo_command(const DemoOptions& options);

}  // namespace headgate
