// The targets of limits.md, section 7, from the medians of one report.

#include <fmt/format.h>

#include "report.hpp"

namespace headgate::bench {

namespace {

constexpr double kMebibyte = 1024 * 1024;

const DrainReport* drain_of(const Report& report, const std::string& workload) {
  for (const DrainReport& drain : report.drains) {
    if (drain.workload.name == workload) {
      return &drain;
    }
  }
  return nullptr;
}

const LatencyResult* latency_of(const std::vector<LatencyResult>& results,
                                const std::string& contender) {
  for (const LatencyResult& result : results) {
    if (result.contender == contender) {
      return &result;
    }
  }
  return nullptr;
}

class Collector {
 public:
  explicit Collector(const Report& report) : report_(report) {}

  // How many times as fast as `rival` it was.
  void ratio(const std::string& workload, const std::string& contender, const std::string& rival,
             double must_reach, double aim) {
    const DrainReport* drain = drain_of(report_, workload);
    const DrainResult* ours = drain == nullptr ? nullptr : drain->of(contender);
    const DrainResult* theirs = drain == nullptr ? nullptr : drain->of(rival);
    if (ours != nullptr && theirs != nullptr && ours->counts() && theirs->counts()) {
      found_.push_back({fmt::format("{}: {}, times {}", workload, contender, rival),
                        theirs->seconds() / ours->seconds(), must_reach, aim});
    }
  }

  void memory(const std::string& workload, const std::string& contender, double must_reach,
              double aim) {
    const DrainReport* drain = drain_of(report_, workload);
    const DrainResult* ours = drain == nullptr ? nullptr : drain->of(contender);
    if (ours != nullptr && ours->counts()) {
      found_.push_back({fmt::format("{}: {}, peak RSS in MiB", workload, contender),
                        ours->rss_peak_bytes() / kMebibyte, must_reach, aim, true});
    }
  }

  // CPU of the daemon against the prototype's, which is in microseconds a row.
  void cpu(const std::string& workload, double rows_per_unit, double prototype) {
    const DrainReport* drain = drain_of(report_, workload);
    const DrainResult* ours = drain == nullptr ? nullptr : drain->of("headgate > postgres");
    if (ours != nullptr && ours->counts()) {
      const double rows = drain->workload.units * rows_per_unit;
      found_.push_back({workload + ": daemon CPU, microseconds a row",
                        ours->cpu("daemon") * 1e6 / rows, prototype * 2.5, prototype * 1.5, true});
    }
  }

  void latency(const std::string& contender, const std::string& rival) {
    const LatencyResult* ours = latency_of(report_.latencies, contender);
    const LatencyResult* theirs = latency_of(report_.latencies, rival);
    if (ours != nullptr && theirs != nullptr) {
      found_.push_back({fmt::format("live: {}, p50 behind {} in ms", contender, rival),
                        ours->at(0.5) - theirs->at(0.5), 0.3, 0.1, true});
      found_.push_back({fmt::format("live: {}, p99 times {}", contender, rival),
                        ours->at(0.99) / theirs->at(0.99), 2, 1.3, true});
    }
  }

  void rates() {
    if (!report_.rates) {
      return;
    }
    for (const LatencyResult& result : report_.rates->results) {
      if (result.contender.starts_with("headgate")) {
        found_.push_back(
            {fmt::format("live at {:.0f} % of TPC-B's rate: {}, p99 in ms",
                         100 * result.source_rate / report_.rates->sustained, result.contender),
             result.at(0.99), 20, 10, true});
      }
    }
  }

  void idle() {
    if (report_.footprint) {
      const auto bytes = std::max(report_.footprint->idle_rss_postgres_bytes,
                                  report_.footprint->idle_rss_sqlite_bytes);
      found_.push_back({"idle: RSS in MiB", static_cast<double>(bytes) / kMebibyte, 32, 32, true});
    }
  }

  void sqlserver(double must_reach, double aim) {
    if (!report_.sqlserver) {
      return;
    }
    for (const SqlServerFigure& figure : report_.sqlserver->figures) {
      if (figure.contender.starts_with("headgate") && figure.refused.empty()) {
        found_.push_back({fmt::format("sqlserver, {}: {}, change rows a CPU-second",
                                      figure.workload, figure.contender),
                          figure.rows_per_cpu_second(), must_reach, aim});
      }
    }
  }

  std::vector<Target> take() { return std::move(found_); }

 private:
  const Report& report_;
  std::vector<Target> found_;
};

}  // namespace

std::string Target::outcome() const {
  const auto reaches = [&](double mark) {
    return smaller_is_better ? measured <= mark : measured >= mark;
  };
  return reaches(aim) ? "aim" : reaches(must_reach) ? "must" : "missed";
}

std::vector<Target> targets(const Report& report) {
  constexpr double kMemoryLimit = 256;  // limits.memory, by default
  const std::string postgres = "headgate > postgres";
  const std::string native = "subscription";
  Collector collector(report);
  collector.ratio("w1", postgres, native, 1.2, 1.35);
  collector.ratio("w1", "headgate > postgres, 256MB", native, 1.6, 1.85);
  collector.ratio("w2", postgres, native, 1.3, 1.7);
  collector.ratio("w2", postgres, "subscription, synchronous", 15, 24);
  collector.ratio("w3", postgres, native, 1.6, 2.3);
  collector.ratio("w3", postgres, "subscription, synchronous", 10, 15);
  collector.ratio("w3_ordered", postgres, native, 0.8, 0.95);
  collector.ratio("first_copy", "headgate, bulk", native, 1.0, 1.3);
  collector.ratio("first_copy", "headgate, chunks", native, 0.7, 1.0);
  collector.ratio("w2", "headgate > sqlite", "sqlite loop", 0.7, 0.9);
  collector.ratio("w3", "headgate > sqlite", "sqlite loop", 0.7, 0.9);
  for (const auto& sink : {postgres, std::string("headgate > sqlite")}) {
    collector.memory("w1", sink, kMemoryLimit, kMemoryLimit);
    collector.memory("w2", sink, 96, 64);
    collector.memory("w3", sink, 96, 64);
  }
  collector.cpu("w1", 1, 0.45);
  collector.cpu("w2", 1, 1.4);
  collector.cpu("w3", 4, 1.4);
  collector.latency(postgres, "subscription, synchronous");
  collector.latency("headgate > postgres, asynchronous", native);
  collector.rates();
  collector.idle();
  collector.sqlserver(60'000, 100'000);
  return collector.take();
}

}  // namespace headgate::bench
