// Stops a pipeline into a SQLite file at every operation on its disk, one after the other, and
// looks each time at what is left and at what becomes of it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "crash_disk.hpp"
#include "crash_workload.hpp"
#include "power_cut_vfs.hpp"
#include "sqlite_fixture.hpp"

namespace headgate::sink::sqlite::test {

struct SweepOptions {
  std::uint64_t seed = 0;
  std::size_t transactions = 40;
  Device device{};
  // The tables are there before the sink, with constraints of their own; otherwise not even the
  // file is.
  bool tables_exist = true;
  // The process that goes on is stopped as well, in half of the cases.
  //
  // Without powersafe overwrite SQLite promises nothing here: it pads a synced commit to a whole
  // sector, but a process that finds the padding incomplete writes on in the sector of that commit,
  // and a torn write there takes it along (seen with 3.40). Its own layer claims powersafe
  // overwrite and so has the sink rely on it.
  bool second_stops = true;
  // After each stop: round 0 is a kill, every further one a power cut of another seed.
  unsigned rounds = 2;
  // Every how many operations it stops.
  std::uint64_t stride = 1;
  std::size_t problems_max = 3;
  // Only this one, to replay it.
  std::optional<std::uint64_t> only_stop{};
  std::optional<unsigned> only_round{};
};

struct SweepResult {
  std::uint64_t stops = 0;
  std::uint64_t cases = 0;
  std::uint64_t second_stops = 0;
  std::set<std::string> struck;  // what sorts of operations
  // Each with what replays it.
  std::vector<std::string> problems;
};

// A case: the process is stopped at an operation; it is killed, or the power is cut. What is left
// is looked at. A new process goes on, is perhaps stopped as well, and if so a third one reaches
// the end. The source keeps what it was not told to be durable, and no more can be asked of it.
class CrashSweep {
 public:
  explicit CrashSweep(const SweepOptions& options);

  SweepResult run();

 private:
  // What a process has made known before its end, to its source and to other processes.
  struct Known {
    bool connected = false;     // it has raised the epoch
    std::uint64_t applied = 0;  // its commit has returned
    std::uint64_t durable = 0;  // or discarded by the source
    std::string struck;         // the operation that it died at
  };
  // The same of all processes so far.
  struct History {
    std::uint64_t connects = 0;
    std::uint64_t durable = 0;
  };
  struct Found {
    std::uint64_t position = 0;
    std::uint64_t epoch = 0;
    CrashWorkload::State rows;
  };
  class Process;

  Disk new_disk() const;
  bool stop_at(std::uint64_t stop);
  std::string go_on(const Disk& stopped, const Known& known, std::uint64_t stop, unsigned round);
  std::string live(std::uint64_t from, std::uint64_t stop, Known& known);
  std::string look(const Disk& disk, Found& found) const;
  std::string judge(const Disk& disk, const History& history, std::uint64_t least, Found& found);
  void report(const std::string& problem, std::uint64_t stop, std::optional<unsigned> round);

  SweepOptions options_;
  CrashWorkload workload_;
  Folder folder_;  // where the sink writes
  Folder mirror_;  // where its files are looked at, so that looking changes nothing
  PowerCutVfs vfs_;
  Disk new_disk_;
  SweepResult result_;
};

}  // namespace headgate::sink::sqlite::test
