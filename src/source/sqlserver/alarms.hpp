// What a source has warned of, and when it is worth saying again.

#pragma once

#include <map>
#include <string>

#include "base/clock.hpp"
#include "base/log.hpp"
#include "pipeline/finding.hpp"

namespace headgate::source::sqlserver {

// How near a loss is. Each step is logged louder and more often than the one before.
enum class Urgency {
  kNone,
  kWatch,     // warn, again every 6 hours
  kAct,       // error, again every hour
  kLastCall,  // error, again every 10 minutes
};

// Keeps one alarm per topic and logs it when it begins, when it becomes more urgent and at
// intervals while it lasts; once more when it has ended. An alarm ends, or becomes less urgent,
// only after several looks in a row have said so: what comes and goes with each look is one alarm,
// not a log full of them.
//
// Not thread-safe. Owns no thread and no clock.
class Alarms {
 public:
  // `clock` must outlive it.
  Alarms(const Clock& clock, Logger log) : clock_(clock), log_(std::move(log)) {}

  // What a look at `topic` has found. `what` and `remedy` may name times that change with each
  // look; unused with kNone.
  void tell(const std::string& topic, Urgency urgency, const std::string& what = {},
            const std::string& remedy = {});

  // All that last, by topic: kWarning for kWatch, kError for what is more.
  Findings current() const;

 private:
  struct Alarm {
    Urgency urgency = Urgency::kNone;
    std::string what;
    std::string remedy;
    TimePoint began{};
    TimePoint said{};
    int calmer_looks = 0;  // in a row
  };

  void say(Alarm& alarm);

  const Clock& clock_;
  Logger log_;
  std::map<std::string, Alarm> alarms_;
};

}  // namespace headgate::source::sqlserver
