#include "admin/http_client.hpp"

#include <chrono>

#include <catch2/catch.hpp>

#include "admin/http_server.hpp"
#include "base/error.hpp"
#include "scripted_peer.hpp"
#include "temporary_folder.hpp"

namespace headgate {
namespace {

// Answers with what it was asked.
Router mirror_routes() {
  Router router;
  router.add({HttpMethod::kGet, "/open", Access::kOpen, [](const HttpRequest& request) {
                HttpResponse response;
                response.body = request.query;
                return response;
              }});
  router.add({HttpMethod::kGet, "/secret", Access::kToken,
              [](const HttpRequest&) { return HttpResponse{}; }});
  return router;
}

Error failure_of(const HttpClientOptions& options) {
  try {
    http_get(options, "/open");
  } catch (const Error& error) {
    return error;
  }
  throw std::runtime_error("there was an answer");
}

std::string chosen_port(const HttpServer& server, const std::string& host) {
  return host + ":" + std::to_string(server.port());
}

TEST_CASE("a daemon is asked over TCP") {
  HttpServerOptions options;
  options.listen = GENERATE("127.0.0.1:0", "localhost:0");
  options.token = "t0ken";
  HttpServer server{options, mirror_routes()};
  server.start();

  HttpClientOptions client;
  client.listen = chosen_port(server, options.listen.substr(0, options.listen.find(':')));
  const auto open = http_get(client, "/open?x=1");
  CHECK(open.status == 200);
  CHECK(open.body == "x=1");
  CHECK(http_get(client, "/secret").status == 401);
  client.token = "t0ken";
  CHECK(http_get(client, "/secret").status == 200);
}

// The address in the file is where the daemon listens, which is not where one can connect to.
TEST_CASE("a daemon that listens on every address is asked on loopback") {
  HttpServerOptions options;
  options.listen = "0.0.0.0:0";
  options.token = "t0ken";
  HttpServer server{options, mirror_routes()};
  server.start();
  HttpClientOptions client;
  client.listen = chosen_port(server, "0.0.0.0");
  CHECK(http_get(client, "/open").status == 401);
  client.token = "t0ken";
  CHECK(http_get(client, "/open").status == 200);
}

TEST_CASE("a daemon is asked over a Unix socket") {
  const TemporaryFolder folder;
  HttpServerOptions options;
  options.listen = "unix:" + folder.file("control.sock");
  HttpServer server{options, mirror_routes()};
  server.start();
  HttpClientOptions client;
  client.listen = options.listen;
  CHECK(http_get(client, "/open?x").body == "x");
}

TEST_CASE("where nobody listens, that is said") {
  const TemporaryFolder folder;
  HttpClientOptions client;
  SECTION("TCP") {
    HttpServerOptions options;
    options.listen = "127.0.0.1:0";
    HttpServer server{options, Router{}};
    server.start();
    client.listen = chosen_port(server, "127.0.0.1");
    server.stop();
  }
  SECTION("a Unix socket that is not there") {
    client.listen = "unix:" + folder.file("control.sock");
  }
  const auto error = failure_of(client);
  CHECK(error.kind() == ErrorKind::kTransient);
  CHECK_THAT(error.what(), Catch::Contains("no headgate daemon answers on " + client.listen));
  CHECK_THAT(error.hint(), Catch::Contains("headgate run"));
}

TEST_CASE("a daemon that gives no answer is not waited for without end") {
  const ScriptedPeer peer{""};
  HttpClientOptions client;
  client.listen = peer.listen();
  client.timeout = std::chrono::milliseconds(50);
  const auto error = failure_of(client);
  CHECK(error.kind() == ErrorKind::kTransient);
  CHECK_THAT(error.what(), Catch::Contains("too long"));
}

TEST_CASE("an answer that ends early is the daemon's end, not ours") {
  const ScriptedPeer peer{"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"};
  HttpClientOptions client;
  client.listen = peer.listen();
  CHECK(failure_of(client).kind() == ErrorKind::kTransient);
}

TEST_CASE("what does not speak HTTP is no daemon") {
  const ScriptedPeer peer{"SSH-2.0-OpenSSH_9.2\r\n"};
  HttpClientOptions client;
  client.listen = peer.listen();
  const auto error = failure_of(client);
  CHECK(error.kind() == ErrorKind::kOperator);
  CHECK_THAT(error.what(), Catch::Contains("no headgate daemon"));
}

// It may be anything: what it sends must not fill our memory.
TEST_CASE("an answer has a limit") {
  const ScriptedPeer peer{"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n"};
  HttpClientOptions client;
  client.listen = peer.listen();
  CHECK(failure_of(client).kind() == ErrorKind::kOperator);
}

TEST_CASE("an address that is none is the file's fault") {
  HttpClientOptions client;
  client.listen = "nonsense";
  CHECK(failure_of(client).kind() == ErrorKind::kConfig);
}

}  // namespace
}  // namespace headgate
