#include "apply_remedies.hpp"

#include <algorithm>
#include <variant>

#include <fmt/core.h>

#include "base/error.hpp"
#include "source/postgres/catalog.hpp"
#include "source/sqlserver/session.hpp"

namespace headgate {
namespace {

// What must lock may not make the application wait for long.
constexpr const char* kLockTimeout = "5s";

pq::ConnectOptions sink_session(const sink::postgres::Options& options) {
  pq::ConnectOptions connect;
  connect.conninfo = options.conninfo;
  connect.password = options.password;
  connect.role = "sink " + options.name;
  return connect;
}

}  // namespace

bool RemedyRunner::run(const Findings& findings) {
  bool any_done = false;
  for (const Finding& finding : findings) {
    const bool missing =
        finding.level == Finding::Level::kError || finding.level == Finding::Level::kPlanned;
    if (!missing || !attempted_.emplace(finding.place, finding.statements).second) {
      continue;
    }
    for (const std::string& statement : finding.statements) {
      if (!run_statement(finding.place, statement)) {
        break;  // the next one builds on it
      }
      any_done = true;
    }
  }
  return any_done;
}

bool RemedyRunner::run_statement(const std::string& place, const std::string& statement) {
  fmt::print(progress_, "run   {}: {}{}\n", place, statement, statement.ends_with(';') ? "" : ";");
  std::fflush(progress_);
  Outcome outcome{place, statement, {}};
  try {
    execute(place, statement);
  } catch (const Error& error) {
    outcome.refusal = error.what();
  }
  fmt::print(progress_, "      {}\n", outcome.refusal.empty() ? "done" : outcome.refusal);
  outcomes_.push_back(outcome);
  return outcome.refusal.empty();
}

void RemedyRunner::execute(const std::string& place, const std::string& statement) {
  if (place == "source" && config_.sqlserver) {
    sqlserver_source().execute(statement, "run this");
  } else {
    connection_to(place).exec(statement, "run this");
  }
}

odbc::Connection& RemedyRunner::sqlserver_source() {
  if (!sqlserver_source_ || sqlserver_source_->lost()) {
    sqlserver_source_.reset();
    sqlserver_source_ =
        std::make_unique<odbc::Connection>(source::sqlserver::session_options(*config_.sqlserver));
  }
  return *sqlserver_source_;
}

pq::Connection& RemedyRunner::connection_to(const std::string& place) {
  std::unique_ptr<pq::Connection>& connection = connections_[place];
  if (connection && !connection->lost()) {
    return *connection;
  }
  connection.reset();
  pq::ConnectOptions options;
  if (place == "source") {
    options = source::postgres::session_options(config_.source);
  } else {
    const auto sink = std::find_if(
        config_.sinks.begin(), config_.sinks.end(),
        [&](const SinkSettings& settings) { return "sink " + settings.name == place; });
    const auto* server =
        sink == config_.sinks.end() ? nullptr : std::get_if<sink::postgres::Options>(&sink->driver);
    if (server == nullptr) {
      throw Error{ErrorKind::kOperator, place + " takes no statements"};
    }
    options = sink_session(*server);
  }
  options.settings.emplace_back("lock_timeout", kLockTimeout);
  connection = std::make_unique<pq::Connection>(options);
  return *connection;
}

}  // namespace headgate
