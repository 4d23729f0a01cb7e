#include "admin/http_server.hpp"

#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <thread>
#include <vector>

#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>

#include "admin/status_routes.hpp"
#include "base/error.hpp"
#include "base/log.hpp"
#include "raw_connection.hpp"
#include "sample_report.hpp"
#include "temporary_folder.hpp"

namespace headgate {
namespace {

namespace json = boost::json;

constexpr const char* kToken = "s3cret-token";
// For the tests that wait for it. All others have the server's own ten seconds and never wait.
constexpr std::chrono::milliseconds kShort{100};

HttpServerOptions any_port() {
  HttpServerOptions options;
  options.listen = "127.0.0.1:0";
  options.token = kToken;
  return options;
}

Router sample_routes() {
  Router router;
  add_status_routes(router, sample_report);
  router.add({HttpMethod::kPost, "/echo", Access::kToken, [](const HttpRequest& request) {
                HttpResponse response;
                response.body = request.query + "|" + request.body;
                response.content_type = "text/plain";
                return response;
              }});
  return router;
}

// Started, on a port of the system's choice.
std::unique_ptr<HttpServer> start(HttpServerOptions options = any_port(),
                                  Router router = sample_routes()) {
  auto server = std::make_unique<HttpServer>(std::move(options), std::move(router));
  server->start();
  return server;
}

std::string ask(const HttpServer& server, std::string_view request) {
  return RawConnection{server.port()}.exchange(request);
}

std::string post(std::string_view target, const std::string& headers, const std::string& body) {
  return "POST " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" +
         headers + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

const std::string kKeepAlive = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";

TEST_CASE("health, ready and status are answered") {
  const auto server = start();

  const auto health = ask(*server, get_request("/health"));
  CHECK(status_of(health) == 200);
  CHECK(json::parse(body_of(health)) == json::value{{"status", "ok"}});

  const auto ready = ask(*server, get_request("/ready"));
  CHECK(status_of(ready) == 200);
  CHECK(json::parse(body_of(ready)) == json::value{{"ready", true}});

  const auto status = ask(*server, get_request("/api/v1/status?pretty=1"));
  CHECK(status_of(status) == 200);
  CHECK(header_of(status, "Content-Type") == "application/json");
  CHECK(json::parse(body_of(status)).at("pipeline") == "shop");
}

TEST_CASE("a pipeline that is not ready says why") {
  Router router;
  add_status_routes(router, [] {
    StatusReport report;
    report.state = "snapshot";
    report.reason = "the first copy of 2 tables is not finished";
    return report;
  });
  const auto server = start(any_port(), std::move(router));

  const auto ready = ask(*server, get_request("/ready"));
  CHECK(status_of(ready) == 503);
  CHECK(json::parse(body_of(ready)) ==
        json::value{{"ready", false},
                    {"state", "snapshot"},
                    {"reason", "the first copy of 2 tables is not finished"}});
  CHECK(status_of(ask(*server, get_request("/health"))) == 200);
}

TEST_CASE("HEAD has the headers of GET and no body") {
  const auto server = start();
  const auto get = ask(*server, get_request("/api/v1/status"));
  const auto head =
      ask(*server, "HEAD /api/v1/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
  CHECK(status_of(head) == 200);
  CHECK(body_of(head).empty());
  CHECK(header_of(head, "Content-Length") == std::to_string(body_of(get).size()));
}

TEST_CASE("every answer carries the security headers") {
  const auto server = start();
  const std::string target = GENERATE("/health", "/nothing", "relative");
  const auto answer = ask(*server, get_request(target));
  CHECK(header_of(answer, "X-Content-Type-Options") == "nosniff");
  CHECK(header_of(answer, "Cache-Control") == "no-store");
  CHECK(header_of(answer, "Content-Security-Policy") == "default-src 'none'");
}

TEST_CASE("a route may replace a security header") {
  Router router;
  router.add({HttpMethod::kGet, "/page", Access::kOpen, [](const HttpRequest&) {
                HttpResponse response;
                response.headers = {{"content-security-policy", "default-src 'self'"}};
                return response;
              }});
  const auto server = start(any_port(), std::move(router));
  const auto answer = ask(*server, get_request("/page"));
  CHECK(header_of(answer, "Content-Security-Policy") == "default-src 'self'");
  CHECK_THAT(answer, !Catch::Contains("'none'"));
}

TEST_CASE("unknown paths and methods are told so") {
  const auto server = start();
  const auto unknown = ask(*server, get_request("/nothing"));
  CHECK(status_of(unknown) == 404);
  CHECK(json::parse(body_of(unknown)).at("error") == "there is no /nothing");

  const auto method = GENERATE("POST", "DELETE", "BREW");
  const auto answer =
      ask(*server, std::string(method) + " /health HTTP/1.1\r\nHost: localhost\r\n" +
                       "Connection: close\r\nContent-Length: 0\r\n\r\n");
  CHECK(status_of(answer) == 405);
  CHECK(header_of(answer, "Allow") == "GET, HEAD");
}

TEST_CASE("a connection is kept for further requests, also when they come at once") {
  const auto server = start();
  RawConnection connection{server->port()};
  connection.send(kKeepAlive);
  CHECK(status_of(connection.read_answer()) == 200);
  connection.send(kKeepAlive + kKeepAlive + get_request("/nothing"));
  CHECK(status_of(connection.read_answer()) == 200);
  CHECK(status_of(connection.read_answer()) == 200);
  CHECK(status_of(connection.read_answer()) == 404);
  CHECK(connection.read_to_end().empty());
}

TEST_CASE("on loopback a route that needs the token gets body and query only with it") {
  const auto server = start();
  const std::string right = "Authorization: Bearer s3cret-token\r\n";
  const std::string wrong = "Authorization: Bearer s3cret-tokem\r\n";

  const auto answer = ask(*server, post("/echo?a=1&b", right, "body"));
  CHECK(status_of(answer) == 200);
  CHECK(header_of(answer, "Content-Type") == "text/plain");
  CHECK(body_of(answer) == "a=1&b|body");

  const auto refused = ask(*server, post("/echo", wrong, ""));
  CHECK(status_of(refused) == 401);
  CHECK_THAT(header_of(refused, "WWW-Authenticate"), Catch::StartsWith("Bearer"));
  CHECK(status_of(ask(*server, post("/echo", "", ""))) == 401);
  // Nobody can tell which one an intermediary has looked at.
  CHECK(status_of(ask(*server, post("/echo", wrong + right, ""))) == 401);
  CHECK(status_of(ask(*server, post("/echo", right + wrong, ""))) == 401);

  auto options = any_port();
  options.token.clear();
  const auto without = start(options);
  const auto answer_without = ask(*without, post("/echo", right, ""));
  CHECK(status_of(answer_without) == 403);
  CHECK_THAT(body_of(answer_without), Catch::Contains("http.token_file"));
}

TEST_CASE("on loopback another Host is refused") {
  const auto server = start();
  const auto refused =
      ask(*server, "GET /health HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n");
  CHECK(status_of(refused) == 403);
  CHECK(status_of(ask(*server, "GET /health HTTP/1.0\r\n\r\n")) == 403);
}

TEST_CASE("on any other address everything needs the token") {
  auto options = any_port();
  options.listen = "0.0.0.0:0";
  const auto server = start(options);
  const std::string target = GENERATE("/health", "/ready", "/api/v1/status");
  const auto refused = ask(*server, get_request(target));
  CHECK(status_of(refused) == 401);
  CHECK_THAT(refused, !Catch::Contains("shop"));
  CHECK(status_of(ask(*server, get_request(target, "Authorization: Bearer s3cret-token\r\n"))) ==
        200);

  options.token.clear();
  CHECK(status_of(ask(*start(options), get_request(target))) == 403);
}

TEST_CASE("the header of a request has a limit") {
  const auto server = start();
  const auto padded = [](std::size_t size) {
    return get_request("/health", "X-Padding: " + std::string(size, 'x') + "\r\n");
  };
  CHECK(status_of(ask(*server, padded(8000))) == 200);
  const auto refused = ask(*server, padded(8192));
  CHECK(status_of(refused) == 431);
  CHECK(header_of(refused, "Connection") == "close");
  // Without an end: it must not be waited for, nor be collected.
  CHECK(status_of(ask(*server, "GET /" + std::string(100'000, 'x'))) == 431);

  auto options = any_port();
  options.header_bytes_max = 1000;
  CHECK(status_of(ask(*start(options), padded(1000))) == 431);
}

// A reset would overtake the answer that says why, on its way through a network.
TEST_CASE("a client that still sends is told why before it is cut off") {
  const auto server = start();
  RawConnection connection{server->port()};
  CHECK(status_of(connection.exchange("GET /" + std::string(100'000, 'x'))) == 431);
  CHECK_FALSE(connection.was_reset());
}

TEST_CASE("the body of a request has a limit") {
  const auto server = start();
  const std::string right = "Authorization: Bearer s3cret-token\r\n";
  const std::string largest(64 * 1024, 'x');
  CHECK(body_of(ask(*server, post("/echo", right, largest))) == "|" + largest);
  CHECK(status_of(ask(*server, post("/echo", right, largest + "x"))) == 413);
  // Announced only: refused before it is sent.
  CHECK(status_of(ask(*server,
                      "POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                      "Content-Length: 18446744073709551615\r\n\r\n")) >= 400);
  CHECK(status_of(ask(*server,
                      "POST /echo HTTP/1.1\r\nHost: localhost\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n20000\r\n" +
                          std::string(0x20000, 'x'))) == 413);
}

TEST_CASE("what is not HTTP is answered with 400 and closed") {
  const auto server = start();
  const std::string request = GENERATE(
      "hello\r\n\r\n", "\r\n\r\n\r\n", "GET /health\r\n\r\n", "GET /health HTTP/9.9\r\n\r\n",
      "GET  /health HTTP/1.1\r\n\r\n", "GET /health HTTP/1.1\r\nno colon\r\n\r\n",
      "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
      "GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "GET health HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
      "POST /echo HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
      "\x16\x03\x01\x02\x01\x01\x01\xfc\x03\x03 a TLS client hello");
  CAPTURE(request);
  const auto answer = ask(*server, request);
  CHECK(status_of(answer) == 400);
  CHECK(header_of(answer, "Connection") == "close");
  CHECK(json::parse(body_of(answer)).as_object().contains("error"));
}

TEST_CASE("a client that leaves in the middle of a request costs nothing") {
  const auto server = start();
  const auto request = post("/echo", "Authorization: Bearer s3cret-token\r\n", "body");
  for (std::size_t size = 0; size < request.size(); ++size) {
    RawConnection{server->port()}.send(std::string_view(request).substr(0, size));
  }
  CHECK(status_of(ask(*server, get_request("/health"))) == 200);
}

TEST_CASE("a slow client is cut off") {
  auto options = any_port();
  options.request_timeout = kShort;
  const auto server = start(options);

  SECTION("one that sends nothing") {
    CHECK(RawConnection{server->port()}.read_to_end().empty());
  }
  SECTION("one that stops in the header") {
    CHECK(ask(*server, "GET /health HTTP/1.1\r\nHost: loc").empty());
  }
  SECTION("one that stops in the body") {
    CHECK(ask(*server, "POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc").empty());
  }
  SECTION("one that is silent after an answer") {
    CHECK(status_of(ask(*server, kKeepAlive)) == 200);
  }
  // A byte now and then must not buy time: the deadline is the request's, not the byte's.
  SECTION("one that trickles") {
    RawConnection connection{server->port()};
    bool closed = false;
    for (int bytes = 0; bytes < 1000 && !closed; ++bytes) {
      connection.send("G");
      closed = connection.closed_within(kShort / 10);
    }
    CHECK(closed);
  }
}

TEST_CASE("connections beyond the bound are told so and closed") {
  auto options = any_port();
  options.connections_max = 2;
  const auto server = start(options);
  auto first = std::make_unique<RawConnection>(server->port());
  RawConnection second{server->port()};
  for (auto* connection : {first.get(), &second}) {
    connection->send(kKeepAlive);  // answered, so it has been accepted
    REQUIRE(status_of(connection->read_answer()) == 200);
  }

  // Whether it asks something or only connects.
  const auto refused = RawConnection{server->port()}.read_to_end();
  CHECK(status_of(refused) == 503);
  CHECK(header_of(refused, "Connection") == "close");
  CHECK(json::parse(body_of(refused)).as_object().contains("hint"));

  second.send(kKeepAlive);
  CHECK(status_of(second.read_answer()) == 200);

  // One place becomes free when the server has seen the first one's end.
  first.reset();
  int status = 0;
  for (int attempt = 0; attempt < 10'000 && status != 200; ++attempt) {
    status = status_of(ask(*server, get_request("/health")));
  }
  CHECK(status == 200);
}

// Otherwise they could be held open without end instead of those that are served.
TEST_CASE("refused connections have a bound as well") {
  auto options = any_port();
  options.connections_max = 1;
  const auto server = start(options);
  RawConnection served{server->port()};
  served.send(kKeepAlive);
  REQUIRE(status_of(served.read_answer()) == 200);

  // Each one that is told 503 keeps its place for a second, since we do not close it. That is
  // hardly a handful on a slow machine, where without a bound it would be all.
  std::vector<std::unique_ptr<RawConnection>> others;
  int told = 0;
  for (int i = 0; i < 60; ++i) {
    others.push_back(std::make_unique<RawConnection>(server->port()));
    told += status_of(others.back()->read_answer()) == 503 ? 1 : 0;
  }
  CHECK(told >= 1);
  CHECK(told < 30);

  served.send(kKeepAlive);
  CHECK(status_of(served.read_answer()) == 200);
}

TEST_CASE("stop does not wait for clients") {
  const auto started = std::chrono::steady_clock::now();
  Router router;
  router.add({HttpMethod::kGet, "/large", Access::kOpen, [](const HttpRequest&) {
                HttpResponse response;
                response.body.assign(std::size_t{64} * 1024 * 1024, 'x');
                return response;
              }});
  const auto server = start(any_port(), std::move(router));
  const auto port = server->port();
  RawConnection silent{port};
  RawConnection hanging{port};
  hanging.send("GET /large HTTP/1.1\r\nHost: localhost\r\nX-Unfin");
  RawConnection not_reading{port};
  not_reading.send(get_request("/large"));

  server->stop();

  // Not one of the ten seconds that each of them may take.
  CHECK(std::chrono::steady_clock::now() - started < std::chrono::seconds(8));
  CHECK(silent.read_to_end().empty());
  CHECK(hanging.read_to_end().empty());
  CHECK(not_reading.read_to_end().size() < std::size_t{64} * 1024 * 1024);
  CHECK_THROWS(RawConnection{port});
  server->stop();
}

TEST_CASE("stop waits for the handler that is running") {
  std::atomic<bool> entered = false;
  std::atomic<bool> left = false;
  std::atomic<bool> may_leave = false;
  Router router;
  router.add({HttpMethod::kGet, "/slow", Access::kOpen, [&](const HttpRequest&) {
                entered = true;
                entered.notify_all();
                may_leave.wait(false);
                left = true;
                return HttpResponse{};
              }});
  const auto server = start(any_port(), std::move(router));
  RawConnection connection{server->port()};
  connection.send(get_request("/slow"));
  entered.wait(false);

  std::jthread stopping([&] { server->stop(); });
  may_leave = true;
  may_leave.notify_all();
  stopping.join();

  CHECK(left);
}

TEST_CASE("a server that was never started stops") {
  HttpServer server{any_port(), sample_routes()};
  server.stop();
}

TEST_CASE("a port that is taken is named with the remedy") {
  const auto server = start();
  auto options = any_port();
  options.listen = "127.0.0.1:" + std::to_string(server->port());
  HttpServer second{options, sample_routes()};
  try {
    second.start();
    FAIL("both listen");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kOperator);
    CHECK_THAT(error.what(), Catch::Contains(options.listen));
    CHECK_THAT(error.what(), Catch::Contains("in use"));
    CHECK_THAT(error.hint(), Catch::Contains("http.listen"));
  }
  // A failed start leaves nothing behind: once the port is free, it can be tried again, at once.
  RawConnection connection{server->port()};
  connection.send(kKeepAlive);
  REQUIRE(status_of(connection.read_answer()) == 200);
  server->stop();
  second.start();
  CHECK(status_of(ask(second, get_request("/health"))) == 200);
}

TEST_CASE("an address that cannot be listened on is an error for a person") {
  auto options = any_port();
  options.listen = GENERATE("192.0.2.1:0", "no-such-host.invalid:1");
  HttpServer server{options, sample_routes()};
  try {
    server.start();
    FAIL("it listens");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kOperator);
    CHECK_FALSE(error.hint().empty());
  }
}

TEST_CASE("localhost is listened on at its IPv4 address") {
  auto options = any_port();
  options.listen = "localhost:0";
  const auto server = start(options);
  CHECK(status_of(ask(*server, get_request("/health"))) == 200);
}

TEST_CASE("many clients at once are all answered") {
  const auto server = start();
  std::atomic<int> answered = 0;
  {
    std::vector<std::jthread> clients;
    for (int client = 0; client < 8; ++client) {
      clients.emplace_back([&] {
        for (int request = 0; request < 25; ++request) {
          answered += status_of(ask(*server, get_request("/api/v1/status"))) == 200 ? 1 : 0;
        }
      });
    }
  }
  CHECK(answered == 200);
}

TEST_CASE("the token is in no log line") {
  const TemporaryFolder folder;
  const auto file = folder.file("log");
  configure_logging({"trace", "text", file});
  {
    const auto server = start();
    const std::string wrong = "Authorization: Bearer wr0ng-token\r\n";
    const std::string right = "Authorization: Bearer s3cret-token\r\n";
    ask(*server, post("/echo", wrong, ""));
    ask(*server, post("/echo?token=s3cret-token", right, "s3cret-token"));
    ask(*server, "GET /health HTTP/1.1\r\n" + right + "broken\r\n\r\n");
  }
  configure_logging({});
  std::ifstream stream{file};
  const std::string log{std::istreambuf_iterator<char>{stream}, {}};
  CHECK_THAT(log, Catch::Contains("method=POST path=/echo status=200"));
  CHECK_THAT(log, !Catch::Contains("s3cret-token"));
  CHECK_THAT(log, !Catch::Contains("wr0ng-token"));
}

}  // namespace
}  // namespace headgate
