#include "demo/subprocess.hpp"

#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <poll.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <map>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"

extern char** environ;  // POSIX declares it nowhere

namespace headgate::demo {

namespace {

void close_fd(int& fd) {
  if (fd >= 0) {
    ::close(fd);
    fd = -1;
  }
}

int milliseconds_until(TimePoint deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SystemClock().now());
  return static_cast<int>(std::clamp<std::chrono::milliseconds::rep>(left.count(), 0, 3'600'000));
}

std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return name;
  }
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const auto end = std::min(rest.find(':'), rest.size());
    const std::string candidate = fmt::format("{}/{}", rest.substr(0, end), name);
    if (::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  throw Error{ErrorKind::kOperator, fmt::format("program {} is not in PATH", name),
              fmt::format("install the package that has {}", name)};
}

std::vector<std::string> environment_with(
    const std::vector<std::pair<std::string, std::string>>& changes) {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const auto equals = text.find('=');
    if (equals != std::string_view::npos) {
      variables[std::string(text.substr(0, equals))] = text.substr(equals + 1);
    }
  }
  for (const auto& [name, value] : changes) {
    if (value.empty()) {
      variables.erase(name);
    } else {
      variables[name] = value;
    }
  }
  std::vector<std::string> entries;
  for (const auto& [name, value] : variables) {
    entries.push_back(fmt::format("{}={}", name, value));
  }
  return entries;
}

std::vector<char*> pointers_to(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

// One of the child's two outputs: `child` becomes its descriptor, `ours` is the end we read from.
struct Ends {
  int child = -1;  // -1: inherited
  int ours = -1;
};

Ends open_output(const Output& output, const std::optional<User>& user) {
  Ends ends;
  switch (output.kind) {
    case Output::Kind::kInherit:
      return ends;
    case Output::Kind::kNull:
      ends.child = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
      break;
    case Output::Kind::kFile:
      ends.child = ::open(output.path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
      if (ends.child >= 0 && user && ::fchown(ends.child, user->uid, user->gid) != 0) {
        close_fd(ends.child);
      }
      break;
    case Output::Kind::kPipe: {
      std::array<int, 2> fds{};
      if (::pipe2(fds.data(), O_CLOEXEC) == 0) {
        ends = {fds[1], fds[0]};
      }
      break;
    }
  }
  if (ends.child < 0) {
    throw Error{ErrorKind::kOperator,
                fmt::format("cannot open {} for a child's output: {}",
                            output.path.empty() ? "a pipe" : output.path, std::strerror(errno))};
  }
  return ends;
}

// What the child tells us through a pipe when it could not become the program.
struct SpawnFailure {
  int error = 0;
  char stage = 0;
};

// All that the child needs, prepared before the fork: after it, only system calls are safe, since
// another thread of ours may have held any lock.
struct ChildPlan {
  const char* program;
  char* const* argv;
  char* const* envp;
  const char* cwd;   // nullptr: stay
  const User* user;  // nullptr: stay
  int out;
  int err;
  int failure_fd;
  int death_signal;
  pid_t parent;
};

[[noreturn]] void give_up(const ChildPlan& plan, char stage) {
  const SpawnFailure failure{errno, stage};
  [[maybe_unused]] const auto written = ::write(plan.failure_fd, &failure, sizeof failure);
  ::_exit(127);
}

[[noreturn]] void become(const ChildPlan& plan) {
  ::setpgid(0, 0);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);

  const int in = ::open("/dev/null", O_RDONLY);
  if (in < 0 || ::dup2(in, STDIN_FILENO) < 0 ||
      (plan.out >= 0 && ::dup2(plan.out, STDOUT_FILENO) < 0) ||
      (plan.err >= 0 && ::dup2(plan.err, STDERR_FILENO) < 0)) {
    give_up(plan, 'o');
  }
  // Raw calls: glibc's wrappers would look for threads that this process no longer has.
  if (plan.user != nullptr &&
      (::syscall(SYS_setgroups, 0, nullptr) != 0 || ::syscall(SYS_setgid, plan.user->gid) != 0 ||
       ::syscall(SYS_setuid, plan.user->uid) != 0)) {
    give_up(plan, 'u');
  }
  // After setuid, which clears it. The parent may have ended before this took effect.
  if (plan.death_signal != 0) {
    if (::prctl(PR_SET_PDEATHSIG, plan.death_signal) != 0) {
      give_up(plan, 'd');
    }
    if (::getppid() != plan.parent) {
      ::_exit(127);
    }
  }
  if (plan.cwd != nullptr && ::chdir(plan.cwd) != 0) {
    give_up(plan, 'c');
  }
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  ::execve(plan.program, plan.argv, plan.envp);
  give_up(plan, 'x');
}

std::string explain(const SpawnFailure& failure, const std::string& program,
                    const SpawnOptions& options) {
  const char* reason = std::strerror(failure.error);
  switch (failure.stage) {
    case 'u':
      return fmt::format("cannot run {} as user {}: {}", program, options.user->name, reason);
    case 'c':
      return fmt::format("cannot run {} in {}: {}", program, options.cwd, reason);
    default:
      return fmt::format("cannot run {}: {}", program, reason);
  }
}

}  // namespace

