// `headgate demo`: the main job, live, with nothing installed but PostgreSQL's programs, or with an
// emulation of SQL Server and nothing but FreeTDS's ODBC driver.

#pragma once

#include <string>

namespace headgate {

struct DemoOptions {
  std::string source = "postgres";  // or sqlserver: an emulation, in this process
  unsigned seconds = 0;             // 0: until Ctrl-C
  double rate = 200;                // transactions a second; 0: as many as the workload can
  std::string keep;                 // the mirror's file; empty: a temporary one
};

// A throw-away source with a live order workload, mirrored into a SQLite file; one progress line,
// then a summary and a full comparison. Returns kExitOk when source and sink are equal and a reader
// of the mirror never saw part of a transaction, kExitDiffers when not. An emulation is called so
// in every line that names the source.
int demo_command(const DemoOptions& options);

}  // namespace headgate
