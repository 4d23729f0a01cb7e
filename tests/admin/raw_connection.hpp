// A client that sends what it is told to, HTTP or not, and waits for what comes: no time-out of the
// server under test is guessed at, its close is waited for.

#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace headgate {

class RawConnection {
 public:
  // To a TCP port of 127.0.0.1. Throws std::runtime_error when that fails, as all calls do.
  explicit RawConnection(std::uint16_t port);

  // To a Unix socket.
  explicit RawConnection(const std::string& path);

  ~RawConnection();

  RawConnection(const RawConnection&) = delete;
  RawConnection& operator=(const RawConnection&) = delete;

  // A server that has closed already is no error: its answer may be there to be read.
  void send(std::string_view bytes);

  // All that comes until the server closes. Throws when it does not within 30 seconds.
  std::string read_to_end();

  // Header and body of one answer that says its Content-Length, or what came before the end.
  std::string read_answer();

  // True when the end came as a reset: the server closed and left unread what we had sent.
  bool was_reset() const { return reset_; }

  // True when the server has closed, or does so within `pause`; what it sent meanwhile is dropped.
  bool closed_within(std::chrono::milliseconds pause);

  // Both in one. `request` asks for `Connection: close`, or the server closes by itself.
  std::string exchange(std::string_view request);

 private:
  bool read_some();

  int fd_ = -1;
  bool reset_ = false;
  std::string received_;
};

// GET `target` with `headers` (each ended by \r\n), closing afterwards, with a Host that is
// allowed.
std::string get_request(std::string_view target, std::string_view headers = {});

// The status of an answer, 0 when it is none.
int status_of(const std::string& answer);

// The value of a header, compared without case; "" when it is not there.
std::string header_of(const std::string& answer, const std::string& name);

std::string body_of(const std::string& answer);

}  // namespace headgate
