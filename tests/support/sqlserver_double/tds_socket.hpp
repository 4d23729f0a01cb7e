// One connection's socket: messages of TDS packets in, replies in packets out.

#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace headgate::test::sqlserver {

enum class MessageType : std::uint8_t {
  kBatch = 1,
  kRpc = 3,
  kReply = 4,
  kAttention = 6,
  kTransactionManager = 0x0E,
  kLogin = 0x10,
  kPrelogin = 0x12,
};

struct Message {
  MessageType type = MessageType::kBatch;
  std::string body;
};

// The other side closed or reset the connection, or shut_down() was called.
struct ConnectionGone {};

// Not thread-safe but for shut_down().
class TdsSocket {
 public:
  explicit TdsSocket(int descriptor, int spid) : descriptor_(descriptor), spid_(spid) {}
  ~TdsSocket();
  TdsSocket(const TdsSocket&) = delete;
  TdsSocket& operator=(const TdsSocket&) = delete;

  // Throws ConnectionGone.
  Message receive();
  // Whether the client has sent something (which can only be attention, while its request runs) or
  // is gone.
  bool client_spoke() const;
  // As client_spoke(), but only when the connection has ended.
  bool client_gone() const;

  void set_packet_size(std::size_t size) { packet_size_ = size; }
  // Waits so long before each packet; for answers that come slowly.
  void set_packet_delay(std::chrono::milliseconds delay) { packet_delay_ = delay; }

  // Sends what fills packets; with `last`, all of it, with the mark of the message's end. `reply`
  // is left with what was not sent. Throws ConnectionGone.
  void send(std::string& reply, bool last);
  // Sends as the beginning of a packet that never ends.
  void send_torn(std::string_view reply);

  // Ends the connection with a reset, or in good order. From any thread.
  void reset();
  void shut_down();

 private:
  void read_exactly(char* into, std::size_t size);
  void write_all(std::string_view bytes);
  std::string packet(std::string_view body, bool last);

  int descriptor_;
  int spid_;
  std::size_t packet_size_ = 4096;
  std::chrono::milliseconds packet_delay_{0};
  std::uint8_t packet_number_ = 1;
};

}  // namespace headgate::test::sqlserver
