#include "run.hpp"

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <stop_token>

#include <fmt/format.h>

#include "admin/http_server.hpp"
#include "admin/reload_route.hpp"
#include "admin/snapshot_routes.hpp"
#include "admin/status_routes.hpp"
#include "base/check.hpp"
#include "base/log.hpp"
#include "config_reload.hpp"
#include "daemon/service_manager.hpp"
#include "daemon/signals.hpp"
#include "daemon/supervisor.hpp"
#include "pipeline_factory.hpp"
#include "store/storage_dir.hpp"
#include "version.hpp"

namespace headgate {
namespace {

HttpServerOptions http_options(const HttpConfig& config) {
  HttpServerOptions options;
  options.listen = config.listen;
  options.token = config.token;
  return options;
}

// What systemctl status shows on one line.
std::string summary(const StatusReport& report) {
  return report.ready ? fmt::format("streaming, received {}", report.capture.received.to_string())
                      : report.reason;
}

// Ends the process without waiting for a thread that hangs in a call. Nothing is lost by it: what
// is not committed in a sink is read again.
[[noreturn]] void abandon() {
  std::_Exit(kExitTemporary);
}

// Beyond shutdown_timeout, for threads to come back. The supervisor itself keeps to the time-out,
// but it may be inside a call (connecting, preparing the source) when the signal comes.
constexpr Duration kShutdownGrace = std::chrono::seconds(4);

// The deadline of a shutdown that was asked for. Thread-safe.
class ShutdownClock {
 public:
  ShutdownClock(const Clock& clock, Duration timeout) : clock_(clock), timeout_(timeout) {}

  void start() {
    deadline_ = (clock_.now() + timeout_ + kShutdownGrace).time_since_epoch().count();
  }
  bool passed() const {
    const auto deadline = deadline_.load();
    return deadline != 0 && clock_.now().time_since_epoch().count() > deadline;
  }

 private:
  const Clock& clock_;
  Duration timeout_;
  std::atomic<TimePoint::rep> deadline_{0};
};

// `until` as the user wrote it; nothing when it is no LSN of PostgreSQL's.
std::optional<LSN> parse_until(const std::string& until) {
  try {
    const LSN lsn = LSN::parse(until);
    return lsn.bytes().size() == LSN::kPostgresSize ? std::optional{lsn} : std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
}

// What outlives a reload.
struct Process {
  std::string until;
  std::optional<LSN> target;      // what `until` was when the first pipeline started
  std::atomic<bool> ends{false};  // a stop was asked for
};

// Until it is told to stop, or reached its target. Returns the configuration to go on with, if that
// was what it ended for.
std::optional<Config> run_pipeline(const Config& config, Process& process, const Logger& log) {
  const SystemClock clock;
  for (const std::string& warning : config.warnings) {
    log->warn("{}", warning);
  }
  prepare_storage_dir(config.storage_dir);
  PipelineParts parts = make_pipeline(config, clock);
  SupervisorOptions options = supervisor_options(config);
  if (!process.until.empty() && !process.target) {
    process.target =
        process.until == "now" ? parts.source->current_end() : *parse_until(process.until);
  }
  options.until = process.target;

  Supervisor supervisor(options, *parts.source, parts.units(), clock,
                        {[] { ServiceManager::ready(); }, [] { abandon(); }}, log);
  std::stop_source stop;
  ShutdownClock shutdown(clock, config.shutdown_timeout);
  ConfigReload reload(config, clock, [&] {
    log->info("reload: the pipeline ends at a transaction boundary and goes on with {}",
              config.file);
    ServiceManager::reloading();
    shutdown.start();
    stop.request_stop();
  });
  const Signals signals(
      {[&] {
         ServiceManager::stopping();
         process.ends = true;
         shutdown.start();
         stop.request_stop();
       },
       [&] {
         log->warn("second signal: stopping at once");
         abandon();
       },
       [&] {
         try {
           reload.request();
         } catch (const Error& error) {
           log->error("reload refused, everything stays as it is error=\"{}\" remedy=\"{}\"",
                      error.what(), error.hint());
         }
       },
       [&] {
         if (shutdown.passed()) {
           log->warn(
               "shutdown_timeout passed within a call: what was not applied is read again at the "
               "next start");
           abandon();
         }
         if (supervisor.alive()) {
           ServiceManager::watchdog();
         }
         ServiceManager::status(summary(supervisor.report()));
       }});
  Router router;
  add_status_routes(router, [&] { return supervisor.report(); });
  add_snapshot_routes(router, supervisor.copies(),
                      [&](const TableName& table) { return parts.source->captures(table); });
  add_reload_route(router, [&] { reload.request(); });
  HttpServer http(http_options(config.http), std::move(router));
  if (!config.http.listen.empty()) {
    http.start();
  }
  log->info("headgate started version={} pipeline={} sinks={} listen={}", version_text(),
            config.pipeline, config.sinks.size(),
            config.http.listen.empty() ? "(off)" : config.http.listen);
  supervisor.run(stop.get_token());
  return reload.take();
}

}  // namespace

int run_command(const Config& config, const std::string& until) {
  if (!until.empty() && until != "now" && !parse_until(until)) {
    fmt::print(stderr,
               "headgate: --until {}: not an LSN\n  write it as PostgreSQL prints it "
               "(16/B374D848), or `now`\n",
               until);
    return kExitUsage;
  }
  configure_logging(config.logging);
  const Logger log = make_logger(config.pipeline);
  try {
    Process process{until, {}, false};
    std::optional<Config> next = config;
    while ((next = run_pipeline(*next, process, log)) && !process.ends) {
      configure_logging(next->logging);
    }
    log->info("headgate stopped pipeline={}", config.pipeline);
    return kExitOk;
  } catch (const Error& error) {
    log->error("stopped kind={} error=\"{}\" remedy=\"{}\"", to_string(error.kind()), error.what(),
               error.hint());
    return exit_code_for(error.kind());
  } catch (const CheckFailure& failure) {
    log->critical("stopped: an invariant of headgate does not hold, please report it: {}",
                  failure.what());
    return kExitInternal;
  }
}

}  // namespace headgate
