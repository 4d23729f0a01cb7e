#include "demo/throwaway_cluster.hpp"

#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ipc.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>
#include <thread>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"
#include "demo/pg_session.hpp"

namespace headgate::demo {

namespace fs = std::filesystem;

namespace {

constexpr const char* kRemedy = "install postgresql-15 or set HEADGATE_PG_BIN";

std::vector<std::string> distribution_folders() {
  std::vector<std::pair<int, std::string>> found;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    const std::string version = entry.path().filename();
    int number = 0;
    std::from_chars(version.data(), version.data() + version.size(), number);
    found.emplace_back(number, entry.path() / "bin");
  }
  std::sort(found.rbegin(), found.rend());
  std::vector<std::string> folders;
  for (auto& [number, folder] : found) {
    folders.push_back(std::move(folder));
  }
  return folders;
}

std::vector<std::string> program_folders() {
  const char* chosen = std::getenv("HEADGATE_PG_BIN");
  if (chosen != nullptr && *chosen != '\0') {
    return {chosen};
  }
  std::vector<std::string> folders = distribution_folders();
  const char* path = std::getenv("PATH");
  std::istringstream rest(path == nullptr ? "" : path);
  for (std::string folder; std::getline(rest, folder, ':');) {
    folders.push_back(folder);
  }
  return folders;
}

std::optional<User> server_user() {
  if (::geteuid() != 0) {
    return std::nullopt;
  }
  for (const char* name : {"postgres", "nobody"}) {
    if (auto user = find_user(name)) {
      return user;
    }
  }
  throw Error{ErrorKind::kOperator, "PostgreSQL does not run as root, and there is no user nobody",
              "run as an ordinary user"};
}

int free_tcp_port() {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  void* place = &address;
  const bool bound = fd >= 0 && ::bind(fd, static_cast<sockaddr*>(place), size) == 0 &&
                     ::getsockname(fd, static_cast<sockaddr*>(place), &size) == 0;
  ::close(fd);
  if (!bound) {
    throw Error{ErrorKind::kOperator, "cannot find a free TCP port on 127.0.0.1"};
  }
  return ntohs(address.sin_port);
}

std::string last_lines(const std::string& text, std::size_t bytes = 2000) {
  return text.size() <= bytes ? text : "…" + text.substr(text.size() - bytes);
}

// The parent's process id of one process, from /proc/PID/stat; the name in it may hold anything, so
// the fields count from its closing parenthesis.
pid_t parent_of(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string line;
  std::getline(file, line);
  const auto name_end = line.rfind(')');
  if (name_end == std::string::npos) {
    return -1;
  }
  std::istringstream fields(line.substr(name_end + 1));
  std::string state;
  pid_t parent = -1;
  fields >> state >> parent;
  return parent;
}

void wait_readable(int fd) {
  pollfd waited{fd, POLLIN, 0};
  while (::poll(&waited, 1, -1) < 0 && errno == EINTR) {
  }
}

}  // namespace

