#include "support/daemon.hpp"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <array>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>

#include "base/check.hpp"
#include "support/wait_until.hpp"

namespace headgate::test {

namespace {

// In double quotes, YAML reads these escapes only.
std::string yaml_string(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
    }
    quoted += c;
  }
  return quoted + "\"";
}

std::string config_text(const PipelineConfig& config, const std::string& storage_dir,
                        const std::string& socket_path, const std::string& token_path) {
  std::string text = fmt::format("pipeline: {}\nsource:\n  type: {}\n  dsn: {}\n", config.pipeline,
                                 config.source_type, yaml_string(config.source_dsn));
  for (const std::string& line : config.source_keys) {
    text += "  " + line + "\n";
  }
  text += "tables:\n";
  for (const std::string& table : config.tables) {
    text += "  - " + yaml_string(table) + "\n";
  }
  text += "sinks:\n";
  for (const std::string& sink : config.sinks) {
    text += "  - " + sink + "\n";
  }
  text += fmt::format("storage: {{ dir: {} }}\nhttp: {{ listen: {}, token_file: {} }}\n",
                      yaml_string(storage_dir), yaml_string("unix:" + socket_path),
                      yaml_string(token_path));
  return text + "logging: { level: debug }\n" + config.more;
}

class UnixSocket {
 public:
  explicit UnixSocket(const std::string& path)
      : fd_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const void* place = &address;
    const timeval limit{5, 0};
    if (path.size() < sizeof address.sun_path) {
      std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
      ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
      connected_ = ::connect(fd_, static_cast<const sockaddr*>(place), sizeof address) == 0;
    }
  }
  ~UnixSocket() { ::close(fd_); }
  UnixSocket(const UnixSocket&) = delete;
  UnixSocket& operator=(const UnixSocket&) = delete;

  // Sends `request` and reads until the peer closes; empty when there is none.
  std::string exchange(const std::string& request) const {
    std::string answer;
    if (!connected_ || ::send(fd_, request.data(), request.size(), MSG_NOSIGNAL) < 0) {
      return answer;
    }
    std::array<char, 4096> buffer{};
    for (;;) {
      const auto count = ::recv(fd_, buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        return answer;
      }
      answer.append(buffer.data(), static_cast<std::size_t>(count));
    }
  }

 private:
  int fd_;
  bool connected_ = false;
};

}  // namespace

std::string sqlite_sink(const std::string& name, const std::string& path,
                        const std::string& mirror) {
  return fmt::format("{{ name: {}, type: sqlite, path: {}, mirror: {} }}", name, yaml_string(path),
                     mirror);
}

std::string postgres_sink(const std::string& name, const std::string& dsn,
                          const std::string& mirror) {
  return fmt::format("{{ name: {}, type: postgres, dsn: {}, mirror: {} }}", name, yaml_string(dsn),
                     mirror);
}

demo::RunResult headgate(const std::vector<std::string>& arguments, Duration timeout) {
  demo::SpawnOptions options;
  options.argv = {HEADGATE_BINARY};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  return demo::run(options, timeout);
}

std::optional<HttpAnswer> http_get(const std::string& socket_path, const std::string& target) {
  const std::string answer = UnixSocket(socket_path)
                                 .exchange(fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\n"
                                                       "Connection: close\r\n\r\n",
                                                       target));
  constexpr std::size_t kCodeAt = std::string_view("HTTP/1.1 ").size();
  const auto head_end = answer.find("\r\n\r\n");
  HttpAnswer parsed;
  if (head_end == std::string::npos ||
      std::from_chars(answer.data() + kCodeAt, answer.data() + head_end, parsed.code).ec !=
          std::errc()) {
    return std::nullopt;
  }
  parsed.body = answer.substr(head_end + 4);
  return parsed;
}

Daemon::Daemon(const TempDir& folder, const PipelineConfig& config, const std::string& name)
    : log_path_(folder.path(name + ".log")), socket_path_(folder.path(name + ".sock")) {
  const std::string storage =
      config.storage_dir.empty() ? folder.path(name + ".data") : config.storage_dir;
  const std::string token = folder.write(name + ".token", "token-of-this-test\n");
  std::filesystem::permissions(token, std::filesystem::perms::owner_read);
  config_path_ = folder.write(name + ".yml", config_text(config, storage, socket_path_, token));
}

void Daemon::start(const std::vector<std::string>& arguments) {
  HEADGATE_CHECK(!running(), "the daemon runs already");
  demo::SpawnOptions options;
  options.argv = {HEADGATE_BINARY, "run", "--config", config_path_};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.out = demo::Output::file(log_path_);
  options.err = demo::Output::file(log_path_);
  process_ = std::make_unique<demo::Subprocess>(options);
}

bool Daemon::ready() const {
  const auto answer = http_get(socket_path_, "/ready");
  return answer && answer->code == 200;
}

void Daemon::wait_ready(Duration timeout) {
  wait_until("the daemon to be ready", timeout, [&] {
    if (!running()) {
      throw std::runtime_error("the daemon ended: " + wait_exit().describe() + "\n" + log_end());
    }
    return ready();
  });
}

void Daemon::wait_until(const std::string& what, Duration timeout,
                        const std::function<bool()>& condition) const {
  try {
    test::wait_until(what, timeout, condition);
  } catch (const WaitedTooLong& late) {
    throw WaitedTooLong(std::string(late.what()) + "\n" + log_end());
  }
}

bool Daemon::running() {
  return process_ && process_->running();
}

pid_t Daemon::pid() const {
  return process_ ? process_->pid() : -1;
}

void Daemon::kill9() {
  if (process_) {
    process_->kill();
  }
}

demo::ExitStatus Daemon::terminate(Duration timeout) {
  process_->send(SIGTERM);
  return wait_exit(timeout);
}

demo::ExitStatus Daemon::wait_exit(Duration timeout) {
  const auto ended = process_->wait_for(timeout);
  if (!ended) {
    throw WaitedTooLong("the daemon does not end\n" + log_end());
  }
  return *ended;
}

demo::RunResult Daemon::command(const std::vector<std::string>& arguments) const {
  std::vector<std::string> all = arguments;
  all.insert(all.end(), {"--config", config_path_});
  return headgate(all);
}

std::string Daemon::log() const {
  return read_file(log_path_);
}

std::string Daemon::log_end() const {
  constexpr std::size_t kShown = 3000;
  const std::string all = log();
  return "--- end of the daemon's log\n" +
         (all.size() <= kShown ? all : all.substr(all.size() - kShown)) + "---";
}

}  // namespace headgate::test
