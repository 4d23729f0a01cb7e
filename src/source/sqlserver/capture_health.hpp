// Gap watch before there is a gap: the capture process stands still or lags, and how long it is
// until clean-up takes what no sink has yet.

#pragma once

#include <map>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "core/lsn.hpp"
#include "db/odbc/connection.hpp"
#include "pipeline/finding.hpp"
#include "source/sqlserver/alarms.hpp"
#include "source/sqlserver/capture_state.hpp"
#include "source/sqlserver/options.hpp"

namespace headgate::source::sqlserver {

// What one look has seen. Where an Answer is unknown, so is what depends on it.
struct CaptureSight {
  Answer<bool> agent;
  Answer<CaptureJobs> jobs;
  Answer<bool> job_runs;
  Answer<LogScans> scans;
  Answer<CaptureError> last_error;
  std::optional<CommitAges> ages;
};
// Asks everything that this kind of server can be asked. Throws OdbcError when the commits' ages
// cannot be read, which is what reading changes needs too.
CaptureSight look_at_capture(odbc::Connection& connection, const ServerFacts& server,
                             const LSN& position);

struct Judgement {
  Urgency urgency = Urgency::kNone;
  std::string what;
  std::string remedy;
};

// Does the capture process keep up? Nothing when the answers do not tell.
std::optional<Judgement> judge_capture(const CaptureSight& sight, const Options& options);

// Is clean-up about to pass `position`, behind which sinks still need everything?
//
// Clean-up counts from the newest captured commit, not from the clock. While capturing goes on the
// two are the same, and a capture process that has stood still catches up in one go: so what is
// told here is the soonest.
std::optional<Judgement> judge_position(const CaptureSight& sight, const LSN& position,
                                        const Options& options);

// Looks now and then, cheaply, and logs what is wrong through Alarms. Does without the rights that
// it lacks: what the login may not see is said once.
//
// Not thread-safe. Owns no thread and no clock; the source's thread calls look().
class CaptureHealth {
 public:
  // All must outlive it.
  CaptureHealth(const Options& options, const Clock& clock, const Logger& log)
      : options_(options), clock_(clock), log_(log), alarms_(clock, log) {}

  // Looks when options.gap_check_interval has passed since the last time; returns what is wrong as
  // far as is known. `position`: what is behind it some sink still needs. Never throws for what the
  // server says, nor for a connection that is lost meanwhile: that is the stream's to notice.
  Findings look(odbc::Connection& connection, const LSN& position);

 private:
  void look_now(odbc::Connection& connection, const LSN& position);
  void consider(const CaptureSight& sight, const LSN& position);
  void tell(const std::string& topic, const std::optional<Judgement>& judgement);
  void tell_unseen(const CaptureSight& sight);

  const Options& options_;
  const Clock& clock_;
  Logger log_;
  Alarms alarms_;
  std::optional<TimePoint> looked_;
  std::string unseen_;  // what was said to be hidden from us
};

}  // namespace headgate::source::sqlserver
