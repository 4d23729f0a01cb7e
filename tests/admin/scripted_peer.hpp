// What a client may find instead of a daemon: it accepts one connection and says what it is told
// to.

#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

namespace headgate {

class ScriptedPeer {
 public:
  // Closes after `answer`; says nothing, and stays, when that is empty.
  explicit ScriptedPeer(std::string answer) : answer_(std::move(answer)) {
    fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (::bind(fd_, generic, size) != 0 || ::listen(fd_, 1) != 0 ||
        ::getsockname(fd_, generic, &size) != 0) {
      throw std::runtime_error("the scripted peer cannot listen");
    }
    port_ = ntohs(address.sin_port);
    if (!answer_.empty()) {
      thread_ = std::jthread([this] { answer_one(); });
    }
  }

  ~ScriptedPeer() {
    ::shutdown(fd_, SHUT_RDWR);  // ends an accept that nobody came to
    if (thread_.joinable()) {
      thread_.join();
    }
    ::close(fd_);
  }

  ScriptedPeer(const ScriptedPeer&) = delete;
  ScriptedPeer& operator=(const ScriptedPeer&) = delete;

  std::string listen() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  void answer_one() const {
    const int peer = ::accept(fd_, nullptr, nullptr);
    if (peer < 0) {
      return;
    }
    std::array<char, 4096> request;
    if (::recv(peer, request.data(), request.size(), 0) > 0) {
      ::send(peer, answer_.data(), answer_.size(), MSG_NOSIGNAL);
    }
    ::close(peer);
  }

  std::string answer_;
  int fd_ = -1;
  std::uint16_t port_ = 0;
  std::jthread thread_;
};

}  // namespace headgate
