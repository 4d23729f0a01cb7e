#include "admin/http_client.hpp"

#include <chrono>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/error.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <fmt/format.h>

#include "admin/endpoints.hpp"
#include "admin/listen_address.hpp"
#include "base/error.hpp"

namespace headgate {
namespace {

namespace net = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::system::error_code;

constexpr std::size_t kReplyBytesMax = std::size_t{16} * 1024 * 1024;
constexpr unsigned kHttp11 = 11;

// A server that listens on every address is reached on this machine's own.
ListenAddress reachable(ListenAddress address) {
  if (address.host == "0.0.0.0") {
    address.host = "127.0.0.1";
  } else if (address.host == "::") {
    address.host = "::1";
  }
  return address;
}

// Beast counts time for asynchronous operations only; so each one is started and run to its end.
class Connection {
 public:
  explicit Connection(const HttpClientOptions& options)
      : address_(reachable(parse_listen_address(options.listen))), stream_(context_) {
    const auto endpoints = endpoints_of(address_);
    stream_.expires_after(options.timeout);
    error_code failure;
    for (const auto& endpoint : endpoints) {
      stream_.socket().close(failure);
      stream_.async_connect(endpoint, [&](error_code result) { failure = result; });
      run();
      if (!failure) {
        return;
      }
    }
    throw cannot_connect(failure);
  }

  HttpReply ask(const HttpClientOptions& options, http::verb method, const std::string& path,
                const std::string& body) {
    http::request<http::string_body> request{method, path, kHttp11};
    if (method == http::verb::post) {
      request.set(http::field::content_type, "application/json");
      request.body() = body;
      request.prepare_payload();
    }
    request.set(http::field::host, address_.is_unix() ? "localhost" : address_.to_string());
    request.set(http::field::user_agent, "headgate");
    request.keep_alive(false);
    if (!options.token.empty()) {
      request.set(http::field::authorization, "Bearer " + options.token);
    }
    error_code failure;
    http::async_write(stream_, request, [&](error_code result, std::size_t) { failure = result; });
    run();
    // A server that refuses us may have answered and closed before it read the request.
    if (failure == beast::error::timeout) {
      throw cannot_ask(failure);
    }

    http::response_parser<http::string_body> parser;
    parser.body_limit(kReplyBytesMax);
    beast::flat_buffer buffer;
    http::async_read(stream_, buffer, parser,
                     [&](error_code result, std::size_t) { failure = result; });
    run();
    if (failure) {
      throw cannot_ask(failure);
    }
    return {parser.get().result_int(), std::move(parser.get().body())};
  }

 private:
  void run() {
    context_.restart();
    context_.run();
  }

  Error cannot_connect(const error_code& failure) const {
    if (failure == net::error::access_denied) {
      return Error{ErrorKind::kOperator,
                   fmt::format("may not open {}: {}", address_.to_string(), failure.message()),
                   "run this as the daemon's user, or join the group of its socket"};
    }
    return Error{ErrorKind::kTransient,
                 fmt::format("no headgate daemon answers on {}: {}", address_.to_string(),
                             failure.message()),
                 "start it with `headgate run`, or correct http.listen in this file"};
  }

  Error cannot_ask(const error_code& failure) const {
    const bool http_failure =
        failure.category() == http::make_error_code(http::error::bad_target).category();
    if (http_failure && failure != http::error::end_of_stream &&
        failure != http::error::partial_message) {
      return Error{ErrorKind::kOperator,
                   fmt::format("what answers on {} is no headgate daemon: {}", address_.to_string(),
                               failure.message()),
                   "correct http.listen in this file"};
    }
    return Error{
        ErrorKind::kTransient,
        fmt::format("the daemon on {} gave no answer: {}", address_.to_string(),
                    failure == beast::error::timeout ? "it took too long" : failure.message()),
        "look into its log, or try again"};
  }

  ListenAddress address_;
  net::io_context context_;
  beast::basic_stream<StreamProtocol> stream_;
};

}  // namespace

HttpReply http_get(const HttpClientOptions& options, const std::string& path) {
  return Connection{options}.ask(options, http::verb::get, path, {});
}

HttpReply http_post(const HttpClientOptions& options, const std::string& path,
                    const std::string& body) {
  return Connection{options}.ask(options, http::verb::post, path, body);
}

}  // namespace headgate
