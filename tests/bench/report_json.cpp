#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value_from.hpp>

#include "report.hpp"

namespace headgate::bench {

namespace {

namespace json = boost::json;

json::object sample_json(const DrainSample& sample) {
  json::object cpu;
  for (const auto& [part, seconds] : sample.cpu) {
    cpu[part] = seconds;
  }
  return {{"seconds", sample.seconds},
          {"start_seconds", sample.start_seconds},
          {"cpu_seconds", std::move(cpu)},
          {"rss_peak_bytes", sample.rss_peak_bytes},
          {"foreign_cores", sample.foreign_cores},
          {"disturbed", sample.disturbed},
          {"refused", sample.refused}};
}

json::object drain_json(const DrainReport& drain) {
  json::array results;
  for (const DrainResult& result : drain.results) {
    json::array samples;
    for (const DrainSample& sample : result.samples) {
      samples.push_back(sample_json(sample));
    }
    results.push_back(json::object{{"contender", result.contender},
                                   {"median_seconds", result.seconds()},
                                   {"counts", result.counts()},
                                   {"samples", std::move(samples)}});
  }
  return {{"name", drain.workload.name},
          {"title", drain.workload.title},
          {"unit", drain.workload.unit},
          {"units", drain.workload.units},
          {"results", std::move(results)}};
}

json::array latencies_json(const std::vector<LatencyResult>& results) {
  json::array list;
  for (const LatencyResult& result : results) {
    list.push_back(json::object{{"contender", result.contender},
                                {"source_rate", result.source_rate},
                                {"samples", result.milliseconds.size()},
                                {"p50_ms", result.at(0.5)},
                                {"p90_ms", result.at(0.9)},
                                {"p99_ms", result.at(0.99)},
                                {"max_ms", result.at(1)},
                                {"growth", result.growth()},
                                {"foreign_cores", result.foreign_cores},
                                {"refused", result.refused}});
  }
  return list;
}

json::object footprint_json(const FootprintReport& footprint) {
  return {{"first_change", drain_json(footprint.first_change)},
          {"idle_rss_postgres_bytes", footprint.idle_rss_postgres_bytes},
          {"idle_rss_sqlite_bytes", footprint.idle_rss_sqlite_bytes},
          {"idle_cpu_share", footprint.idle_cpu_share},
          {"binary_bytes", footprint.binary_bytes},
          {"loaded_bytes", footprint.loaded_bytes}};
}

json::array sqlserver_json(const SqlServerReport& report) {
  json::array list;
  for (const SqlServerFigure& figure : report.figures) {
    list.push_back(json::object{{"workload", figure.workload},
                                {"contender", figure.contender},
                                {"change_rows", figure.change_rows},
                                {"cpu_seconds", json::value_from(figure.cpu_seconds)},
                                {"seconds", json::value_from(figure.seconds)},
                                {"rss_peak_bytes", figure.rss_peak_bytes},
                                {"refused", figure.refused}});
  }
  return list;
}

}  // namespace

std::string to_json(const Report& report) {
  json::array drains;
  for (const DrainReport& drain : report.drains) {
    drains.push_back(drain_json(drain));
  }
  json::array target_list;
  for (const Target& target : targets(report)) {
    target_list.push_back(json::object{{"what", target.what},
                                       {"measured", target.measured},
                                       {"must_reach", target.must_reach},
                                       {"aim", target.aim},
                                       {"outcome", target.outcome()}});
  }
  json::object all{{"command", report.command},
                   {"started_at", report.started_at},
                   {"machine", report.machine},
                   {"server", report.server},
                   {"targets", std::move(target_list)},
                   {"drains", std::move(drains)},
                   {"latencies", latencies_json(report.latencies)}};
  if (report.rates) {
    all["rates"] = json::object{{"sustained", report.rates->sustained},
                                {"results", latencies_json(report.rates->results)}};
  }
  if (report.footprint) {
    all["footprint"] = footprint_json(*report.footprint);
  }
  if (report.sqlserver) {
    all["sqlserver"] = sqlserver_json(*report.sqlserver);
  }
  return json::serialize(all) + "\n";
}

}  // namespace headgate::bench
