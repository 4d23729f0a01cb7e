// Accepts connections and runs each in a thread of its own.

#pragma once

#include <list>
#include <memory>
#include <mutex>
#include <thread>

#include "support/sqlserver_double/connection.hpp"

namespace headgate::test::sqlserver {

// Thread-safe. Throws std::system_error when the system refuses.
class Listener {
 public:
  // `parts` must outlive it.
  explicit Listener(ServerParts& parts) : parts_(parts) {}
  ~Listener() { stop(); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // On the port of an earlier start, or a free one.
  void start();
  // Ends all connections and waits for their threads.
  void stop();
  void drop_connections();
  int port() const { return port_; }
  int accepted() const;

 private:
  struct Running {
    std::unique_ptr<Connection> connection;
    std::thread thread;
    std::atomic<bool> over{false};
  };

  void accept_all(int descriptor);
  void join_finished();

  ServerParts& parts_;
  int port_ = 0;
  int descriptor_ = -1;
  std::thread thread_;

  mutable std::mutex mutex_;  // guards what follows
  std::list<Running> running_;
  int accepted_ = 0;
};

}  // namespace headgate::test::sqlserver
