#include "base/error.hpp"

#include <utility>

namespace headgate {

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kTransient:
      return "transient";
    case ErrorKind::kLocked:
      return "locked";
    case ErrorKind::kInDoubt:
      return "in_doubt";
    case ErrorKind::kReread:
      return "reread";
    case ErrorKind::kPositionLost:
      return "position_lost";
    case ErrorKind::kRow:
      return "row";
    case ErrorKind::kSystemic:
      return "systemic";
    case ErrorKind::kFenced:
      return "fenced";
    case ErrorKind::kPaused:
      return "paused";
    case ErrorKind::kOperator:
      return "operator";
    case ErrorKind::kConfig:
      return "config";
  }
  return "unknown";
}

Reaction reaction_to(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kTransient:
    case ErrorKind::kLocked:
    case ErrorKind::kPaused:
      return Reaction::kRetry;
    case ErrorKind::kInDoubt:
      return Reaction::kAskSink;
    case ErrorKind::kReread:
      return Reaction::kRestart;
    case ErrorKind::kSystemic:
      return Reaction::kRetryBudget;
    case ErrorKind::kRow:  // until the dead-letter queue exists, a row error stops the pipeline
                           // (I5)
    case ErrorKind::kPositionLost:
    case ErrorKind::kFenced:
    case ErrorKind::kOperator:
    case ErrorKind::kConfig:
      return Reaction::kStop;
  }
  return Reaction::kStop;
}

Error::Error(ErrorKind kind, const std::string& message, std::string hint)
    : std::runtime_error(message), kind_(kind), hint_(std::move(hint)) {}

Error Error::with_context(std::string_view context) const {
  const std::string prefix = std::string(context) + ": ";
  return std::string_view(what()).starts_with(prefix) ? *this
                                                      : Error{kind_, prefix + what(), hint_};
}

std::string Error::describe() const {
  return hint_.empty() ? std::string(what()) : std::string(what()) + " (" + hint_ + ")";
}

ExitCode exit_code_for(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kTransient:
    case ErrorKind::kLocked:
    case ErrorKind::kInDoubt:
    case ErrorKind::kReread:
      return kExitUnavailable;
    case ErrorKind::kPositionLost:
      return kExitPositionLost;
    case ErrorKind::kRow:
    case ErrorKind::kPaused:
    case ErrorKind::kOperator:
      return kExitOperator;
    case ErrorKind::kSystemic:
      return kExitStorage;
    case ErrorKind::kFenced:
      return kExitTemporary;
    case ErrorKind::kConfig:
      return kExitConfig;
  }
  return kExitInternal;
}

}  // namespace headgate
