// Two applications that write to one source at once, and those who read their mirrors meanwhile.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "demo/order_workload.hpp"
#include "support/invariant_reader.hpp"
#include "support/mirror_setup.hpp"
#include "support/pgbench.hpp"

namespace headgate::test {

// The order workload, which reconnects, and pgbench, which does not: the source must stay up. Not
// thread-safe.
class ApplicationLoad {
 public:
  // Makes both schemas. `pgbench_log` takes what pgbench says.
  ApplicationLoad(const std::string& source_conninfo, const std::string& pgbench_log,
                  std::uint64_t seed);

  void start();
  // Returns when neither has a transaction open.
  void stop();

  // Returns after that many more transactions of the shop: a moment that depends on the load, not
  // on how fast this machine is.
  void run_for(std::uint64_t transactions);

  // All tables of both, and the patterns of a configuration that match these.
  static std::vector<std::string> tables();
  static std::vector<std::string> patterns();

 private:
  Pgbench pgbench_;
  demo::OrderWorkload orders_;
  std::string pgbench_log_;
};

// One reader for each sink and each application: every state that one sees must be one that the
// source had.
class MirrorReaders {
 public:
  MirrorReaders(const std::string& sink_conninfo, const std::string& sqlite_path);

  // Empty: none so far.
  std::string violations() const;

  // Stops them. Returns the answers of the one that got fewest, and in `last_error` what it met
  // last.
  std::uint64_t finish(std::string& last_error);

 private:
  std::vector<std::unique_ptr<InvariantReader>> readers_;
};

// How the sinks of `setup` differ from its source in the tables of both applications; empty when
// they are equal.
std::string load_differences(MirrorSetup& setup);

}  // namespace headgate::test
