#include "source/sqlserver/alarms.hpp"

#include <chrono>

#include "source/sqlserver/capture_state.hpp"

namespace headgate::source::sqlserver {
namespace {

constexpr int kCalmerLooks = 3;

Duration repeated_after(Urgency urgency) {
  switch (urgency) {
    case Urgency::kNone:
    case Urgency::kWatch:
      break;
    case Urgency::kAct:
      return std::chrono::hours(1);
    case Urgency::kLastCall:
      return std::chrono::minutes(10);
  }
  return std::chrono::hours(6);
}

}  // namespace

void Alarms::tell(const std::string& topic, Urgency urgency, const std::string& what,
                  const std::string& remedy) {
  const auto found = alarms_.find(topic);
  if (found == alarms_.end()) {
    if (urgency != Urgency::kNone) {
      Alarm& alarm = alarms_[topic];
      alarm = {urgency, what, remedy, clock_.now(), {}, 0};
      say(alarm);
    }
    return;
  }
  Alarm& alarm = found->second;
  if (urgency != Urgency::kNone) {
    alarm.what = what;
    alarm.remedy = remedy;
  }
  if (urgency < alarm.urgency) {
    if (++alarm.calmer_looks < kCalmerLooks) {
      return;
    }
    alarm.urgency = urgency;
    alarm.calmer_looks = 0;
    if (urgency == Urgency::kNone) {
      log_->info("source: recovered topic=\"{}\" after=\"{}\"", topic,
                 in_words(std::chrono::duration_cast<seconds>(clock_.now() - alarm.began)));
      alarms_.erase(found);
    }
    return;
  }
  alarm.calmer_looks = 0;
  if (urgency > alarm.urgency || clock_.now() >= alarm.said + repeated_after(urgency)) {
    alarm.urgency = urgency;
    say(alarm);
  }
}

void Alarms::say(Alarm& alarm) {
  alarm.said = clock_.now();
  if (alarm.urgency == Urgency::kWatch) {
    log_->warn("{} remedy=\"{}\"", alarm.what, alarm.remedy);
  } else {
    log_->error("{} remedy=\"{}\"", alarm.what, alarm.remedy);
  }
}

Findings Alarms::current() const {
  Findings findings;
  for (const auto& [topic, alarm] : alarms_) {
    findings.push_back(alarm.urgency == Urgency::kWatch ? Finding::warning(alarm.what, alarm.remedy)
                                                        : Finding::error(alarm.what, alarm.remedy));
  }
  return findings;
}

}  // namespace headgate::source::sqlserver
