#include "source/sqlserver/capture_health.hpp"

#include <algorithm>
#include <chrono>
#include <vector>

#include <fmt/format.h>

namespace headgate::source::sqlserver {
namespace {

using std::chrono::duration_cast;
using std::chrono::minutes;

const std::string kCapture = "capture process";
const std::string kPosition = "distance to clean-up";

// A capture process that looks at the log every few seconds has not done so for this long.
seconds stands_still_after(const CaptureSight& sight) {
  const seconds polling = sight.jobs.known() ? sight.jobs.value->polling : seconds(0);
  return std::max<seconds>(minutes(5), 4 * polling);
}

// Between two looks every sink is behind by something.
constexpr seconds kBehindMin = minutes(1);

// Why nothing more is captured, and what mends it; nothing when something is.
std::optional<Judgement> standstill(const CaptureSight& sight) {
  const bool scans_lately =
      sight.scans.known() &&
      (sight.scans.value->active || (sight.scans.value->since_last &&
                                     *sight.scans.value->since_last < stands_still_after(sight)));
  const bool continuous = !sight.jobs.known() || sight.jobs.value->continuous;
  if (sight.agent.known() && !*sight.agent.value) {
    return Judgement{Urgency::kWatch,
                     "source: SQL Server Agent is stopped: nothing more is captured, and the log "
                     "cannot be truncated",
                     "start the service SQL Server Agent, and let it start with the server"};
  }
  // With transactional replication its log reader captures, and there is no job.
  if (sight.jobs.known() && !sight.jobs.value->capture && !scans_lately) {
    return Judgement{Urgency::kWatch,
                     "source: the database has no capture job: nothing more is captured",
                     "EXEC sys.sp_cdc_add_job @job_type = N'capture';"};
  }
  if (sight.job_runs.known() && !*sight.job_runs.value && sight.jobs.known() &&
      sight.jobs.value->capture && continuous) {
    return Judgement{Urgency::kWatch,
                     "source: the capture job does not run: nothing more is captured",
                     "EXEC sys.sp_cdc_start_job @job_type = N'capture';"};
  }
  if (sight.scans.known() && sight.scans.value->since_last && !scans_lately && continuous) {
    return Judgement{Urgency::kWatch,
                     fmt::format("source: the capture process has not looked at the log for {}",
                                 in_words(*sight.scans.value->since_last)),
                     "see the capture job's history and sys.dm_cdc_errors; EXEC "
                     "sys.sp_cdc_start_job @job_type = N'capture';"};
  }
  return std::nullopt;
}

// By how much capturing is behind the log; nothing when that is not known.
std::optional<seconds> capture_lag(const CaptureSight& sight) {
  if (!sight.scans.known() || !sight.scans.value->since_last) {
    return std::nullopt;
  }
  if (sight.scans.value->last_was_empty) {
    return sight.scans.value->since_last;  // then everything was captured
  }
  return sight.ages ? std::optional(sight.ages->newest) : std::nullopt;
}

Urgency urgency_of(seconds lag, const Options& options) {
  if (lag >= options.critical_lag) {
    return Urgency::kAct;
  }
  return lag >= options.warning_lag ? Urgency::kWatch : Urgency::kNone;
}

}  // namespace

CaptureSight look_at_capture(odbc::Connection& connection, const ServerFacts& server,
                             const LSN& position) {
  CaptureSight sight;
  sight.ages = read_ages(connection, position);
  if (server.is_box_product() && server.writable) {
    sight.agent = read_agent(connection);  // a managed instance's cannot be stopped
  }
  sight.jobs = read_jobs(connection, server);
  if (!server.is_azure_database() && server.writable && sight.jobs.known()) {
    sight.job_runs = read_capture_job_runs(connection);
  }
  sight.scans = read_scans(connection);
  if (sight.scans.known()) {
    sight.last_error = read_last_error(connection);
  }
  return sight;
}

std::optional<Judgement> judge_capture(const CaptureSight& sight, const Options& options) {
  if (sight.agent.passing() || sight.jobs.passing() || sight.job_runs.passing() ||
      sight.scans.passing()) {
    return std::nullopt;
  }
  const std::optional<seconds> lag = capture_lag(sight);
  std::optional<Judgement> judgement = standstill(sight);
  if (!judgement) {
    if (!lag && !sight.agent.known() && !sight.job_runs.known()) {
      return std::nullopt;
    }
    judgement = Judgement{};
  }
  if (lag && urgency_of(*lag, options) > Urgency::kNone) {
    if (judgement->urgency == Urgency::kNone) {
      judgement->what = fmt::format("source: capturing is {} behind the log", in_words(*lag));
      judgement->remedy =
          "let the capture job read more at a time: EXEC sys.sp_cdc_change_job @job_type = "
          "N'capture', @maxtrans = 5000, @maxscans = 100; then stop and start it";
    }
    judgement->urgency = std::max(judgement->urgency, urgency_of(*lag, options));
  }
  constexpr seconds kRecent = std::chrono::hours(1);
  if (judgement->urgency != Urgency::kNone && sight.last_error.known() &&
      sight.last_error.value->ago <= kRecent) {
    judgement->what +=
        fmt::format(" (its last error: number {}, {} ago)", sight.last_error.value->number,
                    in_words(sight.last_error.value->ago));
  }
  return judgement;
}

std::optional<Judgement> judge_position(const CaptureSight& sight, const LSN& position,
                                        const Options& options) {
  if (!sight.ages || sight.jobs.passing()) {
    return std::nullopt;
  }
  if (!sight.ages->next || *sight.ages->next < kBehindMin) {
    return Judgement{};  // the sinks have everything, or as good as
  }
  const seconds behind = *sight.ages->next;
  const std::string waiting =
      fmt::format("no sink has safely what was committed behind {}, up to {} ago",
                  position.to_string(), in_words(behind));
  Judgement judgement;
  judgement.urgency = urgency_of(behind, options);
  judgement.remedy = "see `headgate status` for what holds the sinks up";
  if (!sight.jobs.known() || !sight.jobs.value->cleanup) {
    judgement.what = fmt::format(
        "source: {}; {}", waiting,
        sight.jobs.known() ? "there is no clean-up job" : "how long it is kept is not known");
    return judgement;
  }
  const seconds retention = sight.jobs.value->retention;
  const seconds left = retention - sight.ages->position.value_or(retention);
  const Urgency by_time = left <= retention / 10  ? Urgency::kLastCall
                          : left <= retention / 4 ? Urgency::kAct
                          : left <= retention / 2 ? Urgency::kWatch
                                                  : Urgency::kNone;
  judgement.urgency = std::max(judgement.urgency, by_time);
  judgement.what =
      fmt::format("source: changes will be lost {}: {}, and clean-up keeps {}",
                  left > seconds(0) ? "in " + in_words(left) : "when clean-up runs next", waiting,
                  in_words(retention));
  constexpr std::int64_t kRetentionMinutesMax = 52494800;  // sp_cdc_change_job's
  judgement.remedy += fmt::format(
      "; to keep changes longer: EXEC sys.sp_cdc_change_job @job_type = N'cleanup', @retention = "
      "{};",
      std::min(kRetentionMinutesMax, 2 * duration_cast<minutes>(retention).count()));
  return judgement;
}

Findings CaptureHealth::look(odbc::Connection& connection, const LSN& position) {
  if (!looked_ || clock_.now() >= *looked_ + options_.gap_check_interval) {
    looked_ = clock_.now();
    look_now(connection, position);
  }
  return alarms_.current();
}

void CaptureHealth::look_now(odbc::Connection& connection, const LSN& position) {
  try {
    // Asked anew each time: after a failover it may be a secondary, or the primary.
    consider(look_at_capture(connection, read_server(connection), position), position);
  } catch (const Error& error) {
    log_->debug("source: the capture process was not looked at error=\"{}\"", error.what());
  }
}

void CaptureHealth::consider(const CaptureSight& sight, const LSN& position) {
  tell(kCapture, judge_capture(sight, options_));
  tell(kPosition, judge_position(sight, position, options_));
  tell_unseen(sight);
}

void CaptureHealth::tell(const std::string& topic, const std::optional<Judgement>& judgement) {
  if (judgement) {
    alarms_.tell(topic, judgement->urgency, judgement->what, judgement->remedy);
  }
}

void CaptureHealth::tell_unseen(const CaptureSight& sight) {
  std::vector<std::string> hidden;
  const auto add = [&](bool forbidden, const char* what) {
    if (forbidden) {
      hidden.emplace_back(what);
    }
  };
  add(sight.agent.forbidden(), "SQL Server Agent");
  add(sight.jobs.forbidden(), "the capture and clean-up jobs");
  add(sight.job_runs.forbidden(), "the jobs' activity");
  add(sight.scans.forbidden(), "the capture process's scans");
  const std::string unseen = fmt::format("{}", fmt::join(hidden, ", "));
  if (unseen != unseen_) {
    unseen_ = unseen;
    if (!unseen.empty()) {
      log_->info(
          "source: this login may not see what could warn of a loss unseen=\"{}\" "
          "remedy=\"headgate "
          "check prints the grants\"",
          unseen);
    }
  }
}

}  // namespace headgate::source::sqlserver
