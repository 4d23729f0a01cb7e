#include "drain.hpp"

#include <algorithm>
#include <thread>

#include <fmt/format.h>

#include "interrupt.hpp"
#include "machine.hpp"
#include "statistics.hpp"
#include "support/wait_until.hpp"

namespace headgate::bench {

namespace {

constexpr Duration kLookInterval = std::chrono::milliseconds(10);
constexpr Duration kPatience = std::chrono::minutes(30);

double seconds_since(TimePoint start) {
  return std::chrono::duration<double>(SystemClock().now() - start).count();
}

DrainSample drain_once(PreparedWorkload& prepared, const Contender& contender,
                       const DrainOptions& options) {
  const std::unique_ptr<Run> run = contender.prepare(prepared);
  wait_until_calm(options.foreign_cores_max, options.calm_patience);
  DrainSample sample;
  const ForeignLoad foreign;
  const TimePoint start = SystemClock().now();
  run->start();
  bool streaming = false;
  while (run->applied() <= prepared.target()) {
    check_interrupted();
    if (!streaming && run->streaming()) {
      streaming = true;
      sample.start_seconds = seconds_since(start);
    }
    if (SystemClock().now() - start > kPatience) {
      throw test::WaitedTooLong(contender.name() + " does not get through " +
                                prepared.workload().name);
    }
    std::this_thread::sleep_for(kLookInterval);
  }
  sample.seconds = seconds_since(start);
  sample.cpu = run->cpu();
  sample.rss_peak_bytes = run->rss_peak_bytes();
  sample.foreign_cores = foreign.cores();
  sample.disturbed = sample.foreign_cores > options.foreign_cores_max;
  run->stop();
  sample.refused = differences(prepared.expected(), run->found());
  return sample;
}

void tell(const PreparedWorkload& prepared, const std::string& contender,
          const DrainSample& sample) {
  fmt::print(
      stderr, "bench: {:8} {:28} {:7.3f} s, {:6.0f} {}/s{}{}\n", prepared.workload().name,
      contender, sample.seconds, prepared.workload().units / sample.seconds,
      prepared.workload().unit,
      sample.disturbed ? fmt::format(", disturbed ({:.2f} cores)", sample.foreign_cores) : "",
      sample.refused.empty() ? "" : ", REFUSED: " + sample.refused);
}

}  // namespace

template <typename Get>
double DrainResult::median_of(Get get) const {
  std::vector<double> calm;
  std::vector<double> all;
  for (const DrainSample& sample : samples) {
    if (sample.refused.empty()) {
      all.push_back(get(sample));
      if (!sample.disturbed) {
        calm.push_back(get(sample));
      }
    }
  }
  return median(calm.empty() ? all : calm);
}

bool DrainResult::counts() const {
  return std::any_of(samples.begin(), samples.end(),
                     [](const DrainSample& sample) { return sample.refused.empty(); });
}

bool DrainResult::disturbed() const {
  return std::all_of(samples.begin(), samples.end(), [](const DrainSample& sample) {
    return sample.disturbed || !sample.refused.empty();
  });
}

bool DrainResult::refused() const {
  return std::any_of(samples.begin(), samples.end(),
                     [](const DrainSample& sample) { return !sample.refused.empty(); });
}

double DrainResult::seconds() const {
  return median_of([](const DrainSample& sample) { return sample.seconds; });
}

double DrainResult::start_seconds() const {
  return median_of([](const DrainSample& sample) { return sample.start_seconds; });
}

double DrainResult::cpu(const std::string& part) const {
  return median_of([&](const DrainSample& sample) {
    for (const auto& [name, seconds] : sample.cpu) {
      if (name == part) {
        return seconds;
      }
    }
    return 0.0;
  });
}

double DrainResult::rss_peak_bytes() const {
  return median_of(
      [](const DrainSample& sample) { return static_cast<double>(sample.rss_peak_bytes); });
}

double DrainResult::foreign_cores() const {
  return median_of([](const DrainSample& sample) { return sample.foreign_cores; });
}

const DrainResult* DrainReport::of(const std::string& contender) const {
  const auto found = std::find_if(results.begin(), results.end(), [&](const DrainResult& result) {
    return result.contender == contender;
  });
  return found == results.end() ? nullptr : &*found;
}

DrainReport drain(PreparedWorkload& prepared, const Contenders& contenders,
                  const DrainOptions& options) {
  DrainReport report{prepared.workload(), {}};
  for (const auto& contender : contenders) {
    report.results.push_back({contender->name()});
  }
  for (unsigned repeat = 0; repeat < options.repeats; ++repeat) {
    for (std::size_t i = 0; i < contenders.size(); ++i) {
      for (unsigned attempt = 0; attempt <= options.disturbed_retries; ++attempt) {
        DrainSample sample = drain_once(prepared, *contenders[i], options);
        tell(prepared, contenders[i]->name(), sample);
        const bool again = sample.disturbed && sample.refused.empty();
        report.results[i].samples.push_back(std::move(sample));
        if (!again) {
          break;
        }
      }
    }
  }
  return report;
}

}  // namespace headgate::bench
