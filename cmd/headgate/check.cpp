#include "check.hpp"

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include <boost/json.hpp>
#include <fmt/core.h>

#include "apply_remedies.hpp"
#include "base/log.hpp"
#include "pipeline/finding.hpp"
#include "pipeline_factory.hpp"
#include "sink_tables.hpp"
#include "store/storage_dir.hpp"

namespace headgate {
namespace {

std::string_view mark(Finding::Level level) {
  switch (level) {
    case Finding::Level::kOk:
      return "ok";
    case Finding::Level::kPlanned:
      return "plan";
    case Finding::Level::kWarning:
      return "warn";
    case Finding::Level::kError:
      return "FAIL";
  }
  return "?";
}

// Runs one part of the check; what it throws becomes a finding, and the other parts go on.
template <typename Part>
void collect(Findings& findings, Part part) {
  try {
    part();
  } catch (const Error& error) {
    findings.push_back(Finding::from(error));
  }
}

void print_text(const Findings& findings) {
  for (const Finding& finding : findings) {
    fmt::print("{:<4}  {}\n", mark(finding.level), finding.what);
    if (!finding.remedy.empty()) {
      fmt::print("      {}\n", finding.remedy);
    }
  }
}

void print_json(const Findings& findings, const std::vector<RemedyRunner::Outcome>& applied) {
  boost::json::array list;
  for (const Finding& finding : findings) {
    boost::json::object entry{{"level", std::string(mark(finding.level))},
                              {"what", finding.what},
                              {"remedy", finding.remedy}};
    if (!finding.statements.empty()) {
      entry["place"] = finding.place;
      entry["statements"] =
          boost::json::array(finding.statements.begin(), finding.statements.end());
    }
    list.push_back(std::move(entry));
  }
  boost::json::array done;
  for (const RemedyRunner::Outcome& outcome : applied) {
    done.push_back(
        {{"place", outcome.place}, {"statement", outcome.statement}, {"refusal", outcome.refusal}});
  }
  fmt::print("{}\n", boost::json::serialize(boost::json::object{{"findings", std::move(list)},
                                                                {"applied", std::move(done)}}));
}

Finding check_storage(const Config& config) {
  if (std::filesystem::exists(config.storage_dir)) {
    prepare_storage_dir(config.storage_dir);
    return Finding::ok("storage.dir " + config.storage_dir + " is writable");
  }
  check_storage_parent(config.storage_dir);
  return Finding::planned("headgate will create storage.dir " + config.storage_dir, {});
}

Findings check_all(const Config& config) {
  const SystemClock clock;
  Findings findings;
  for (const std::string& warning : config.warnings) {
    findings.push_back(Finding::warning(warning, {}));
  }
  collect(findings, [&] { findings.push_back(check_storage(config)); });
  PipelineParts parts = make_pipeline(config, clock);
  std::vector<SinkStand> stands;
  for (const auto& sink : parts.sinks) {
    collect(findings, [&] {
      const SinkPosition found = sink.driver->check(findings);
      if (!found.position.empty()) {
        stands.push_back({"sink " + sink.name, found.position});
      }
    });
  }
  collect(findings, [&] {
    append(findings, parts.source->check(stands));
    append(findings, check_sink_tables(config, stands));
  });
  return findings;
}

bool is_error(const Finding& finding) {
  return finding.level == Finding::Level::kError;
}

int exit_code_of(const Findings& findings) {
  const auto first = std::find_if(findings.begin(), findings.end(), is_error);
  return first == findings.end() ? kExitOk : exit_code_for(first->kind);
}

}  // namespace

int check_command(const Config& config, const CheckOptions& options) {
  LogOptions quiet = config.logging;
  quiet.level = "error";  // the findings are the output
  quiet.file.clear();
  configure_logging(quiet);

  Findings findings = check_all(config);
  // Where the output is for a script, the progress is for whoever watches it.
  RemedyRunner runner(config, options.json ? stderr : stdout);
  // What stands behind a mended point shows only then: a bounded number of rounds.
  constexpr int kRoundsMax = 5;
  for (int round = 0; options.apply && round < kRoundsMax && runner.run(findings); ++round) {
    findings = check_all(config);
  }
  options.json ? print_json(findings, runner.outcomes()) : print_text(findings);
  const auto left = std::count_if(findings.begin(), findings.end(), is_error);
  if (options.apply && !options.json && left > 0) {
    fmt::print("left  {} {} to a person: another user's right, a restart, or a choice\n", left,
               left == 1 ? "point" : "points");
  }
  return exit_code_of(findings);
}

}  // namespace headgate
