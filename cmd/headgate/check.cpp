#include "check.hpp"

#include <filesystem>
#include <vector>

#include <boost/json.hpp>
#include <fmt/core.h>

#include "base/log.hpp"
#include "pipeline/finding.hpp"
#include "pipeline_factory.hpp"
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

void print_json(const Findings& findings) {
  boost::json::array list;
  for (const Finding& finding : findings) {
    list.push_back({{"level", std::string(mark(finding.level))},
                    {"what", finding.what},
                    {"remedy", finding.remedy}});
  }
  fmt::print("{}\n", boost::json::serialize(boost::json::object{{"findings", std::move(list)}}));
}

}  // namespace

int check_command(const Config& config, bool json) {
  LogOptions quiet = config.logging;
  quiet.level = "error";  // the findings are the output
  quiet.file.clear();
  configure_logging(quiet);

  const SystemClock clock;
  Findings findings;
  for (const std::string& warning : config.warnings) {
    findings.push_back(Finding::warning(warning, {}));
  }
  collect(findings, [&] {
    if (std::filesystem::exists(config.storage_dir)) {
      prepare_storage_dir(config.storage_dir);
      findings.push_back(Finding::ok("storage.dir " + config.storage_dir + " is writable"));
    } else {
      check_storage_parent(config.storage_dir);
      findings.push_back(
          Finding::planned("headgate will create storage.dir " + config.storage_dir, {}));
    }
  });
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
    for (Finding& finding : parts.source->check(stands)) {
      findings.push_back(std::move(finding));
    }
  });

  json ? print_json(findings) : print_text(findings);
  for (const Finding& finding : findings) {
    if (finding.level == Finding::Level::kError) {
      return exit_code_for(finding.kind);
    }
  }
  return kExitOk;
}

}  // namespace headgate
