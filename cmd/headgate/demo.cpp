#include "demo.hpp"

#include <unistd.h>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include <fmt/core.h>

#include "base/error.hpp"
#include "base/log.hpp"
#include "config/config.hpp"
#include "daemon/signals.hpp"
#include "daemon/supervisor.hpp"
#include "demo/mirror_reader.hpp"
#include "demo_source.hpp"
#include "pipeline_factory.hpp"

namespace headgate {
namespace {

// The mirror must have caught up by then, on any machine.
constexpr Duration kCatchUpPatience = std::chrono::seconds(60);

Config demo_config(const DemoSource& source, const std::string& mirror) {
  Config config;
  config.pipeline = "demo";
  config.source.tables = {"shop.*"};
  source.configure(config);
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
void show_progress(const StatusReport& report, const std::string& source, std::uint64_t committed,
                   std::uint64_t before, double seconds) {
  const SinkStatus& sink = report.sinks.front().status;
  fmt::print("{}{:6.1f} s  {} {:7} tx  mirror {:7} tx {:8} row changes  {:6.0f} tx/s  lag {:.3f} s",
             ::isatty(STDOUT_FILENO) != 0 ? "\r" : "", seconds, source, committed,
             sink.transactions, sink.changes, static_cast<double>(sink.transactions - before),
             lag_seconds(report));
  fmt::print("{}", ::isatty(STDOUT_FILENO) != 0 ? "" : "\n");
  std::fflush(stdout);
}

void watch(const DemoOptions& options, RunningPipeline& pipeline, DemoSource& source,
           Ending& ending) {
  const SystemClock clock;
  const TimePoint start = clock.now();
  std::uint64_t before = 0;
  for (unsigned second = 1; options.seconds == 0 || second <= options.seconds; ++second) {
    if (ending.wait_until(start + std::chrono::seconds(second))) {
      break;
    }
    pipeline.check();
    const StatusReport report = pipeline.report();
    show_progress(report, source.name(), source.workload().counters().committed, before,
                  std::chrono::duration<double>(clock.now() - start).count());
    before = report.sinks.front().status.transactions;
    source.look_after();
  }
  fmt::print("\n");
}

// Throws Error{kOperator} with `otherwise` when `condition` does not come true.
void wait_for(RunningPipeline& pipeline, const std::string& otherwise,
              const std::function<bool()>& condition) {
  const SystemClock clock;
  const TimePoint deadline = clock.now() + kCatchUpPatience;
  Ending never;
  while (!condition()) {
    pipeline.check();
    if (clock.now() > deadline) {
      throw Error{ErrorKind::kOperator, otherwise + " within a minute"};
    }
    never.wait_until(clock.now() + std::chrono::milliseconds(20));
  }
}

LSN source_end(const Config& config) {
  const SystemClock clock;
  return make_pipeline(config, clock).source->current_end();
}

void wait_for_mirror(RunningPipeline& pipeline, const DemoSource& source, const Config& config) {
  wait_for(pipeline, "the source did not capture everything", [&] { return source.settled(); });
  const LSN end = source_end(config);
  wait_for(pipeline, "the mirror did not catch up", [&] {
    const SinkStatus sink = pipeline.report().sinks.front().status;
    return sink.applied.lsn >= end && sink.state == "streaming";  // the copy is in its place
  });
}

int summarize(const DemoSource& source, const demo::WorkloadCounters& counters,
              const SinkStatus& sink, const demo::MirrorReader& reader,
              const demo::Comparison& comparison) {
  fmt::print("\n{}: {} transactions committed, {} rolled back\n", source.name(), counters.committed,
             counters.rolled_back);
  fmt::print("mirror: {} transactions, {} row changes in {} sink transactions\n", sink.transactions,
             sink.changes, sink.batches);
  for (const demo::TableComparison& table : comparison.tables) {
    fmt::print("  {:<22} {:8} rows  {}\n", table.table, table.source_rows,
               table.differences == 0 ? "equal" : fmt::format("{} DIFFERENCES", table.differences));
  }
  const std::string violations = reader.violations();
  if (violations.empty()) {
    fmt::print("a reader of the mirror added up {} times: never a transaction in part\n",
               reader.answers());
  } else {
    fmt::print("\nA READER SAW TRANSACTIONS IN PART\n{}\n", violations);
  }
  if (comparison.equal()) {
    fmt::print("{} and mirror are equal, row by row and value by value\n", source.name());
  } else {
    fmt::print("\n{} AND MIRROR DIFFER\n{}\n", source.name(), comparison.report());
  }
  if (!source.notice().empty()) {
    fmt::print("\n{}\n", source.notice());
  }
  return comparison.equal() && violations.empty() ? kExitOk : kExitDiffers;
}

std::unique_ptr<DemoSource> make_source(const DemoOptions& options) {
  if (options.source == "sqlserver") {
    fmt::print("starting an EMULATION of SQL Server ...\n");
    std::fflush(stdout);
    return make_sqlserver_demo(options.rate);
  }
  fmt::print("starting a throw-away PostgreSQL ...\n");
  std::fflush(stdout);
  return make_postgres_demo(options.rate);
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

  const std::unique_ptr<DemoSource> source = make_source(options);
  demo::OrderWorkload& workload = source->workload();
  const std::string mirror = options.keep.empty() ? source->folder() + "/mirror.db" : options.keep;
  if (!source->notice().empty()) {
    fmt::print("\n{}\n\n", source->notice());
  }
  fmt::print("{}: {}\nmirror: {}\nCtrl-C ends it\n\n", source->name(), source->place(), mirror);
  std::fflush(stdout);
  workload.create_schema();
  const Config config = demo_config(*source, mirror);
  RunningPipeline pipeline(config);
  demo::MirrorReader reader(mirror);
  workload.start();
  watch(options, pipeline, *source, ending);

  workload.stop();
  fmt::print("workload stopped; waiting for the mirror ...\n");
  wait_for_mirror(pipeline, *source, config);
  const SinkStatus sink = pipeline.report().sinks.front().status;
  pipeline.stop();
  reader.finish();
  return summarize(*source, workload.counters(), sink, reader, source->compare(mirror));
}

}  // namespace headgate
