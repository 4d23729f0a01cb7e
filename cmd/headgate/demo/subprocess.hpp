// A child process, started without a shell, waited for with a deadline, and never left behind.
//
// For the demo and the tests, which run PostgreSQL's programs and Headgate's own binary.

#pragma once

#include <sys/types.h>
#include <csignal>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"

namespace headgate::demo {

// Whom a child runs as; only root can choose.
struct User {
  uid_t uid = 0;
  gid_t gid = 0;
  std::string name;
};

// Looks a user up by name. Nothing when there is none.
std::optional<User> find_user(const std::string& name);

// How a child ended: with an exit code, or by a signal.
struct ExitStatus {
  int code = 0;    // meaningless when `signal` is set
  int signal = 0;  // 0: it ended by itself

  bool ok() const { return signal == 0 && code == 0; }
  // "exit code 1" or "signal 9".
  std::string describe() const;
};

// Where a child's standard output or error goes.
struct Output {
  enum class Kind { kInherit, kNull, kFile, kPipe };
  Kind kind = Kind::kInherit;
  std::string path;  // kFile: appended to, created when missing

  static Output inherit() { return {}; }
  static Output null() { return {Kind::kNull, {}}; }
  static Output file(std::string path) { return {Kind::kFile, std::move(path)}; }
  static Output pipe() { return {Kind::kPipe, {}}; }
};

struct SpawnOptions {
  // The program and its arguments; a program without a slash is looked for in PATH.
  std::vector<std::string> argv;
  // Set over our own environment; an empty value removes the variable.
  std::vector<std::pair<std::string, std::string>> env{};
  std::string cwd{};           // empty: ours
  std::optional<User> user{};  // nothing: as ourselves
  Output out{};
  Output err{};

  // The signal the child gets when the thread that started it ends, however it ends; so start a
  // child from a thread that outlives it. 0: none.
  int death_signal = SIGKILL;
};

// Owns one child. Killed (SIGKILL) and reaped by the destructor if it still runs.
//
// Not thread-safe.
class Subprocess {
 public:
  // Starts the program in a process group of its own, so that a Ctrl-C meant for us does not reach
  // it.
  //
  // Throws Error{kOperator} when it cannot be started (missing, not executable, no right to change
  // the user).
  explicit Subprocess(const SpawnOptions& options);
  ~Subprocess();

  Subprocess(const Subprocess&) = delete;
  Subprocess& operator=(const Subprocess&) = delete;

  pid_t pid() const { return pid_; }

  // The end of the child's pipe we read from; -1 without one.
  int out_fd() const { return out_fd_; }
  int err_fd() const { return err_fd_; }

  // Waits for the end until `deadline`. Nothing: it still runs.
  std::optional<ExitStatus> wait_until(TimePoint deadline);
  std::optional<ExitStatus> wait_for(Duration timeout);
  // Whether it has not ended yet.
  bool running();

  // Does nothing when the child has ended.
  void send(int signal_number);

  // SIGKILL, then reaps.
  ExitStatus kill();

 private:
  bool reap();

  pid_t pid_ = -1;
  int pid_fd_ = -1;  // readable once the child has ended; cannot mean another process
  int out_fd_ = -1;
  int err_fd_ = -1;
  std::optional<ExitStatus> ended_;
};

struct RunResult {
  // Nothing: the deadline passed, and the child was killed.
  std::optional<ExitStatus> status;
  std::string out;
  std::string err;

  bool ok() const { return status && status->ok(); }
};

// Runs a program to its end, at most for `timeout`, and collects what it prints; `out` and `err` of
// the options are replaced by pipes.
//
// Throws as Subprocess does.
RunResult run(SpawnOptions options, Duration timeout);

}  // namespace headgate::demo
