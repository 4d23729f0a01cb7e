// One point of `headgate check`, and of what the daemon checks before it starts.

#pragma once

#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace headgate {

struct Finding {
  enum class Level {
    kOk,
    kPlanned,  // missing, and headgate will create it
    kWarning,
    kError,
  };

  Level level = Level::kOk;
  std::string what;    // "wal_level is logical"; never a secret
  std::string remedy;  // a statement or setting to paste; empty when there is nothing to mend
  ErrorKind kind = ErrorKind::kOperator;  // with kError: what the daemon would stop with

  // What mends it without a decision of a person's, one statement each, in their order. Run by
  // `headgate check --apply` where `place` says: "source", or "sink NAME". Nothing that loses data,
  // rewrites a table or has a sensible alternative is among them; that stands in `remedy` alone.
  std::vector<std::string> statements{};
  std::string place{};

  static Finding ok(std::string what) { return {Level::kOk, std::move(what), {}, {}}; }
  static Finding planned(std::string what, std::string statement) {
    return {Level::kPlanned, std::move(what), std::move(statement), {}};
  }
  static Finding warning(std::string what, std::string remedy) {
    return {Level::kWarning, std::move(what), std::move(remedy), {}};
  }
  static Finding error(std::string what, std::string remedy,
                       ErrorKind kind = ErrorKind::kOperator) {
    return {Level::kError, std::move(what), std::move(remedy), kind};
  }
  static Finding from(const Error& error) {
    return {Level::kError, error.what(), error.hint(), error.kind()};
  }

  // The same finding with the statements that mend it.
  Finding mended_by(std::string where, std::vector<std::string> sql) && {
    place = std::move(where);
    statements = std::move(sql);
    return std::move(*this);
  }
};

using Findings = std::vector<Finding>;

inline void append(Findings& all, Findings more) {
  all.insert(all.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
}

// Throws the first error among `findings`, if there is one.
inline void require(const Findings& findings) {
  for (const Finding& finding : findings) {
    if (finding.level == Finding::Level::kError) {
      throw Error{finding.kind, finding.what, finding.remedy};
    }
  }
}

}  // namespace headgate
