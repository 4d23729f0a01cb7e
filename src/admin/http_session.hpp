// One connection to the HTTP server.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include "admin/http_message.hpp"
#include "base/clock.hpp"

namespace headgate {

struct HttpLimits {
  std::uint32_t header_bytes_max = 8 * 1024;  // request line and headers; beyond: 431
  std::size_t body_bytes_max = 64 * 1024;     // beyond: 413
  // For a request to arrive whole, silence of a kept-alive connection included, and again for its
  // answer to be taken. Then the connection is closed without a word.
  Duration request_timeout = std::chrono::seconds(10);
};

// Counts itself among the open connections for as long as it lives.
class ConnectionSlot {
 public:
  explicit ConnectionSlot(std::size_t& open) : open_(open) { ++open_; }
  ~ConnectionSlot() { --open_; }

  ConnectionSlot(const ConnectionSlot&) = delete;
  ConnectionSlot& operator=(const ConnectionSlot&) = delete;

 private:
  std::size_t& open_;
};

// Reads requests and writes what the handler answers, one after the other, until the peer closes,
// breaks HTTP or runs out of time. Knows HTTP, but no route and no rule.
//
// Owns itself: lives as long as an operation of it is pending. Belongs to the thread that runs its
// socket; `handler`, `limits` and `open` outlive it.
class HttpSession : public std::enable_shared_from_this<HttpSession> {
 public:
  using Socket = boost::asio::generic::stream_protocol::socket;

  HttpSession(Socket socket, const HttpHandler& handler, const HttpLimits& limits,
              std::size_t& open);

  // Serves the connection.
  void serve();

  // Says why not, and closes.
  void refuse(const HttpResponse& response);

 private:
  using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
  using Message = boost::beast::http::response<boost::beast::http::string_body>;

  void read_request();
  void on_request(boost::system::error_code failure);
  void answer();
  void write(const HttpResponse& response, unsigned version, bool with_body, bool keep_alive);
  void on_written(boost::system::error_code failure);
  void close_gently();
  void discard_input();

  const HttpHandler& handler_;
  const HttpLimits& limits_;
  ConnectionSlot slot_;

  boost::beast::basic_stream<boost::asio::generic::stream_protocol> stream_;
  boost::beast::flat_buffer buffer_;  // read and not yet parsed: at most a header and a bit
  std::optional<Parser> parser_;      // of the request being read or answered
  std::optional<Message> response_;   // being written

  // While closing: bytes that may still be read and thrown away.
  std::size_t discard_left_ = 0;
  std::array<char, 4096> discarded_;
};

}  // namespace headgate
