#include "demo.hpp"

#include <unistd.h>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <mutex>
#include <stop_token>
#include <thread>

#include <fmt/core.h>

#include "base/error.hpp"
#include "base/log.hpp"
#include "config/config.hpp"
#include "daemon/signals.hpp"
#include "daemon/supervisor.hpp"
#include "demo/compare.hpp"
#include "demo/order_schema.hpp"
#include "demo/order_workload.hpp"
#include "demo/throwaway_cluster.hpp"
#include "pipeline_factory.hpp"

namespace headgate {
namespace {

// The mirror must have caught up by then, on any machine.
constexpr Duration kCatchUpPatience = std::chrono::seconds(60);

Config demo_config(const demo::ThrowawayCluster& cluster, const std::string& mirror) {
  Config config;
  config.pipeline = "demo";
  config.source.conninfo = cluster.conninfo();
  config.source.slot = "headgate_demo";
  config.source.publication = "headgate_demo";
  config.source.tables = {"shop.*"};
  // So that the end is reached at once, and not with the next idle round.
  config.source.idle_advance_interval = std::chrono::milliseconds(200);
  SinkSettings sink;
  sink.name = "mirror";
  sink.mirror = MirrorOptions{};
  sink.driver = sink::sqlite::Options{"demo", "mirror", mirror};
  config.sinks.push_back(sink);
  return config;
}

// The supervisor on a thread of its own, as the daemon runs it.
class RunningPipeline {
 public:
  explicit RunningPipeline(const Config& config)
      : parts_(make_pipeline(config, clock_)),
        supervisor_(supervisor_options(config), *parts_.source, parts_.units(), clock_, {},
                    make_logger("demo")),
        thread_([this] { run(); }) {}

  ~RunningPipeline() { stop(); }

  void stop() {
    stop_.request_stop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }

  StatusReport report() const { return supervisor_.report(); }

  // Throws what ended the pipeline, if anything did.
  void check() {
    if (failed_) {
      thread_.join();
      std::rethrow_exception(failure_);
    }
  }

 private:
  void run() {
    try {
      supervisor_.run(stop_.get_token());
    } catch (...) {
      failure_ = std::current_exception();
      failed_ = true;
    }
  }

  SystemClock clock_;
  PipelineParts parts_;
  Supervisor supervisor_;
  std::stop_source stop_;
  std::exception_ptr failure_;  // written before failed_
  std::atomic<bool> failed_{false};
  std::thread thread_;
};

// Ctrl-C, or the end of `--seconds`.
class Ending {
 public:
  void ask() {
    {
      const std::lock_guard lock(mutex_);
      asked_ = true;
    }
    changed_.notify_all();
  }

