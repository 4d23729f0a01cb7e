#include <algorithm>

#include <fmt/format.h>

#include "report.hpp"
#include "statistics.hpp"

namespace headgate::bench {

namespace {

constexpr double kMebibyte = 1024 * 1024;

std::string dash_or(double value, int digits) {
  return value == 0 ? "-" : fmt::format("{:.{}f}", value, digits);
}

// What a reader must know before believing the line.
std::string remarks(const DrainResult& result) {
  std::string text;
  for (const DrainSample& sample : result.samples) {
    if (!sample.refused.empty()) {
      text += "REFUSED: " + sample.refused;
    }
  }
  if (result.counts() && result.disturbed()) {
    text += fmt::format("~ disturbed ({:.2f} cores)", result.foreign_cores());
  }
  return text;
}

std::string ratio(const DrainReport& drain, const DrainResult& result, const std::string& rival) {
  const DrainResult* other = drain.of(rival);
  return other == nullptr || !other->counts() || !result.counts()
             ? "-"
             : fmt::format("{:.2f}", other->seconds() / result.seconds());
}

// Of the time in which changes flowed.
std::string ratio_streaming(const DrainReport& drain, const DrainResult& result,
                            const std::string& rival) {
  const DrainResult* other = drain.of(rival);
  return other == nullptr || !other->counts() || !result.counts()
             ? "-"
             : fmt::format("{:.2f}", (other->seconds() - other->start_seconds()) /
                                         (result.seconds() - result.start_seconds()));
}

void add_drain(std::string& text, const DrainReport& drain) {
  text += fmt::format(
      "\n### {}: {}\n\n"
      "| | s | spread | of it start | {}/s | x subscription | both without start | x loop | peak "
      "RSS MiB | CPU s daemon | walsender | sink server | foreign cores | |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
      drain.workload.name, drain.workload.title, drain.workload.unit);
  for (const DrainResult& result : drain.results) {
    std::vector<double> all;
    for (const DrainSample& sample : result.samples) {
      all.push_back(sample.seconds);
    }
    text += fmt::format(
        "| {} | {:.3f} | {:.3f}-{:.3f} | {:.3f} | {:.0f} | {} | {} | {} | {} | {} | {} | {} | "
        "{:.2f} | {} |\n",
        result.contender, result.seconds(), percentile(all, 0), percentile(all, 1),
        result.start_seconds(), result.counts() ? drain.workload.units / result.seconds() : 0,
        ratio(drain, result, "subscription"), ratio_streaming(drain, result, "subscription"),
        ratio(drain, result, "sqlite loop"), dash_or(result.rss_peak_bytes() / kMebibyte, 1),
        dash_or(result.cpu("daemon") + result.cpu("loop"), 2), dash_or(result.cpu("walsender"), 2),
        dash_or(result.cpu("sink"), 2), result.foreign_cores(), remarks(result));
  }
}

void add_latencies(std::string& text, const std::string& title,
                   const std::vector<LatencyResult>& results) {
  text += fmt::format(
      "\n### {}\n\n"
      "| | source tx/s | samples | p50 ms | p90 | p99 | worst | p99 of the last third over the "
      "first | foreign cores | |\n|---|---|---|---|---|---|---|---|---|---|\n",
      title);
  for (const LatencyResult& result : results) {
    text += fmt::format(
        "| {} | {} | {} | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {:.2f} | {} |\n",
        result.contender, dash_or(result.source_rate, 0), result.milliseconds.size(),
        result.at(0.5), result.at(0.9), result.at(0.99), result.at(1), result.growth(),
        result.foreign_cores, result.refused.empty() ? "" : "REFUSED: " + result.refused);
  }
}

void add_footprint(std::string& text, const FootprintReport& footprint) {
  add_drain(text, footprint.first_change);
  text += fmt::format(
      "\n| | |\n|---|---|\n| idle RSS, PostgreSQL sink | {:.1f} MiB |\n"
      "| idle RSS, SQLite sink | {:.1f} MiB |\n| idle CPU | {:.2f} % of a core |\n"
      "| binary | {:.1f} MiB, of it loaded {:.1f} MiB |\n",
      static_cast<double>(footprint.idle_rss_postgres_bytes) / kMebibyte,
      static_cast<double>(footprint.idle_rss_sqlite_bytes) / kMebibyte,
      100 * footprint.idle_cpu_share, static_cast<double>(footprint.binary_bytes) / kMebibyte,
      static_cast<double>(footprint.loaded_bytes) / kMebibyte);
}

// The driver's share: what a loop that only fetches takes for as many rows.
void add_sqlserver(std::string& text, const SqlServerReport& report) {
  text += fmt::format(
      "\n### SQL Server: {}\n\n"
      "| | | change rows | per CPU s | CPU s | of it the driver's | s | peak RSS MiB | |\n"
      "|---|---|---|---|---|---|---|---|---|\n",
      report.server);
  for (const SqlServerFigure& figure : report.figures) {
    const SqlServerFigure* driver = report.of(figure.workload, "driver loop");
    const bool is_driver = driver == &figure;
    const std::string share = driver == nullptr || is_driver
                                  ? "-"
                                  : fmt::format("{:.0f} %", 100 * figure.rows_per_cpu_second() /
                                                                driver->rows_per_cpu_second());
    text += fmt::format("| {} | {} | {} | {:.0f} | {:.2f} | {} | {:.2f} | {} | {} |\n",
                        figure.workload, figure.contender, figure.change_rows,
                        figure.rows_per_cpu_second(), median(figure.cpu_seconds), share,
                        median(figure.seconds), dash_or(figure.rss_peak_bytes / kMebibyte, 1),
                        figure.refused.empty() ? "" : "REFUSED: " + figure.refused);
  }
}

void add_targets(std::string& text, const Report& report) {
  const std::vector<Target> all = targets(report);
  if (all.empty()) {
    return;
  }
  text += "\n### Targets\n\n| | measured | must reach | aim | |\n|---|---|---|---|---|\n";
  for (const Target& target : all) {
    const char* sign = target.smaller_is_better ? "<=" : ">=";
    text +=
        fmt::format("| {} | {:.2f} | {} {:.4g} | {} {:.4g} | {} |\n", target.what, target.measured,
                    sign, target.must_reach, sign, target.aim, target.outcome());
  }
}

}  // namespace

bool Report::refused() const {
  const auto bad_drain = [](const DrainReport& drain) {
    return std::any_of(drain.results.begin(), drain.results.end(),
                       [](const DrainResult& result) { return result.refused(); });
  };
  const auto bad_latency = [](const LatencyResult& result) { return !result.refused.empty(); };
  return std::any_of(drains.begin(), drains.end(), bad_drain) ||
         std::any_of(latencies.begin(), latencies.end(), bad_latency) ||
         (rates && std::any_of(rates->results.begin(), rates->results.end(), bad_latency)) ||
         (footprint && bad_drain(footprint->first_change)) ||
         (sqlserver && std::any_of(sqlserver->figures.begin(), sqlserver->figures.end(),
                                   [](const auto& figure) { return !figure.refused.empty(); }));
}

std::string to_markdown(const Report& report) {
  std::string text = fmt::format("`{}`, {}\n\n{}{}\n", report.command, report.started_at,
                                 report.server.empty() ? "" : report.server + "; ", report.machine);
  add_targets(text, report);
  for (const DrainReport& drain : report.drains) {
    add_drain(text, drain);
  }
  if (!report.latencies.empty()) {
    add_latencies(text, "live: one transaction at a time", report.latencies);
  }
  if (report.rates) {
    add_latencies(text,
                  fmt::format("live: beside TPC-B, of which the source alone does {:.0f} tx/s",
                              report.rates->sustained),
                  report.rates->results);
  }
  if (report.footprint) {
    add_footprint(text, *report.footprint);
  }
  if (report.sqlserver) {
    add_sqlserver(text, *report.sqlserver);
  }
  return text;
}

}  // namespace headgate::bench
