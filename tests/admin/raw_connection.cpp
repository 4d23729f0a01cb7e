#include "raw_connection.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

namespace headgate {
namespace {

constexpr timeval kReadTimeout{30, 0};

int connect_to(int family, const sockaddr* address, socklen_t size) {
  const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || ::connect(fd, address, size) != 0) {
    const int failure = errno;
    ::close(fd);
    throw std::runtime_error("cannot connect: errno " + std::to_string(failure));
  }
  ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &kReadTimeout, sizeof kReadTimeout);
  return fd;
}

}  // namespace

RawConnection::RawConnection(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  fd_ = connect_to(AF_INET, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

RawConnection::RawConnection(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
  fd_ = connect_to(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

RawConnection::~RawConnection() {
  ::close(fd_);
}

void RawConnection::send(std::string_view bytes) {
  while (!bytes.empty()) {
    const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return;
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

bool RawConnection::read_some() {
  std::array<char, 4096> block;
  const auto size = ::recv(fd_, block.data(), block.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
    throw std::runtime_error("the server neither answers nor closes");
  }
  if (size <= 0) {
    reset_ = size < 0 && errno == ECONNRESET;
    return false;
  }
  received_.append(block.data(), static_cast<std::size_t>(size));
  return true;
}

std::string RawConnection::read_to_end() {
  while (read_some()) {
  }
  return std::exchange(received_, {});
}

std::string RawConnection::read_answer() {
  while (true) {
    const auto end = received_.find("\r\n\r\n");
    if (end != std::string::npos) {
      const auto length = header_of(received_, "Content-Length");
      const auto size = end + 4 + std::strtoul(length.c_str(), nullptr, 10);
      if (received_.size() >= size) {
        std::string answer = received_.substr(0, size);
        received_.erase(0, size);
        return answer;
      }
    }
    if (!read_some()) {
      return std::exchange(received_, {});
    }
  }
}

bool RawConnection::closed_within(std::chrono::milliseconds pause) {
  pollfd waiting{fd_, POLLIN, 0};
  return ::poll(&waiting, 1, static_cast<int>(pause.count())) > 0 && !read_some();
}

std::string RawConnection::exchange(std::string_view request) {
  send(request);
  return read_to_end();
}

std::string get_request(std::string_view target, std::string_view headers) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{}\r\n", target,
                     headers);
}

int status_of(const std::string& answer) {
  return answer.starts_with("HTTP/1.") && answer.size() > 12 ? std::atoi(answer.c_str() + 9) : 0;
}

std::string header_of(const std::string& answer, const std::string& name) {
  const std::string head = answer.substr(0, answer.find("\r\n\r\n"));
  std::size_t line = head.find("\r\n");
  while (line != std::string::npos) {
    line += 2;
    if (::strncasecmp(head.c_str() + line, (name + ": ").c_str(), name.size() + 2) == 0) {
      const auto begin = line + name.size() + 2;
      return head.substr(begin, head.find("\r\n", begin) - begin);
    }
    line = head.find("\r\n", line);
  }
  return {};
}

std::string body_of(const std::string& answer) {
  const auto end = answer.find("\r\n\r\n");
  return end == std::string::npos ? std::string{} : answer.substr(end + 4);
}

}  // namespace headgate
