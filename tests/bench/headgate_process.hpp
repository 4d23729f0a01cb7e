// The `headgate` binary as the bench runs it: with the defaults that users run it with.

#pragma once

#include <sys/types.h>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/lsn.hpp"
#include "demo/subprocess.hpp"
#include "support/temp_dir.hpp"

namespace headgate::bench {

struct HeadgateSetup {
  std::string source;  // libpq conninfo
  std::string slot;
  std::vector<std::string> sinks;   // from test::sqlite_sink and test::postgres_sink
  std::string decoding_work_mem{};  // empty: the server's setting
  std::string snapshot_method = "bulk";
  std::string more{};  // further top-level YAML
  // What stands in `source: { … }`, in place of a PostgreSQL by the members above; and its tables.
  std::string other_source{};
  std::string tables = "public.*";
};

// Unlike test::Daemon it logs at `info`, as in production. The publication is `bench`, the pipeline
// too. Killed by the destructor. Not thread-safe.
class HeadgateProcess {
 public:
  // Its files are NAME.* in `folder`, which must outlive it.
  HeadgateProcess(const test::TempDir& folder, const std::string& name, const HeadgateSetup& setup);

  void start();
  bool ready() const;
  // The sink's position as the daemon reports it, 0 before there is one. (Not asked at the sink: a
  // reader there would be part of what is measured.)
  //
  // Throws std::runtime_error with the log's end when the daemon has ended.
  std::uint64_t applied();
  // The same as the source's own kind of LSN.
  std::optional<LSN> applied_lsn();
  pid_t pid() const { return process_->pid(); }
  // Throws std::runtime_error when it does not end well.
  void terminate();

  // Of the program, and what of it is loaded: code and data without symbols.
  static std::uint64_t binary_bytes();
  static std::uint64_t loaded_bytes();

 private:
  [[noreturn]] void fail(const std::string& what) const;

  std::string config_path_;
  std::string log_path_;
  std::string socket_path_;
  std::unique_ptr<demo::Subprocess> process_;
};

}  // namespace headgate::bench
