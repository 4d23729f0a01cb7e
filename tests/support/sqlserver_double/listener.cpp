#include "support/sqlserver_double/listener.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <system_error>

namespace headgate::test::sqlserver {

namespace {

[[noreturn]] void fail(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

sockaddr* address_of(sockaddr_in& address) {
  return reinterpret_cast<sockaddr*>(&address);
}

}  // namespace

void Listener::start() {
  if (descriptor_ >= 0) {
    return;
  }
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) {
    fail("socket");
  }
  const int on = 1;
  ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port_));
  if (::bind(descriptor, address_of(address), sizeof address) != 0 ||
      ::listen(descriptor, 64) != 0) {
    ::close(descriptor);
    fail("bind");
  }
  socklen_t length = sizeof address;
  ::getsockname(descriptor, address_of(address), &length);
  port_ = ntohs(address.sin_port);
  descriptor_ = descriptor;
  parts_.stopping = false;
  thread_ = std::thread([this, descriptor] { accept_all(descriptor); });
}

void Listener::accept_all(int descriptor) {
  while (!parts_.stopping) {
    const int accepted = ::accept4(descriptor, nullptr, nullptr, SOCK_CLOEXEC);
    if (accepted < 0) {
      if (errno == EINTR || errno == ECONNABORTED) {
        continue;
      }
      return;
    }
    const int on = 1;
    ::setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    join_finished();
    std::lock_guard lock(mutex_);
    Running& running = running_.emplace_back();
    running.connection = std::make_unique<Connection>(parts_, accepted, ++accepted_);
    running.thread = std::thread([this, &running] {
      running.connection->run();
      // The socket closes here, so that the client sees the end at once; the pointer goes under the
      // mutex, since others may be about to end the connection.
      std::unique_ptr<Connection> ended;
      {
        std::lock_guard ending(mutex_);
        ended = std::move(running.connection);
      }
      ended.reset();
      running.over = true;
    });
  }
}

void Listener::join_finished() {
  std::lock_guard lock(mutex_);
  running_.remove_if([](Running& running) {
    if (running.over) {
      running.thread.join();
    }
    return running.over.load();
  });
}

void Listener::drop_connections() {
  std::lock_guard lock(mutex_);
  for (Running& running : running_) {
    if (!running.over && running.connection) {
      running.connection->end();
    }
  }
}

void Listener::stop() {
  if (descriptor_ < 0) {
    return;
  }
  parts_.stopping = true;
  ::shutdown(descriptor_, SHUT_RDWR);
  thread_.join();
  ::close(descriptor_);
  descriptor_ = -1;
  drop_connections();
  std::list<Running> ending;
  {
    std::lock_guard lock(mutex_);
    ending.swap(running_);
  }
  for (Running& running : ending) {
    running.thread.join();
  }
}

int Listener::accepted() const {
  std::lock_guard lock(mutex_);
  return accepted_;
}

}  // namespace headgate::test::sqlserver
