// Errors are named for the reaction they call for, since that is all a caller can act on.
//
// An Error is classed once, near the driver that saw it, and travels up to the one place that knows
// what to do: the step that can retry it, or the supervisor.

#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace headgate {

enum class ErrorKind {
  kTransient,     // connection lost, failover, lock time-out: retry with back-off
  kLocked,        // another process holds the sink: wait for it, and hold nothing meanwhile
  kInDoubt,       // the reply to COMMIT was lost: reconnect and ask the sink how far it got
  kReread,        // transactions are needed again that only the source still has: begin again from
                  // the sinks' positions
  kPositionLost,  // the source no longer holds what follows our position: a new snapshot is needed
  kRow,           // this row cannot be applied: dead-letter its transaction, or stop
  kSystemic,      // the sink or our own disk refuses everything: stop within the failure budget
  kFenced,        // another process took the pipeline over: stop at once, write nothing
  kPaused,        // a person must act on the sink first: wait, and ask again now and then
  kOperator,      // privilege, missing object, wrong shape: stop, and say how to mend it
  kConfig,        // the configuration is wrong: stop, and name file, line and key
};

std::string_view to_string(ErrorKind kind);

// What the owner of a failed operation does next. The switch in reaction_to has no default, so a
// new kind does not compile until somebody has decided.
enum class Reaction {
  kRetry,        // again after a back-off, for ever: the cause passes by itself
  kAskSink,      // reconnect, read the position, and only then decide what to send again
  kRestart,      // tear the pipeline's session down and open it again from the sinks' positions
  kRetryBudget,  // again after a back-off, a bounded number of times, then stop
  kStop,         // stop the pipeline and exit with exit_code_for(kind)
};

Reaction reaction_to(ErrorKind kind);

// Carries what happened (`what`), and what a person can do about it (`hint`, may be empty). Neither
// ever holds a password, a connection string or a column value.
class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::string hint = {});

  ErrorKind kind() const noexcept { return kind_; }
  const std::string& hint() const noexcept { return hint_; }

  // The same error seen from further up: "context: message". Unchanged where it begins so already.
  Error with_context(std::string_view context) const;

  // Message and hint on one line, as a log line or a command's last words want them.
  std::string describe() const;

 private:
  ErrorKind kind_;
  std::string hint_;
};

// Documented in README.md and used by systemd's RestartPreventExitStatus: a restart mends none of
// 64, 74, 76, 77 and 78.
enum ExitCode : int {
  kExitOk = 0,
  kExitDiffers = 1,        // a comparison or check found something
  kExitUsage = 64,         // wrong command line
  kExitUnavailable = 69,   // source, sink or daemon cannot be reached
  kExitInternal = 70,      // a bug of ours
  kExitStorage = 74,       // disk full or unwritable, or a sink that refuses everything
  kExitTemporary = 75,     // gave way to another process (fenced) or gave up a temporary failure
  kExitPositionLost = 76,  // the source no longer has what follows our position
  kExitOperator = 77,      // privilege, missing object or wrong shape: a person must act
  kExitConfig = 78,        // the configuration file is wrong
};

ExitCode exit_code_for(ErrorKind kind);

}  // namespace headgate
