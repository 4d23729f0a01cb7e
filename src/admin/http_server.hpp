// The control channel: a small HTTP/1.1 server on a thread of its own.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "admin/router.hpp"
#include "base/clock.hpp"

namespace headgate {

struct HttpServerOptions {
  // host:port, [v6]:port or unix:/path. Port 0: the system chooses one.
  std::string listen = "127.0.0.1:9020";
  // Empty: what needs the token is refused.
  std::string token;
  // For a request to arrive, and again for its answer to be taken.
  Duration request_timeout = std::chrono::seconds(10);
  // Served at once. As many again are told 503 before they are closed; beyond, only closed.
  std::size_t connections_max = 64;
  // Of the request line with the headers, and of the body.
  std::uint32_t header_bytes_max = 8 * 1024;
  std::size_t body_bytes_max = 64 * 1024;
};

// Answers what its router knows. Replication never depends on it: whatever a request does, it costs
// that request.
//
// Belongs to the thread that made it; handlers run on the server's own.
class HttpServer {
 public:
  // What the handlers in `router` refer to must outlive the server, or its stop().
  HttpServer(HttpServerOptions options, Router router);

  // Stops it.
  ~HttpServer();

  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  // Listens, and answers from here on.
  //
  // Throws Error{kConfig} for an address that is none, Error{kOperator} when it cannot be listened
  // on: address, reason and remedy. REQUIRES: not started before.
  void start();

  // Closes every connection, whatever it waits for, removes a Unix socket's file, and waits for the
  // handler that is running. Does nothing when not running.
  void stop() noexcept;

  // The port listened on; 0 for a Unix socket. REQUIRES: start() succeeded.
  std::uint16_t port() const { return port_; }

 private:
  class Impl;

  HttpServerOptions options_;
  Router router_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Impl> impl_;  // while it runs
};

}  // namespace headgate
