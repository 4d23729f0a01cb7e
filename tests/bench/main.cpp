// Command line of the bench: which measurements, how large, where the figures go.

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <optional>
#include <stdexcept>

#include <CLI/CLI.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "curves.hpp"
#include "interrupt.hpp"
#include "machine.hpp"
#include "report.hpp"
#include "sqlserver.hpp"

namespace headgate::bench {
namespace {

struct Arguments {
  std::vector<std::string> parts{};
  std::uint64_t rows = 1'000'000;
  DrainOptions drain{};
  unsigned calm_seconds = 30;
  unsigned latency_count = 1000;
  unsigned rate_seconds = 60;
  CurveOptions curves{};
  std::string pg_bin{};
  std::string json{};
  std::string markdown{};
  std::string csv{};
  std::string svg{};
};

constexpr const char* kSqlServer = "sqlserver";
const std::vector<std::string> kParts = {"w1",         "w2",      "w3",    "w3_ordered",
                                         "first_copy", "latency", "rates", "footprint",
                                         "curves",     kSqlServer};

bool wants(const Arguments& arguments, const std::string& part) {
  const auto& parts = arguments.parts;
  const bool all = std::find(parts.begin(), parts.end(), "all") != parts.end();
  return all || std::find(parts.begin(), parts.end(), part) != parts.end();
}

Contenders w1_contenders() {
  Contenders contenders;
  contenders.push_back(subscription(false));
  contenders.push_back(headgate_to_postgres());
  HeadgateToPostgresOptions more_memory;
  more_memory.name = "headgate > postgres, 256MB";
  more_memory.decoding_work_mem = "256MB";
  contenders.push_back(headgate_to_postgres(more_memory));
  contenders.push_back(headgate_to_sqlite());
  contenders.push_back(sqlite_loop());
  return contenders;
}

Contenders transaction_contenders() {
  Contenders contenders;
  contenders.push_back(subscription(false));
  contenders.push_back(headgate_to_postgres());
  contenders.push_back(subscription(true));
  contenders.push_back(headgate_to_sqlite());
  contenders.push_back(sqlite_loop());
  return contenders;
}

Contenders ordered_contenders() {
  Contenders contenders;
  contenders.push_back(subscription(false));
  contenders.push_back(headgate_to_postgres());
  return contenders;
}

Contenders latency_contenders() {
  Contenders contenders;
  HeadgateToPostgresOptions asynchronous;
  asynchronous.name = "headgate > postgres, asynchronous";
  asynchronous.synchronous_commit = false;
  contenders.push_back(subscription(false));
  contenders.push_back(headgate_to_postgres(asynchronous));
  contenders.push_back(subscription(true));
  contenders.push_back(headgate_to_postgres());
  contenders.push_back(headgate_to_sqlite());
  return contenders;
}

// w3 where the sink has triggers, so that nothing may be coalesced.
Workload ordered_tpcb(std::uint64_t rows) {
  Workload workload = tpcb(rows);
  workload.name = "w3_ordered";
  workload.title += ", triggers at the sink";
  workload.sink_sql = order_keeping_triggers();
  return workload;
}

RateReport measure_rates(Stage& stage, const Arguments& arguments) {
  PreparedWorkload prepared(stage, idle_tpcb(arguments.rows));
  RateReport report;
  constexpr unsigned kRateSeconds = 10;
  report.sustained = tpcb_rate(prepared.source(), kRateSeconds);
  Contenders contenders;
  contenders.push_back(headgate_to_postgres());
  contenders.push_back(headgate_to_sqlite());
  contenders.push_back(subscription(true));
  for (const double share : {0.25, 0.5}) {
    for (const auto& contender : contenders) {
      report.results.push_back(latency_under_load(prepared, *contender, share * report.sustained,
                                                  arguments.rate_seconds));
    }
  }
  return report;
}

void write_file(const std::string& path, const std::string& text) {
  if (path.empty()) {
    return;
  }
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << text;
  if (!file.flush()) {
    throw std::runtime_error("cannot write " + path);
  }
}

void measure_drains(Stage& stage, const Arguments& arguments, Report& report) {
  const auto one = [&](const Workload& workload, const Contenders& contenders) {
    PreparedWorkload prepared(stage, workload);
    report.drains.push_back(drain(prepared, contenders, arguments.drain));
  };
  if (wants(arguments, "w1")) {
    one(bulk_insert(arguments.rows), w1_contenders());
  }
  if (wants(arguments, "w2")) {
    one(single_updates(arguments.rows), transaction_contenders());
  }
  if (wants(arguments, "w3")) {
    one(tpcb(arguments.rows), transaction_contenders());
  }
  if (wants(arguments, "w3_ordered")) {
    one(ordered_tpcb(arguments.rows), ordered_contenders());
  }
  if (wants(arguments, "first_copy")) {
    one(first_copy(arguments.rows), first_copies());
  }
}

void measure_curves(Stage& stage, const Arguments& arguments) {
  std::vector<CurveFigure> figures;
  for (const Curve& curve : curves(arguments.curves)) {
    const auto more = measure(stage, curve, arguments.drain);
    figures.insert(figures.end(), more.begin(), more.end());
  }
  fmt::print("{}", to_csv(figures));
  write_file(arguments.csv, to_csv(figures));
  write_file(arguments.svg, to_svg(figures));
}

// False when nothing of it is wanted, so that no server need be started.
bool wants_postgres(const Arguments& arguments) {
  return std::any_of(kParts.begin(), kParts.end(), [&](const std::string& part) {
    return part != kSqlServer && wants(arguments, part);
  });
}

void measure_postgres(Stage& stage, const Arguments& arguments, Report& report) {
  report.server = stage.server_version();
  measure_drains(stage, arguments, report);
  if (wants(arguments, "latency")) {
    PreparedWorkload prepared(stage, idle_table(arguments.rows));
    report.latencies =
        single_latency(prepared, latency_contenders(), arguments.latency_count, arguments.drain);
  }
  if (wants(arguments, "rates")) {
    report.rates = measure_rates(stage, arguments);
  }
  if (wants(arguments, "footprint")) {
    report.footprint = footprint(stage, arguments.drain);
  }
}

int run(const Arguments& arguments, const std::string& command) {
  if (!arguments.pg_bin.empty()) {
    ::setenv("HEADGATE_PG_BIN", arguments.pg_bin.c_str(), 1);
  }
  Report report;
  report.started_at = fmt::format(
      "{:%Y-%m-%dT%H:%M:%SZ}",
      fmt::gmtime(std::chrono::system_clock::to_time_t(std::chrono::system_clock::now())));
  report.command = command;
  report.machine = describe_machine();
  std::optional<Stage> stage;
  if (wants_postgres(arguments)) {
    stage.emplace();
    measure_postgres(*stage, arguments, report);
  }
  if (wants(arguments, kSqlServer)) {
    constexpr std::uint64_t kShare = 5;  // of w1's rows
    report.sqlserver = measure_sqlserver({arguments.rows / kShare, arguments.drain.repeats});
  }
  fmt::print("{}", to_markdown(report));
  write_file(arguments.markdown, to_markdown(report));
  write_file(arguments.json, to_json(report));
  if (wants(arguments, "curves")) {
    measure_curves(*stage, arguments);
  }
  return report.refused() ? 1 : 0;
}

}  // namespace
}  // namespace headgate::bench

