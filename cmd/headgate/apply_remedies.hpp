// Runs what `headgate check --apply` may run: the statements of findings that have some.

#pragma once

#include <cstdio>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "config/config.hpp"
#include "db/odbc/connection.hpp"
#include "db/pq/connection.hpp"
#include "pipeline/finding.hpp"

namespace headgate {

// Runs the statements of a finding once, however often it is found, as the user that the
// configuration names. Not thread-safe.
class RemedyRunner {
 public:
  // `progress` takes each statement before it is run, and its outcome. Both must outlive the
  // runner.
  RemedyRunner(const Config& config, std::FILE* progress) : config_(config), progress_(progress) {}

  struct Outcome {
    std::string place;
    std::string statement;
    std::string refusal;  // empty: done
  };

  // Runs what `findings` need and was not run before. Whatever is missing or planned counts; what
  // is only warned of is for a person to weigh. Returns whether one statement succeeded, so that
  // looking again makes sense.
  bool run(const Findings& findings);

  const std::vector<Outcome>& outcomes() const { return outcomes_; }

 private:
  bool run_statement(const std::string& place, const std::string& statement);
  void execute(const std::string& place, const std::string& statement);
  pq::Connection& connection_to(const std::string& place);
  odbc::Connection& sqlserver_source();

  const Config& config_;
  std::FILE* progress_;
  std::map<std::string, std::unique_ptr<pq::Connection>> connections_;  // by place
  std::unique_ptr<odbc::Connection> sqlserver_source_;
  std::set<std::pair<std::string, std::vector<std::string>>> attempted_;  // place and statements
  std::vector<Outcome> outcomes_;
};

}  // namespace headgate
