// One pipeline's configuration file as typed options.
//
// Everything is read, checked and reported before the first connection, by file, line and key and
// in the user's words. This folder alone knows YAML.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "sink/postgres/options.hpp"
#include "sink/sqlite/options.hpp"
#include "source/postgres/options.hpp"
#include "source/sqlserver/options.hpp"
#include "transform/mirror_options.hpp"

namespace headgate {

enum class SnapshotMode { kInitial, kNever };

struct SnapshotConfig {
  SnapshotMode mode = SnapshotMode::kInitial;
  bool in_chunks = true;            // else: in bulk
  std::string existing = "refuse";  // keep, replace, refuse
  CopyOptions copy{};
  std::size_t parallel = 2;  // chunks at a time
};

struct CdcConfig {
  Duration interval = std::chrono::milliseconds(500);
  std::size_t max_transactions = 10000;
  // By default at most a quarter of the memory limit.
  std::size_t max_batch_bytes = std::size_t{64} * 1024 * 1024;
};

struct SinkSettings {
  std::string name;
  // Nothing: not mirrored (skills only).
  std::optional<MirrorOptions> mirror;
  std::variant<sink::sqlite::Options, sink::postgres::Options> driver;
};

struct HttpConfig {
  // host:port, [v6]:port, or unix:/path; empty: no control channel.
  std::string listen = "127.0.0.1:9020";
  // Read from token_file; empty: what needs the token is refused.
  std::string token;
};

struct Config {
  std::string file;  // the path it came from, for messages
  std::string pipeline;
  source::postgres::Options source;
  // Instead of `source`, where source.type is sqlserver.
  std::optional<source::sqlserver::Options> sqlserver;
  CdcConfig cdc;
  bool copy_new_tables = true;  // new_tables: snapshot
  SnapshotConfig snapshot;
  SchemaChanges schema_changes = SchemaChanges::kApply;
  Isolation isolation = Isolation::kPipeline;
  std::vector<SinkSettings> sinks;
  std::string storage_dir = "./data";
  std::uint64_t memory_limit = std::uint64_t{256} * 1024 * 1024;
  Duration shutdown_timeout = std::chrono::seconds(30);
  HttpConfig http;
  LogOptions logging;

  // What is accepted but works otherwise than its words say, one line each with file, line and key.
  // The daemon logs them at start; a file that keeps to the defaults has none.
  std::vector<std::string> warnings;
};

// Reads, expands and checks `path`. Relative paths in it are relative to the working directory, as
// everywhere else on a command line.
//
// Throws Error{kConfig} with one finding per line, all that were found, each as
// `file:line: key: what is wrong` and an indented remedy where there is one.
Config load_config(const std::string& path);

// The same from a string, for tests and the fuzzer; `name` stands for the file in messages.
Config parse_config(const std::string& name, const std::string& yaml);

}  // namespace headgate
