// The servers of a bench run, and workloads made ready on them.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "demo/throwaway_cluster.hpp"
#include "fingerprint.hpp"
#include "support/temp_dir.hpp"
#include "workload.hpp"

namespace headgate::bench {

// Two clusters with limits.md's settings, and a folder. Not thread-safe.
class Stage {
 public:
  Stage();

  demo::ThrowawayCluster& source() { return source_; }
  demo::ThrowawayCluster& sink() { return sink_; }
  const test::TempDir& folder() const { return folder_; }
  // "PostgreSQL 15.18 …"
  std::string server_version();

 private:
  test::TempDir folder_;
  demo::ThrowawayCluster source_;
  demo::ThrowawayCluster sink_;
};

// A workload whose changes wait behind a slot, and a sink of each kind as it stood before them.
// Headgate itself has made that state: a first copy, whose position its runs go on from. All
// contenders begin with a copy of the slot and a copy of a sink, so that all see the same log and
// the same rows. Removes what it made. Not thread-safe.
class PreparedWorkload {
 public:
  // `stage` must outlive it.
  PreparedWorkload(Stage& stage, Workload workload);
  ~PreparedWorkload();

  PreparedWorkload(const PreparedWorkload&) = delete;
  PreparedWorkload& operator=(const PreparedWorkload&) = delete;

  Stage& stage() const { return stage_; }
  const Workload& workload() const { return workload_; }

  // Of the workload's database at the source.
  std::string source() const { return stage_.source().conninfo(workload_.name); }
  std::string source_over_tcp() const { return stage_.source().tcp_conninfo(workload_.name); }

  // A position at or behind this one (strictly: beyond it) means that all changes are applied. It
  // lies within the last transaction, so that no record behind that one counts.
  std::uint64_t target() const { return target_; }
  // Moves the target behind what was changed meanwhile, by a small transaction; reads the source's
  // rows anew.
  void changed_again();

  const TableColumns& tables() const { return tables_; }
  // What a sink must hold after the drain.
  const Fingerprints& expected() const { return expected_; }

  // A copy of the slot; drop_slot() when its reader has gone.
  void copy_slot(const std::string& name);
  void drop_slot(const std::string& name);
  // A copy of the PostgreSQL sink as database `name` of the sink cluster; workload.sink_sql is run
  // in it.
  void copy_sink_database(const std::string& name);
  void drop_sink_database(const std::string& name);
  // A copy of the SQLite sink.
  void copy_sink_file(const std::string& path);

 private:
  // Slots have one name space for all databases.
  std::string first_slot() const { return "first_" + workload_.name; }
  std::string sink_template() const { return workload_.name + "_before"; }
  std::string file_template() const;
  void make_first_copy();
  void mark_end();

  Stage& stage_;
  Workload workload_;
  std::uint64_t target_ = 0;
  TableColumns tables_;
  Fingerprints expected_;
};

}  // namespace headgate::bench
