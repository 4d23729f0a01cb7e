// A PostgreSQL cluster in a temporary folder, for a demo or a test: made, used, killed, removed.

#pragma once

#include <sys/types.h>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "demo/subprocess.hpp"

namespace headgate::demo {

struct ClusterOptions {
  // postgresql.conf, over the defaults: wal_level=logical, a Unix socket only, 20 WAL senders and
  // replication slots.
  std::vector<std::pair<std::string, std::string>> settings{};

  // Lines of pg_hba.conf in place of "all local users are trusted".
  std::vector<std::string> hba{};

  // Off: a crash of the machine may cost data, one of the processes does not; several times faster.
  bool fsync = true;

  // Listens on 127.0.0.1 too, at a port that is free when the cluster starts first. Everybody on
  // this machine can then connect, so set `hba` where that matters.
  bool tcp = false;

  Duration start_timeout = std::chrono::seconds(60);
};

// Owns the folder and the server in it. The server runs as ourselves or, since PostgreSQL refuses
// to run as root, as user `postgres` or `nobody` when we are root. The folder is closed to other
// users, and the server ends with the thread that made this object, even when that is killed.
//
// Programs are looked for in HEADGATE_PG_BIN if set; else in the newest of the distributions'
// folders, then in PATH.
//
// Not thread-safe.
class ThrowawayCluster {
 public:
  enum class StopMode {
    kFast,       // sessions are ended, a checkpoint is written
    kImmediate,  // as after a crash: recovery at the next start
  };

  // Makes the cluster (initdb) and starts it.
  //
  // Throws Error{kOperator} when a program is missing or fails, with its last words.
  explicit ThrowawayCluster(ClusterOptions options = {});

  // Stops the server and removes the folder.
  ~ThrowawayCluster();

  ThrowawayCluster(const ThrowawayCluster&) = delete;
  ThrowawayCluster& operator=(const ThrowawayCluster&) = delete;

  // Returns when the server accepts sessions. Does nothing when it runs. Throws as the constructor.
  void start();

  // Throws Error{kOperator} when a fast stop has not ended within `timeout` (a WAL sender waits for
  // its receiver); the server then runs on, shutting down.
  void stop(StopMode mode = StopMode::kFast, Duration timeout = std::chrono::seconds(90));

  void restart(StopMode mode = StopMode::kFast);

  // SIGKILL to the postmaster and to all of its processes at once, as when the machine dies;
  // returns when they are gone, so that start() can follow.
  void kill9();

  bool running();

  // A libpq connection string over the Unix socket; the superuser is `postgres`, trusted by
  // default.
  std::string conninfo(const std::string& dbname = "postgres",
                       const std::string& user = "postgres") const;
  // The same over TCP. REQUIRES: options.tcp.
  std::string tcp_conninfo(const std::string& dbname = "postgres",
                           const std::string& user = "postgres") const;
  int port() const { return port_; }

  // The folder of the socket, the data and the log.
  const std::string& folder() const { return folder_; }
  std::string log_path() const { return folder_ + "/server.log"; }
  pid_t postmaster_pid() const;

  // The path of one of the installation's programs, such as "pgbench". Throws Error{kOperator} when
  // there is none.
  static std::string program(const std::string& name);

 private:
  void make_folder();
  void run_initdb();
  void write_configuration();
  void wait_until_ready();
  void remove_shared_memory() const;
  void remove_folder();
  std::string last_words() const;
  std::vector<int> open_children() const;

  // Constant after construction.
  ClusterOptions options_;
  std::optional<User> user_;  // nothing: ourselves
  std::string folder_;
  int port_ = 5432;  // names the socket; also the TCP port with options_.tcp

  std::unique_ptr<Subprocess> server_;
};

}  // namespace headgate::demo