std::string ThrowawayCluster::program(const std::string& name) {
  const std::vector<std::string> folders = program_folders();
  for (const std::string& folder : folders) {
    const std::string candidate = folder + "/" + name;
    if (::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
  }
  throw Error{ErrorKind::kOperator,
              fmt::format("PostgreSQL's program {} is not in {} folders looked at, first {}", name,
                          folders.size(), folders.empty() ? "none" : folders.front()),
              kRemedy};
}

ThrowawayCluster::ThrowawayCluster(ClusterOptions options)
    : options_(std::move(options)), user_(server_user()) {
  program("postgres");  // before there is anything to clean up
  if (options_.tcp) {
    port_ = free_tcp_port();
  }
  make_folder();
  try {
    run_initdb();
    write_configuration();
    start();
  } catch (...) {
    server_.reset();
    remove_folder();
    throw;
  }
}

ThrowawayCluster::~ThrowawayCluster() {
  try {
    if (running()) {
      kill9();  // nobody will read these data again
    }
    remove_shared_memory();
  } catch (...) {
    server_.reset();  // kills the postmaster at least
  }
  remove_folder();
}

void ThrowawayCluster::make_folder() {
  const char* base = std::getenv("TMPDIR");
  std::string name =
      fmt::format("{}/headgate-pg-XXXXXX", base == nullptr || *base == '\0' ? "/tmp" : base);
  if (name.size() + std::strlen("/.s.PGSQL.65535") >= sizeof(sockaddr_un::sun_path)) {
    throw Error{ErrorKind::kOperator, fmt::format("{} is too long for a Unix socket in it", name),
                "set TMPDIR to a shorter path"};
  }
  // Mode 0700: the superuser of the cluster is trusted, so nobody else may reach the socket.
  if (::mkdtemp(name.data()) == nullptr ||
      (user_ && ::chown(name.c_str(), user_->uid, user_->gid) != 0)) {
    throw Error{ErrorKind::kOperator,
                fmt::format("cannot make folder {}: {}", name, std::strerror(errno)),
                "set TMPDIR to a folder that can be written"};
  }
  folder_ = name;
}

void ThrowawayCluster::run_initdb() {
  SpawnOptions initdb;
  initdb.cwd = folder_;
  initdb.user = user_;
  RunResult result;
  // C.UTF-8 is Debian's; C is everywhere.
  for (const char* locale : {"C.UTF-8", "C"}) {
    initdb.argv = {program("initdb"), "--pgdata", folder_ + "/data", "--username",
                   "postgres",        "--auth",   "trust",           "--no-sync",
                   "--encoding",      "UTF8",     "--locale",        locale};
    result = run(initdb, options_.start_timeout * 2);
    if (result.ok()) {
      return;
    }
  }
  throw Error{ErrorKind::kOperator,
              fmt::format("initdb failed in {}: {}", folder_, last_lines(result.err)), kRemedy};
}

void ThrowawayCluster::write_configuration() {
  const std::string data = folder_ + "/data";
  std::ofstream settings(data + "/postgresql.conf", std::ios::app);
  const auto set = [&](const std::string& name, const std::string& value) {
    settings << name << " = " << quote_literal(value) << '\n';
  };
  settings << '\n';
  set("wal_level", "logical");
  set("listen_addresses", options_.tcp ? "127.0.0.1" : "");
  set("port", std::to_string(port_));
  set("unix_socket_directories", folder_);
  set("max_wal_senders", "20");
  set("max_replication_slots", "20");
  set("fsync", options_.fsync ? "on" : "off");
  set("deadlock_timeout",
      "100ms");  // the workload meets some, and a second is long for a short test
  for (const auto& [name, value] : options_.settings) {
    set(name, value);
  }
  if (!options_.hba.empty()) {
    std::ofstream hba(data + "/pg_hba.conf", std::ios::trunc);
    for (const std::string& line : options_.hba) {
      hba << line << '\n';
    }
  }
}

void ThrowawayCluster::start() {
  if (running()) {
    return;
  }
  SpawnOptions postgres;
  postgres.argv = {program("postgres"), "-D", folder_ + "/data"};
  postgres.cwd = folder_;
  postgres.user = user_;
  postgres.out = Output::file(log_path());
  postgres.err = Output::file(log_path());
  // An immediate stop: the postmaster takes its processes and its shared memory with it.
  postgres.death_signal = SIGQUIT;
  server_ = std::make_unique<Subprocess>(postgres);
  wait_until_ready();
}

void ThrowawayCluster::wait_until_ready() {
  const std::string target = fmt::format("{} connect_timeout=5", conninfo());
  const TimePoint deadline = SystemClock().now() + options_.start_timeout;
  while (server_->running()) {
    // Refuses while it recovers and while it shuts down; a reason such as a missing role would mean
    // that it is up.
    if (PQping(target.c_str()) == PQPING_OK) {
      return;
    }
    if (SystemClock().now() > deadline) {
      server_->kill();
      throw Error{ErrorKind::kOperator,
                  fmt::format("the server in {} accepts no session: {}", folder_, last_words())};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw Error{ErrorKind::kOperator,
              fmt::format("the server in {} ended at its start: {}", folder_, last_words())};
}

void ThrowawayCluster::stop(StopMode mode, Duration timeout) {
  if (!running()) {
    return;
  }
  server_->send(mode == StopMode::kFast ? SIGINT : SIGQUIT);
  if (!server_->wait_for(timeout)) {
    throw Error{ErrorKind::kOperator,
                fmt::format("the server in {} does not stop: {}", folder_, last_words())};
  }
}

void ThrowawayCluster::restart(StopMode mode) {
  stop(mode);
  start();
}

void ThrowawayCluster::kill9() {
  if (!running()) {
    return;
  }
  // Stopped first, so that it starts no further process while we look for those it has.
  server_->send(SIGSTOP);
  const std::vector<int> children = open_children();
  server_->kill();
  for (const int child : children) {
    ::syscall(SYS_pidfd_send_signal, child, SIGKILL, nullptr, 0);
    wait_readable(child);
    ::close(child);
  }
}

// Descriptors rather than numbers: a process that ends meanwhile cannot be mistaken for a later
// one.
std::vector<int> ThrowawayCluster::open_children() const {
  std::vector<int> children;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (error != std::errc() || end != name.data() + name.size() ||
        parent_of(name) != server_->pid()) {
      continue;
    }
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (fd >= 0) {
      children.push_back(fd);
    }
  }
  return children;
}

bool ThrowawayCluster::running() {
  return server_ && server_->running();
}

pid_t ThrowawayCluster::postmaster_pid() const {
  return server_ ? server_->pid() : -1;
}

std::string ThrowawayCluster::conninfo(const std::string& dbname, const std::string& user) const {
  return fmt::format("host={} port={} dbname={} user={}", folder_, port_, dbname, user);
}

std::string ThrowawayCluster::tcp_conninfo(const std::string& dbname,
                                           const std::string& user) const {
  HEADGATE_CHECK(options_.tcp, "the cluster listens on TCP only when asked to");
  return fmt::format("host=127.0.0.1 port={} dbname={} user={}", port_, dbname, user);
}

std::string ThrowawayCluster::last_words() const {
  std::ifstream log(log_path());
  const std::string text((std::istreambuf_iterator<char>(log)), std::istreambuf_iterator<char>());
  return last_lines(text);
}

// A killed postmaster leaves its System V segment to the next one of its folder, of which there is
// none; a machine has room for some thousands of them. postmaster.pid names key and segment in its
// seventh line (PostgreSQL's pidfile.h).
void ThrowawayCluster::remove_shared_memory() const {
  std::ifstream file(folder_ + "/data/postmaster.pid");
  std::string line;
  for (int i = 0; i < 7; ++i) {
    if (!std::getline(file, line)) {
      return;
    }
  }
  std::istringstream words(line);
  unsigned long key = 0;
  int segment = -1;
  shmid_ds now{};
  if (words >> key >> segment && ::shmctl(segment, IPC_STAT, &now) == 0 && now.shm_nattch == 0 &&
      now.shm_perm.__key == static_cast<key_t>(key)) {
    ::shmctl(segment, IPC_RMID, nullptr);
  }
}

void ThrowawayCluster::remove_folder() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace headgate::demo
