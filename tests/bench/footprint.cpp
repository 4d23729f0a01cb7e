#include "footprint.hpp"

#include <thread>

#include "headgate_process.hpp"
#include "support/wait_until.hpp"

namespace headgate::bench {

namespace {

constexpr std::chrono::seconds kIdleTime{5};

struct Idle {
  std::uint64_t rss_bytes = 0;
  double cpu_share = 0;
};

double daemon_cpu(Run& run) {
  return run.cpu().front().second;
}

Idle idle_of(PreparedWorkload& prepared, const Contender& contender) {
  const std::unique_ptr<Run> run = contender.prepare(prepared);
  run->start();
  test::wait_until("the first change", std::chrono::minutes(1),
                   [&] { return run->applied() > prepared.target(); });
  const double before = daemon_cpu(*run);
  std::this_thread::sleep_for(kIdleTime);
  const Idle idle{run->rss_bytes(), (daemon_cpu(*run) - before) / double{kIdleTime.count()}};
  run->stop();
  return idle;
}

}  // namespace

FootprintReport footprint(Stage& stage, const DrainOptions& options) {
  PreparedWorkload prepared(stage, one_change());
  Contenders contenders;
  contenders.push_back(headgate_to_postgres());
  contenders.push_back(headgate_to_sqlite());
  contenders.push_back(subscription(false));
  FootprintReport report;
  report.first_change = drain(prepared, contenders, options);
  const Idle postgres = idle_of(prepared, *contenders[0]);
  report.idle_rss_postgres_bytes = postgres.rss_bytes;
  report.idle_cpu_share = postgres.cpu_share;
  report.idle_rss_sqlite_bytes = idle_of(prepared, *contenders[1]).rss_bytes;
  report.binary_bytes = HeadgateProcess::binary_bytes();
  report.loaded_bytes = HeadgateProcess::loaded_bytes();
  return report;
}

}  // namespace headgate::bench
