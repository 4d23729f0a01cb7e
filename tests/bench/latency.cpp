#include "latency.hpp"

#include <algorithm>
#include <random>
#include <thread>

#include <fmt/format.h>

#include "demo/pg_session.hpp"
#include "interrupt.hpp"
#include "machine.hpp"
#include "statistics.hpp"
#include "support/pgbench.hpp"
#include "support/wait_until.hpp"

namespace headgate::bench {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr Duration kLookInterval = microseconds(50);
constexpr Duration kPatience = std::chrono::minutes(10);
constexpr Duration kSeenPatience = std::chrono::seconds(60);

struct Look {
  std::string sql;
  std::uint64_t number = 0;
};

// Waits until a look at the sink answers `wanted`; returns how long after `since` that was.
double milliseconds_until_seen(Run& run, const Look& look, const std::string& wanted,
                               TimePoint since) {
  check_interrupted();
  while (run.look(look.sql, look.number) != wanted) {
    if (SystemClock().now() - since > kSeenPatience) {
      throw test::WaitedTooLong("a change is not seen at the sink");
    }
    std::this_thread::sleep_for(kLookInterval);
  }
  return std::chrono::duration<double, std::milli>(SystemClock().now() - since).count();
}

void catch_up(PreparedWorkload& prepared, Run& run) {
  prepared.changed_again();
  test::wait_until("the sink to catch up", kPatience,
                   [&] { return run.applied() > prepared.target(); });
}

void measure_singly(PreparedWorkload& prepared, Run& run, unsigned count, LatencyResult& result) {
  demo::PgSession source(prepared.source());
  const auto rows = std::stoull(source.value("SELECT max(id) FROM t4"));
  std::mt19937_64 random(7);
  for (unsigned i = 0; i < count; ++i) {
    const auto id = std::uniform_int_distribution<std::uint64_t>(1, rows)(random);
    const std::string grp =
        source.value("UPDATE t4 SET grp = grp + 1, ts = now() WHERE id = $1 RETURNING grp",
                     {std::to_string(id)});
    result.milliseconds.push_back(milliseconds_until_seen(
        run, {"SELECT grp FROM t4 WHERE id = $1", id}, grp, SystemClock().now()));
    std::this_thread::sleep_for(milliseconds(2));
  }
}

}  // namespace

double LatencyResult::at(double share) const {
  return percentile(milliseconds, share);
}

double LatencyResult::growth() const {
  const auto third = static_cast<std::ptrdiff_t>(milliseconds.size() / 3);
  const double first = percentile({milliseconds.begin(), milliseconds.begin() + third}, 0.99);
  const double last = percentile({milliseconds.end() - third, milliseconds.end()}, 0.99);
  return first > 0 ? last / first : 0;
}

std::vector<LatencyResult> single_latency(PreparedWorkload& prepared, const Contenders& contenders,
                                          unsigned count, const DrainOptions& options) {
  std::vector<LatencyResult> results;
  for (const auto& contender : contenders) {
    results.push_back({contender->name()});
  }
  for (unsigned repeat = 0; repeat < options.repeats; ++repeat) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      const std::unique_ptr<Run> run = contenders[i]->prepare(prepared);
      run->start();
      catch_up(prepared, *run);
      wait_until_calm(options.foreign_cores_max, options.calm_patience);
      const ForeignLoad foreign;
      measure_singly(prepared, *run, count, results[i]);
      results[i].foreign_cores = std::max(results[i].foreign_cores, foreign.cores());
      catch_up(prepared, *run);
      run->stop();
      results[i].refused += differences(prepared.expected(), run->found());
      fmt::print(stderr, "bench: live     {:28} p50 {:.2f} ms, p99 {:.2f} ms\n",
                 contenders[i]->name(), results[i].at(0.5), results[i].at(0.99));
    }
  }
  return results;
}

LatencyResult latency_under_load(PreparedWorkload& prepared, const Contender& contender,
                                 double rate, unsigned seconds) {
  LatencyResult result{contender.name()};
  result.source_rate = rate;
  const std::unique_ptr<Run> run = contender.prepare(prepared);
  run->start();
  catch_up(prepared, *run);

  test::Pgbench load(prepared.source());
  load.start(4, static_cast<int>(rate), prepared.stage().folder().path("pgbench.log"));
  demo::PgSession source(prepared.source());
  const ForeignLoad foreign;
  const TimePoint end = SystemClock().now() + std::chrono::seconds(seconds);
  while (SystemClock().now() < end) {
    const std::string n = source.value("UPDATE probe SET n = n + 1 WHERE id = 1 RETURNING n");
    result.milliseconds.push_back(milliseconds_until_seen(
        *run, {"SELECT n FROM probe WHERE id = $1", 1}, n, SystemClock().now()));
    std::this_thread::sleep_for(milliseconds(10));
  }
  result.foreign_cores = foreign.cores();
  load.stop();
  catch_up(prepared, *run);
  run->stop();
  result.refused = differences(prepared.expected(), run->found());
  fmt::print(stderr, "bench: rates    {:28} {:.0f} tx/s: p50 {:.2f} ms, p99 {:.2f} ms\n",
             contender.name(), rate, result.at(0.5), result.at(0.99));
  return result;
}

}  // namespace headgate::bench
