#include "support/sqlserver_double/faults.hpp"

#include <regex>

#include "support/sqlserver_double/unicode.hpp"

namespace headgate::test::sqlserver {

namespace {

std::function<void(Rowset&)> values_in(const std::string& column, const Value& value) {
  return [column, value](Rowset& rowset) {
    for (std::size_t at = 0; at < rowset.columns.size(); ++at) {
      if (!same_name(rowset.columns[at].name, column)) {
        continue;
      }
      rowset.columns[at].nullable = true;
      for (RowPtr& row : rowset.rows) {
        auto changed = std::make_shared<Row>(*row);
        (*changed)[at] = value;
        row = std::move(changed);
      }
    }
  };
}

}  // namespace

std::function<void(Rowset&)> nulls_in(const std::string& column) {
  return values_in(column, Null{});
}

std::function<void(Rowset&)> bytes_in(const std::string& column, const std::string& bytes) {
  return values_in(column, bytes);
}

std::function<void(Rowset&)> no_rows() {
  return only_rows(0);
}

std::function<void(Rowset&)> only_rows(std::size_t count) {
  return [count](Rowset& rowset) { rowset.rows.resize(std::min(count, rowset.rows.size())); };
}

FaultId FaultScript::add(Fault fault) {
  std::lock_guard lock(mutex_);
  const bool held = fault.held;
  rules_[++last_id_] = {std::move(fault), 0, 0, held};
  return last_id_;
}

void FaultScript::add_login(LoginFault fault) {
  std::lock_guard lock(mutex_);
  login_rules_.push_back(std::move(fault));
}

void FaultScript::release(FaultId id) {
  std::lock_guard lock(mutex_);
  if (const auto found = rules_.find(id); found != rules_.end()) {
    found->second.held = false;
  }
}

void FaultScript::remove(FaultId id) {
  std::lock_guard lock(mutex_);
  rules_.erase(id);
}

void FaultScript::clear() {
  std::lock_guard lock(mutex_);
  rules_.clear();
  login_rules_.clear();
}

unsigned FaultScript::struck(FaultId id) const {
  std::lock_guard lock(mutex_);
  const auto found = rules_.find(id);
  return found == rules_.end() ? 0 : found->second.struck;
}

bool FaultScript::is_held(FaultId id) const {
  std::lock_guard lock(mutex_);
  const auto found = rules_.find(id);
  return found != rules_.end() && found->second.held;
}

std::optional<FaultScript::Strike> FaultScript::match(const std::string& statement, int connection,
                                                      const std::string& application) {
  std::lock_guard lock(mutex_);
  std::optional<Strike> strike;
  for (auto& [id, rule] : rules_) {
    const Fault& fault = rule.fault;
    if (rule.struck >= fault.times || (fault.connection != 0 && fault.connection != connection) ||
        (!fault.application.empty() && !same_name(fault.application, application)) ||
        (!fault.pattern.empty() &&
         !std::regex_search(
             statement, std::regex(fault.pattern, std::regex::icase | std::regex::ECMAScript)))) {
      continue;
    }
    // Each rule counts what it matches, also while an earlier one strikes.
    if (rule.seen++ >= fault.skip && !strike) {
      ++rule.struck;
      strike = Strike{id, fault};
    }
  }
  return strike;
}

std::optional<LoginFault> FaultScript::match_login() {
  std::lock_guard lock(mutex_);
  for (LoginFault& rule : login_rules_) {
    if (rule.times > 0) {
      rule.times -= rule.times == kAlways ? 0 : 1;
      return rule;
    }
  }
  return std::nullopt;
}

}  // namespace headgate::test::sqlserver
