#include "admin/http_server.hpp"

#include <exception>
#include <thread>
#include <utility>

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include "admin/http_session.hpp"
#include "admin/listener.hpp"
#include "base/check.hpp"
#include "base/log.hpp"

namespace headgate {
namespace {

using boost::system::error_code;

// After a failed accept (no file descriptor left, say): the next one would fail as well.
constexpr std::chrono::milliseconds kAcceptPause{200};

constexpr std::size_t kLoggedPathMax = 200;

}  // namespace

// The socket, the sessions and the thread of one start().
class HttpServer::Impl {
 public:
  Impl(const HttpServerOptions& options, const Router& router)
      : connections_max_(options.connections_max),
        limits_{options.header_bytes_max, options.body_bytes_max, options.request_timeout},
        log_(make_logger("http")),
        address_(parse_listen_address(options.listen)),
        context_(1),
        listener_(context_, address_),
        rules_(listener_.reach(), address_.host, options.token),
        accept_timer_(context_),
        handler_([this, &router](const HttpRequest& request) { return answer(router, request); }) {
    log_->info("control channel listening address={} port={}", address_.to_string(),
               listener_.port());
    if (listener_.reach() == Reach::kNetwork && options.token.empty()) {
      log_->warn(
          "control channel refuses every request, since its address is open to the network and "
          "http.token_file is not set address={}",
          address_.to_string());
    }
    accept();
    thread_ = std::jthread([this] { run(); });
  }

  // The sessions go with the context, after the thread has ended.
  ~Impl() {
    context_.stop();
    thread_.join();
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::uint16_t port() const { return listener_.port(); }

 private:
  void run() noexcept {
    // Only running out of memory gets here, and it has cost the connection that hit it; the daemon
    // goes on replicating, and goes on answering.
    while (!context_.stopped()) {
      try {
        context_.run();
      } catch (const std::exception& error) {
        log_->error("http connection dropped error=\"{}\"", error.what());
      }
    }
  }

  HttpResponse answer(const Router& router, const HttpRequest& request) {
    HttpResponse response = router.answer(request, rules_);
    log_->debug("http request method={} path={} status={}", request.method,
                request.path.substr(0, kLoggedPathMax), response.status);
    return response;
  }

  void accept() {
    listener_.acceptor().async_accept([this](error_code failure, HttpSession::Socket socket) {
      if (failure) {
        on_accept_failed(failure);
        return;
      }
      if (accept_failures_ > 0) {
        log_->info("control channel recovered after={}", accept_failures_);
        accept_failures_ = 0;
      }
      accept();  // first, so that no failure of this connection ends the accepting
      admit(std::move(socket));
    });
  }

  void on_accept_failed(error_code failure) {
    if (accept_failures_++ == 0) {
      log_->warn("control channel cannot accept connections error=\"{}\"", failure.message());
    }
    accept_timer_.expires_after(kAcceptPause);
    accept_timer_.async_wait([this](error_code) { accept(); });
  }

  void admit(HttpSession::Socket socket) {
    if (serving_ < connections_max_) {
      std::make_shared<HttpSession>(std::move(socket), handler_, limits_, serving_)->serve();
    } else if (refusing_ < connections_max_) {
      std::make_shared<HttpSession>(std::move(socket), handler_, limits_, refusing_)
          ->refuse(error_response(503, "too many connections at once",
                                  "close some, or try again in a moment"));
    }
  }

  // Constant after construction.
  std::size_t connections_max_;
  HttpLimits limits_;
  Logger log_;
  ListenAddress address_;

  // Of thread_ alone. The sessions count themselves here and die with the context, hence above it.
  std::size_t serving_ = 0;
  std::size_t refusing_ = 0;
  std::size_t accept_failures_ = 0;

  boost::asio::io_context context_;
  Listener listener_;
  AccessRules rules_;  // constant after construction
  boost::asio::steady_timer accept_timer_;
  HttpHandler handler_;
  std::jthread thread_;
};

HttpServer::HttpServer(HttpServerOptions options, Router router)
    : options_(std::move(options)), router_(std::move(router)) {}

HttpServer::~HttpServer() {
  stop();
}

void HttpServer::start() {
  HEADGATE_CHECK(!impl_, "the HTTP server is started once");
  impl_ = std::make_unique<Impl>(options_, router_);
  port_ = impl_->port();
}

void HttpServer::stop() noexcept {
  impl_.reset();
}

}  // namespace headgate