std::optional<User> find_user(const std::string& name) {
  std::array<char, 4096> buffer{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found == nullptr) {
    return std::nullopt;
  }
  return User{found->pw_uid, found->pw_gid, name};
}

std::string ExitStatus::describe() const {
  return signal != 0 ? fmt::format("signal {}", signal) : fmt::format("exit code {}", code);
}

Subprocess::Subprocess(const SpawnOptions& options) {
  HEADGATE_CHECK(!options.argv.empty(), "a child needs a program");
  const std::string program = find_program(options.argv.front());
  std::vector<std::string> arguments = options.argv;
  std::vector<std::string> environment = environment_with(options.env);
  const std::vector<char*> argv = pointers_to(arguments);
  const std::vector<char*> envp = pointers_to(environment);

  Ends out = open_output(options.out, options.user);
  Ends err = open_output(options.err, options.user);
  std::array<int, 2> failure_pipe{-1, -1};
  if (::pipe2(failure_pipe.data(), O_CLOEXEC) != 0) {
    throw Error{ErrorKind::kOperator, fmt::format("cannot open a pipe: {}", std::strerror(errno))};
  }
  const ChildPlan plan{program.c_str(),
                       argv.data(),
                       envp.data(),
                       options.cwd.empty() ? nullptr : options.cwd.c_str(),
                       options.user ? &*options.user : nullptr,
                       out.child,
                       err.child,
                       failure_pipe[1],
                       options.death_signal,
                       ::getpid()};
  pid_ = ::fork();
  if (pid_ == 0) {
    become(plan);
  }
  const int fork_error = errno;
  close_fd(failure_pipe[1]);
  close_fd(out.child);
  close_fd(err.child);
  out_fd_ = out.ours;
  err_fd_ = err.ours;

  SpawnFailure failure{fork_error, 'f'};
  const bool failed =
      pid_ < 0 || ::read(failure_pipe[0], &failure, sizeof failure) == sizeof failure;
  close_fd(failure_pipe[0]);
  if (!failed) {
    pid_fd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  }
  if (failed || pid_fd_ < 0) {
    if (!failed) {
      failure = {errno, 'p'};
    }
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    close_fd(out_fd_);
    close_fd(err_fd_);
    throw Error{ErrorKind::kOperator, explain(failure, program, options)};
  }
}

Subprocess::~Subprocess() {
  kill();
  close_fd(pid_fd_);
  close_fd(out_fd_);
  close_fd(err_fd_);
}

bool Subprocess::reap() {
  int status = 0;
  if (!ended_ && ::waitpid(pid_, &status, WNOHANG) == pid_) {
    ended_ =
        WIFSIGNALED(status) ? ExitStatus{0, WTERMSIG(status)} : ExitStatus{WEXITSTATUS(status), 0};
  }
  return ended_.has_value();
}

std::optional<ExitStatus> Subprocess::wait_until(TimePoint deadline) {
  while (!reap()) {
    pollfd waited{pid_fd_, POLLIN, 0};
    const int left = milliseconds_until(deadline);
    if (::poll(&waited, 1, left) == 0 && left == 0) {
      return std::nullopt;
    }
  }
  return ended_;
}

std::optional<ExitStatus> Subprocess::wait_for(Duration timeout) {
  return wait_until(SystemClock().now() + timeout);
}

bool Subprocess::running() {
  return !reap();
}

void Subprocess::send(int signal_number) {
  if (!reap()) {
    ::kill(pid_, signal_number);  // not reaped yet, so the number is still this child's
  }
}

ExitStatus Subprocess::kill() {
  send(SIGKILL);
  while (!wait_for(std::chrono::minutes(1))) {
  }
  return *ended_;
}

namespace {

// Reads what is there; false at the end of the stream.
bool drain(int fd, std::string& text) {
  std::array<char, 65536> buffer{};
  const auto count = ::read(fd, buffer.data(), buffer.size());
  if (count > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(count));
    return true;
  }
  return count < 0 && errno == EINTR;
}

}  // namespace

RunResult run(SpawnOptions options, Duration timeout) {
  const TimePoint deadline = SystemClock().now() + timeout;
  options.out = Output::pipe();
  options.err = Output::pipe();
  Subprocess child(options);
  RunResult result;
  std::array<pollfd, 2> streams{pollfd{child.out_fd(), POLLIN, 0},
                                pollfd{child.err_fd(), POLLIN, 0}};
  while (streams[0].fd >= 0 || streams[1].fd >= 0) {
    const int left = milliseconds_until(deadline);
    if (::poll(streams.data(), streams.size(), left) == 0) {
      break;
    }
    if (streams[0].revents != 0 && !drain(streams[0].fd, result.out)) {
      streams[0].fd = -1;  // poll ignores it; the child owns the descriptor
    }
    if (streams[1].revents != 0 && !drain(streams[1].fd, result.err)) {
      streams[1].fd = -1;
    }
  }
  result.status = child.wait_until(deadline);
  if (!result.status) {
    child.kill();
  }
  return result;
}

}  // namespace headgate::demo
