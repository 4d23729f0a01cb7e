#include "support/sqlserver_double/tds_socket.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <array>
#include <thread>

namespace headgate::test::sqlserver {

namespace {
constexpr std::size_t kHeader = 8;
}

TdsSocket::~TdsSocket() {
  ::close(descriptor_);
}

void TdsSocket::read_exactly(char* into, std::size_t size) {
  while (size > 0) {
    const ssize_t got = ::recv(descriptor_, into, size, 0);
    if (got <= 0) {
      throw ConnectionGone{};
    }
    into += got;
    size -= static_cast<std::size_t>(got);
  }
}

Message TdsSocket::receive() {
  Message message;
  bool last = false;
  while (!last) {
    std::array<char, kHeader> header{};
    read_exactly(header.data(), header.size());
    const auto byte = [&header](std::size_t at) { return static_cast<unsigned char>(header[at]); };
    message.type = static_cast<MessageType>(byte(0));
    last = (byte(1) & 1) != 0;
    const std::size_t length = byte(2) * 256u + byte(3);
    if (length < kHeader) {
      throw ConnectionGone{};
    }
    const std::size_t begin = message.body.size();
    message.body.resize(begin + length - kHeader);
    read_exactly(message.body.data() + begin, length - kHeader);
  }
  return message;
}

bool TdsSocket::client_spoke() const {
  pollfd poll_for{descriptor_, POLLIN, 0};
  return ::poll(&poll_for, 1, 0) > 0;
}

bool TdsSocket::client_gone() const {
  char byte = 0;
  return client_spoke() && ::recv(descriptor_, &byte, 1, MSG_PEEK) <= 0;
}

void TdsSocket::write_all(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      throw ConnectionGone{};
    }
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
}

std::string TdsSocket::packet(std::string_view body, bool last) {
  const std::size_t length = body.size() + kHeader;
  std::string bytes;
  bytes.reserve(length);
  bytes.push_back(static_cast<char>(MessageType::kReply));
  bytes.push_back(last ? '\1' : '\0');
  bytes.push_back(static_cast<char>(length >> 8));
  bytes.push_back(static_cast<char>(length & 0xFF));
  bytes.push_back(static_cast<char>(spid_ >> 8));
  bytes.push_back(static_cast<char>(spid_ & 0xFF));
  bytes.push_back(static_cast<char>(packet_number_));
  bytes.push_back('\0');
  bytes += body;
  packet_number_ = last ? 1 : static_cast<std::uint8_t>(packet_number_ + 1);
  return bytes;
}

void TdsSocket::send(std::string& reply, bool last) {
  const std::size_t room = packet_size_ - kHeader;
  std::string_view rest = reply;
  std::string bytes;
  while (rest.size() > room || (last && !rest.empty())) {
    const std::size_t size = std::min(room, rest.size());
    bytes += packet(rest.substr(0, size), last && size == rest.size());
    rest.remove_prefix(size);
    if (packet_delay_.count() > 0) {
      std::this_thread::sleep_for(packet_delay_);
      write_all(bytes);
      bytes.clear();
    }
  }
  write_all(bytes);
  reply.erase(0, reply.size() - rest.size());
}

void TdsSocket::send_torn(std::string_view reply) {
  const std::size_t room = packet_size_ - kHeader;
  while (reply.size() > room) {
    write_all(packet(reply.substr(0, room), false));
    reply.remove_prefix(room);
  }
  // The header promises more than follows.
  const std::string whole = packet(std::string(reply) + std::string(16, '\0'), true);
  write_all(std::string_view(whole).substr(0, kHeader + reply.size()));
}

void TdsSocket::reset() {
  const linger at_once{1, 0};
  ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  ::shutdown(descriptor_, SHUT_RD);
}

void TdsSocket::shut_down() {
  ::shutdown(descriptor_, SHUT_RDWR);
}

}  // namespace headgate::test::sqlserver
