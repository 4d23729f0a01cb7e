// The real `headgate` binary as a test runs it: configured, started, asked, killed.

#pragma once

#include <sys/types.h>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "demo/subprocess.hpp"
#include "support/temp_dir.hpp"

namespace headgate::test {

// One pipeline's configuration, in the words of the configuration file.
struct PipelineConfig {
  std::string pipeline = "test";
  std::string source_type = "postgres";
  std::string source_dsn{};
  std::vector<std::string> source_keys{};  // further lines of `source:`, such as "slot: other"
  std::vector<std::string> tables{};
  std::vector<std::string> sinks{};  // from sqlite_sink and postgres_sink
  std::string storage_dir{};         // empty: a folder beside the file
  std::string more{};                // further top-level YAML
};

// `mirror`: what stands behind that key.
std::string sqlite_sink(const std::string& name, const std::string& path,
                        const std::string& mirror = "true");
std::string postgres_sink(const std::string& name, const std::string& dsn,
                          const std::string& mirror = "true");

// Runs `headgate ARGUMENTS` to its end, at most for `timeout`.
demo::RunResult headgate(const std::vector<std::string>& arguments,
                         Duration timeout = std::chrono::seconds(60));

// What an HTTP server on a Unix socket answers to a GET.
struct HttpAnswer {
  int code = 0;
  std::string body;
};
// Nothing when nobody answers.
std::optional<HttpAnswer> http_get(const std::string& socket_path, const std::string& target);

// A `headgate run` with its files NAME.yml, NAME.log, NAME.sock and NAME.data in a folder that must
// outlive it. Killed by the destructor; start it from a thread that outlives it too.
//
// Not thread-safe.
class Daemon {
 public:
  // Writes the configuration file.
  Daemon(const TempDir& folder, const PipelineConfig& config, const std::string& name = "daemon");

  // REQUIRES: it does not run. `arguments` come after `run --config FILE`.
  void start(const std::vector<std::string>& arguments = {});

  // Waits until /ready says so: the first copy is finished and all sinks follow.
  //
  // Throws WaitedTooLong or, when the process ends meanwhile, std::runtime_error; both with the
  // log's end.
  void wait_ready(Duration timeout = std::chrono::seconds(60));
  // Whether it says so now.
  bool ready() const;

  // test::wait_until(), with the log's end in what it throws.
  void wait_until(const std::string& what, Duration timeout,
                  const std::function<bool()>& condition) const;

  bool running();
  pid_t pid() const;

  void kill9();
  // SIGTERM, then waits for the end. Throws WaitedTooLong.
  demo::ExitStatus terminate(Duration timeout = std::chrono::seconds(40));
  demo::ExitStatus wait_exit(Duration timeout = std::chrono::seconds(60));

  // `headgate COMMAND ARGUMENTS --config FILE`.
  demo::RunResult command(const std::vector<std::string>& arguments) const;

  const std::string& config_path() const { return config_path_; }
  const std::string& socket_path() const { return socket_path_; }
  // All that it has written to stdout and stderr since the first start.
  std::string log() const;
  // The last of it, for messages.
  std::string log_end() const;

 private:
  std::string config_path_;
  std::string log_path_;
  std::string socket_path_;
  std::unique_ptr<demo::Subprocess> process_;
};

}  // namespace headgate::test
