#include "admin/http_session.hpp"

#include <chrono>
#include <string>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>

namespace headgate {
namespace {

namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

// What a peer may still be sending when we close, and how long it may take to notice.
constexpr std::size_t kDiscardBytesMax = std::size_t{256} * 1024;
constexpr std::chrono::seconds kDiscardTimeout{1};

constexpr unsigned kHttp11 = 11;

// Empty when the header is missing, and when it is there twice: then nobody can tell which one
// holds.
std::string only_value(const http::fields& fields, http::field name) {
  return fields.count(name) == 1 ? std::string(fields[name]) : std::string{};
}

HttpRequest make_request(http::request<http::string_body>& message) {
  HttpRequest request;
  request.method = message.method_string();
  const std::string target = message.target();
  const auto question = target.find('?');
  request.path = target.substr(0, question);
  request.query = question == std::string::npos ? std::string{} : target.substr(question + 1);
  request.host = only_value(message, http::field::host);
  request.authorization = only_value(message, http::field::authorization);
  request.body = std::move(message.body());
  return request;
}

// Nothing when the peer did not break HTTP but went away, or was too slow: nobody reads an answer.
std::optional<HttpResponse> answer_to_broken(const error_code& failure) {
  if (failure == http::error::header_limit || failure == http::error::buffer_overflow) {
    return error_response(431, "the header of the request is too large");
  }
  if (failure == http::error::body_limit) {
    return error_response(413, "the body of the request is too large");
  }
  if (failure == http::error::end_of_stream || failure == http::error::partial_message ||
      failure.category() != http::make_error_code(http::error::bad_target).category()) {
    return std::nullopt;
  }
  return error_response(400, "this is not HTTP: " + failure.message());
}

}  // namespace

HttpSession::HttpSession(Socket socket, const HttpHandler& handler, const HttpLimits& limits,
                         std::size_t& open)
    : handler_(handler),
      limits_(limits),
      slot_(open),
      stream_(std::move(socket)),
      buffer_(std::size_t{2} * limits.header_bytes_max) {}

void HttpSession::serve() {
  read_request();
}

void HttpSession::refuse(const HttpResponse& response) {
  write(response, kHttp11, true, false);
}

void HttpSession::read_request() {
  parser_.emplace();
  parser_->header_limit(limits_.header_bytes_max);
  parser_->body_limit(limits_.body_bytes_max);
  // One deadline for the whole request: a byte now and then does not move it.
  stream_.expires_after(limits_.request_timeout);
  http::async_read(
      stream_, buffer_, *parser_,
      [self = shared_from_this()](error_code failure, std::size_t) { self->on_request(failure); });
}

void HttpSession::on_request(error_code failure) {
  if (!failure) {
    answer();
  } else if (const auto response = answer_to_broken(failure)) {
    write(*response, kHttp11, true, false);
  }
}

void HttpSession::answer() {
  auto& message = parser_->get();
  const bool with_body = message.method() != http::verb::head;
  const bool origin_form = message.target().starts_with('/');
  if (!origin_form || message.count(http::field::host) > 1) {
    const auto* reason = origin_form ? "more than one Host header" : "the target is no path";
    write(error_response(400, reason), message.version(), with_body, false);
    return;
  }
  const bool keep_alive = message.keep_alive();
  write(handler_(make_request(message)), message.version(), with_body, keep_alive);
}

void HttpSession::write(const HttpResponse& response, unsigned version, bool with_body,
                        bool keep_alive) {
  auto& message = response_.emplace(static_cast<http::status>(response.status), version);
  message.set(http::field::content_type, response.content_type);
  message.set(http::field::cache_control, "no-store");
  message.set("X-Content-Type-Options", "nosniff");
  message.set("Content-Security-Policy", "default-src 'none'");
  for (const auto& [name, value] : response.headers) {
    message.set(name, value);
  }
  message.keep_alive(keep_alive);
  message.content_length(response.body.size());
  if (with_body) {
    message.body() = response.body;
  }
  stream_.expires_after(limits_.request_timeout);
  http::async_write(stream_, message, [self = shared_from_this()](error_code failure, std::size_t) {
    self->on_written(failure);
  });
}

void HttpSession::on_written(error_code failure) {
  if (failure) {
    return;
  }
  if (response_->keep_alive()) {
    read_request();
  } else {
    close_gently();
  }
}

// Closing a socket with unread input resets the connection, and a reset may overtake the answer
// that says why. So what the peer still sends is read for a moment before that.
void HttpSession::close_gently() {
  error_code failure;
  stream_.socket().shutdown(boost::asio::socket_base::shutdown_send, failure);
  if (!failure) {
    discard_left_ = kDiscardBytesMax;
    stream_.expires_after(kDiscardTimeout);
    discard_input();
  }
}

void HttpSession::discard_input() {
  stream_.async_read_some(boost::asio::buffer(discarded_),
                          [self = shared_from_this()](error_code failure, std::size_t size) {
                            if (failure || size >= self->discard_left_) {
                              return;
                            }
                            self->discard_left_ -= size;
                            self->discard_input();
                          });
}

}  // namespace headgate
