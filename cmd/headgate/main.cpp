// Command line of headgate: reads it, loads the configuration, and hands over to one command.

#include <cstdio>
#include <exception>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include "base/error.hpp"
#include "check.hpp"
#include "config/config.hpp"
#include "demo.hpp"
#include "reload.hpp"
#include "run.hpp"
#include "snapshot.hpp"
#include "status.hpp"
#include "version.hpp"

namespace headgate {
namespace {

constexpr const char* kFooter = R"(
A first pipeline:
  1. write headgate.yml (config/headgate.minimal.yml is the smallest useful one)
  2. headgate check --config headgate.yml     what is missing, and the statement that mends it
  3. headgate run --config headgate.yml       the daemon, in the foreground
  4. headgate status --config headgate.yml    how far each sink is
Without any server at hand: headgate demo

Exit codes: 0 ok, 1 something differs, 64 wrong command line, 69 source, sink or daemon not
reachable, 70 internal error, 74 storage or sink full or unwritable, 75 gave way to another process,
76 the source no longer has what follows, 77 privilege or object missing, 78 configuration wrong)";

struct Arguments {
  std::string config;
  bool json = false;
  bool offline = false;
  bool apply = false;
  std::string until;
  SnapshotArguments snapshot;
  DemoOptions demo;
};

int dispatch(const CLI::App& app, const Arguments& arguments) {
  if (app.got_subcommand("version")) {
    return version_command(arguments.json);
  }
  if (app.got_subcommand("demo")) {
    return demo_command(arguments.demo);
  }
  if (app.get_subcommands().empty() || arguments.config.empty()) {
    // Asked for here and not of CLI11, which would say so before it named an unknown option.
    fmt::print(stderr, "headgate: {}\n  headgate --help shows how to begin\n",
               app.get_subcommands().empty() ? "which command?" : "--config FILE is missing");
    return kExitUsage;
  }
  const Config config = load_config(arguments.config);
  if (app.got_subcommand("run")) {
    return run_command(config, arguments.until);
  }
  if (app.got_subcommand("status")) {
    return status_command(config.http, arguments.json);
  }
  if (app.got_subcommand("tables")) {
    return tables_command(config.http, arguments.json);
  }
  if (app.got_subcommand("reload")) {
    return reload_command(config.http);
  }
  if (app.got_subcommand("snapshot")) {
    return snapshot_command(config.http, arguments.snapshot, arguments.json);
  }
  if (arguments.offline) {
    for (const std::string& warning : config.warnings) {
      fmt::print("warn  {}\n", warning);
    }
    fmt::print("ok    {} is valid\n", arguments.config);
    return kExitOk;
  }
  return check_command(config, {arguments.json, arguments.apply});
}

void define_commands(CLI::App& app, Arguments& arguments) {
  app.require_subcommand(0, 1);
  app.footer(kFooter);
  const auto with_config = [&](CLI::App* command) {
    command->add_option("-c,--config", arguments.config, "the pipeline's configuration file");
    return command;
  };

  CLI::App* run = with_config(app.add_subcommand(
      "run",
      "replicate until SIGTERM, read the file again at SIGHUP; logs to stderr, tells systemd when "
      "it is ready"));
  run->add_option("--until", arguments.until,
                  "stop once every sink stands at this LSN; `now`: where the source ends at start");

  CLI::App* check = with_config(app.add_subcommand(
      "check", "say what would keep `run` from working, each point with its remedy"));
  CLI::Option* offline =
      check->add_flag("--offline", arguments.offline, "only read the file; connect to nothing");
  check
      ->add_flag("--apply", arguments.apply,
                 "run the statements that mend what is missing, then look again")
      ->excludes(offline);
  check->add_flag("--json", arguments.json, "for scripts");

  CLI::App* status =
      with_config(app.add_subcommand("status", "ask the running daemon how far each sink is"));
  status->add_flag("--json", arguments.json, "the daemon's answer as it is");

  CLI::App* tables =
      with_config(app.add_subcommand("tables", "ask the running daemon for each sink's tables"));
  tables->add_flag("--json", arguments.json, "the daemon's answer as it is");

  CLI::App* snapshot = with_config(app.add_subcommand(
      "snapshot", "copy tables anew while the daemon runs: start, pause, resume, cancel, status"));
  snapshot->add_option("action", arguments.snapshot.action, "what to do")
      ->required()
      ->check(CLI::IsMember({"start", "pause", "resume", "cancel", "status"}));
  snapshot->add_option("tables", arguments.snapshot.tables,
                       "of `start`: schema.table, as the source has them; all without any");
  snapshot->add_flag("--json", arguments.json, "the daemon's answer as it is");

  with_config(app.add_subcommand(
      "reload", "the running daemon goes on with the file as it is now, as at SIGHUP"));

  CLI::App* demo = app.add_subcommand(
      "demo", "a throw-away PostgreSQL with a live order workload, mirrored into a SQLite file");
  demo->add_option("--source", arguments.demo.source,
                   "postgres, or sqlserver: an emulation of it in this process, read through the "
                   "ODBC driver FreeTDS")
      ->check(CLI::IsMember({"postgres", "sqlserver"}))
      ->capture_default_str();
  demo->add_option("--seconds", arguments.demo.seconds, "stop after so many; 0: at Ctrl-C")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  demo->add_option("--rate", arguments.demo.rate,
                   "transactions a second of the workload; 0: as many as it can")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  demo->add_option("--keep", arguments.demo.keep, "leave the mirror in this SQLite file");

  app.add_subcommand("version", "print the version")
      ->add_flag("--json", arguments.json, "for scripts");
}

int run_main(int argc, char** argv) {
  CLI::App app{
      "Headgate captures committed transactions from PostgreSQL and SQL Server and applies them,\n"
      "whole, in commit order and exactly once, to SQL databases.",
      "headgate"};
  Arguments arguments;
  define_commands(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help is not an error; CLI11's own codes for the rest mean nothing to a caller.
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  try {
    return dispatch(app, arguments);
  } catch (const Error& error) {
    fmt::print(stderr, "headgate: {}\n", error.what());
    if (!error.hint().empty()) {
      fmt::print(stderr, "  {}\n", error.hint());
    }
    return exit_code_for(error.kind());
  }
}

}  // namespace
}  // namespace headgate

int main(int argc, char** argv) {
  try {
    return headgate::run_main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "headgate: internal error: %s\n", error.what());
    return headgate::kExitInternal;
  }
}