int main(int argc, char** argv) {
  using namespace headgate::bench;
  Arguments arguments;
  CLI::App app{
      "Measures Headgate beside PostgreSQL's own subscription and a bare SQLite loop, on the same "
      "log in the same run. tests/bench/README.md says what each figure means. Exit code 1: a "
      "figure was refused, since the sink did not hold what the source does."};
  std::vector<std::string> known = kParts;
  known.emplace_back("all");
  app.add_option("part", arguments.parts,
                 "w1 w2 w3 w3_ordered first_copy latency rates footprint curves sqlserver, all")
      ->check(CLI::IsMember(known));
  app.add_option("--rows", arguments.rows, "of w1; the other workloads shrink with it")
      ->capture_default_str()
      ->check(CLI::Range(std::uint64_t{1000}, std::uint64_t{100'000'000}));
  app.add_option("--repeats", arguments.drain.repeats, "of everything, interleaved")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  app.add_option("--retries", arguments.drain.disturbed_retries,
                 "of a run during which other processes were busy")
      ->capture_default_str();
  app.add_option("--calm", arguments.calm_seconds,
                 "how many seconds to wait before each run for others to become quiet")
      ->capture_default_str();
  app.add_option("--foreign", arguments.drain.foreign_cores_max,
                 "how many cores others may take before a run is marked")
      ->capture_default_str();
  app.add_option("--latency-count", arguments.latency_count, "transactions in each round")
      ->capture_default_str();
  app.add_option("--rate-seconds", arguments.rate_seconds, "of live load at each rate")
      ->capture_default_str();
  app.add_option(
      "--curve", arguments.curves.only,
      "only this one: row_width, columns, tables, transaction_size, indexes, round_trip");
  app.add_option("--curve-rows", arguments.curves.rows, "of one point")->capture_default_str();
  app.add_option("--transaction-rows-max", arguments.curves.transaction_rows_max,
                 "where the curve of transaction sizes ends; 10000000 for all of it")
      ->capture_default_str();
  app.add_option("--pg-bin", arguments.pg_bin,
                 "the folder of another PostgreSQL's programs, as HEADGATE_PG_BIN");
  app.add_option("--json", arguments.json, "file for all samples");
  app.add_option("--markdown", arguments.markdown, "file for the tables, which are printed too");
  app.add_option("--csv", arguments.csv, "file for the curves, which are printed too");
  app.add_option("--svg", arguments.svg, "file for a picture of the curves");
  CLI11_PARSE(app, argc, argv);
  if (arguments.parts.empty()) {
    arguments.parts = {"w1", "w2", "w3", "latency"};
  }
  arguments.drain.calm_patience = std::chrono::seconds(arguments.calm_seconds);
  std::string command = "./dev bench";
  for (int i = 1; i < argc; ++i) {
    command += std::string(" ") + argv[i];
  }
  catch_interrupts();
  try {
    return run(arguments, command);
  } catch (const std::exception& error) {
    fmt::print(stderr, "bench: {}\n", error.what());
    return 2;
  }
}