  // True once asked.
  bool wait_until(TimePoint time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, time, [&] { return asked_; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false;  // guarded by mutex_
};

double lag_seconds(const StatusReport& report) {
  const SinkStatus& sink = report.sinks.front().status;
  const bool behind = sink.applied != report.capture.received;
  return behind ? std::chrono::duration<double>(report.capture.last_commit_time -
                                                sink.last_commit_time)
                      .count()
                : 0;
}

// One line, written over on a terminal and one after the other elsewhere.
void show_progress(const StatusReport& report, std::uint64_t committed, std::uint64_t before,
                   double seconds) {
  const SinkStatus& sink = report.sinks.front().status;
  fmt::print(
      "{}{:6.1f} s  source {:7} tx  mirror {:7} tx {:8} row changes  {:6.0f} tx/s  lag {:.3f} s",
      ::isatty(STDOUT_FILENO) != 0 ? "\r" : "", seconds, committed, sink.transactions, sink.changes,
      static_cast<double>(sink.transactions - before), lag_seconds(report));
  fmt::print("{}", ::isatty(STDOUT_FILENO) != 0 ? "" : "\n");
  std::fflush(stdout);
}

void watch(const DemoOptions& options, RunningPipeline& pipeline,
           const demo::OrderWorkload& workload, Ending& ending) {
  const SystemClock clock;
  const TimePoint start = clock.now();
  std::uint64_t before = 0;
  for (unsigned second = 1; options.seconds == 0 || second <= options.seconds; ++second) {
    if (ending.wait_until(start + std::chrono::seconds(second))) {
      break;
    }
    pipeline.check();
    const StatusReport report = pipeline.report();
    show_progress(report, workload.counters().committed, before,
                  std::chrono::duration<double>(clock.now() - start).count());
    before = report.sinks.front().status.transactions;
  }
  fmt::print("\n");
}

void wait_for_mirror(RunningPipeline& pipeline, const LSN& end) {
  const SystemClock clock;
  const TimePoint deadline = clock.now() + kCatchUpPatience;
  Ending never;
  while (pipeline.report().sinks.front().status.applied.lsn < end) {
    pipeline.check();
    if (clock.now() > deadline) {
      throw Error{ErrorKind::kOperator, "the mirror did not catch up within a minute"};
    }
    never.wait_until(clock.now() + std::chrono::milliseconds(20));
  }
}

LSN source_end(const Config& config) {
  const SystemClock clock;
  return make_pipeline(config, clock).source->current_end();
}

int summarize(const demo::Comparison& comparison, const SinkStatus& sink,
              const demo::WorkloadCounters& counters) {
  fmt::print("\nsource: {} transactions committed, {} rolled back\n", counters.committed,
             counters.rolled_back);
  fmt::print("mirror: {} transactions, {} row changes in {} sink transactions\n", sink.transactions,
             sink.changes, sink.batches);
  for (const demo::TableComparison& table : comparison.tables) {
    fmt::print("  {:<22} {:8} rows  {}\n", table.table, table.source_rows,
               table.differences == 0 ? "equal" : fmt::format("{} DIFFERENCES", table.differences));
  }
  if (!comparison.equal()) {
    fmt::print("\nSOURCE AND MIRROR DIFFER\n{}\n", comparison.report());
    return kExitDiffers;
  }
  fmt::print("source and mirror are equal, row by row and value by value\n");
  return kExitOk;
}

}  // namespace

int demo_command(const DemoOptions& options) {
  LogOptions logging;
  logging.level = "error";  // the progress line is the output
  configure_logging(logging);
  if (!options.keep.empty() && std::filesystem::exists(options.keep)) {
    throw Error{ErrorKind::kOperator, "--keep " + options.keep + ": the file exists already",
                "name another file, or remove it"};
  }
  Ending ending;
  const Signals signals({[&] { ending.ask(); }, [&] { ending.ask(); }, [] {}, [] {}});

  fmt::print("starting a throw-away PostgreSQL ...\n");
  std::fflush(stdout);
  const demo::ThrowawayCluster cluster;
  demo::WorkloadOptions load;
  load.conninfo = cluster.conninfo();
  load.transactions_per_second = options.rate;
  demo::OrderWorkload workload(load);
  workload.create_schema();

  const std::string mirror = options.keep.empty() ? cluster.folder() + "/mirror.db" : options.keep;
  fmt::print("source: {}\nmirror: {}\nCtrl-C ends it\n\n", cluster.conninfo(), mirror);
  const Config config = demo_config(cluster, mirror);
  RunningPipeline pipeline(config);
  workload.start();
  watch(options, pipeline, workload, ending);

  workload.stop();
  fmt::print("workload stopped; waiting for the mirror ...\n");
  wait_for_mirror(pipeline, source_end(config));
  const SinkStatus sink = pipeline.report().sinks.front().status;
  pipeline.stop();
  const demo::Comparison comparison =
      demo::compare({cluster.conninfo(), demo::order_tables(), demo::SqliteMirror{mirror}, 20});
  return summarize(comparison, sink, workload.counters());
}

}  // namespace headgate
