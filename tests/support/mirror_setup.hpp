// What most tests of the whole product start from: a source, a PostgreSQL sink, a SQLite sink, and
// the daemon that keeps both sinks like the source.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "demo/compare.hpp"
#include "demo/throwaway_cluster.hpp"
#include "support/daemon.hpp"
#include "support/tcp_gate.hpp"
#include "support/temp_dir.hpp"

namespace headgate::test {

struct MirrorOptions {
  // postgresql.conf of the two clusters.
  std::vector<std::pair<std::string, std::string>> source_settings{};
  std::vector<std::pair<std::string, std::string>> sink_settings{};
  // The daemon reaches both servers over TCP, each through a gate. (Everything else here goes
  // straight to them.)
  bool gates = false;
  // Further keywords of the daemon's connection strings.
  std::string source_keywords{};
  std::string sink_keywords{};
  // What stands behind `mirror` of both sinks.
  std::string mirror = "true";
  // Further top-level YAML.
  std::string more{};
};

// Makes both clusters at once; the daemon is configured, not started. Not thread-safe.
class MirrorSetup {
 public:
  // `tables`: the configuration's patterns. A table public.sync_marker is made and added to them.
  explicit MirrorSetup(std::vector<std::string> tables, const MirrorOptions& options = {});

  demo::ThrowawayCluster& source() { return source_; }
  demo::ThrowawayCluster& sink() { return sink_; }
  Daemon& daemon() { return daemon_; }
  // The daemon's, for a second one that differs a little.
  const PipelineConfig& config() const { return config_; }
  // REQUIRES: options.gates.
  TcpGate& source_gate() { return *source_gate_; }
  TcpGate& sink_gate() { return *sink_gate_; }
  const TempDir& folder() const { return folder_; }
  std::string sqlite_path() const { return folder_.path("mirror.db"); }

  // Changes the marker and waits until both sinks show it. By I2 they then show all that was
  // committed before, so a comparison needs no further patience.
  //
  // Throws WaitedTooLong or, when the daemon has ended, std::runtime_error; both with its log's
  // end.
  void catch_up(Duration timeout = std::chrono::seconds(60));

  // Compares `tables` (`schema.table`) of the source with both sinks; empty when they are equal.
  std::string differences(const std::vector<std::string>& tables) const;

 private:
  bool shown_everywhere(std::int64_t round) const;

  TempDir folder_;
  demo::ThrowawayCluster source_;
  demo::ThrowawayCluster sink_;
  std::unique_ptr<TcpGate> source_gate_;  // null: none
  std::unique_ptr<TcpGate> sink_gate_;
  PipelineConfig config_;
  Daemon daemon_;
};

}  // namespace headgate::test
