#include <sstream>

#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>

#include "admin/http_server.hpp"
#include "admin/status_json.hpp"
#include "admin/status_routes.hpp"
#include "base/error.hpp"
#include "cmd/headgate/status.hpp"
#include "sample_report.hpp"
#include "scripted_peer.hpp"

namespace headgate {
namespace {

namespace json = boost::json;

struct Result {
  int exit = -1;
  std::string out;
  std::string err;
};

Result run(const HttpConfig& http, bool json_wanted) {
  std::ostringstream out;
  std::ostringstream err;
  Result result;
  result.exit = status_command(http, json_wanted, out, err);
  result.out = out.str();
  result.err = err.str();
  return result;
}

// A daemon, and the configuration that asks it with its token.
class Daemon {
 public:
  explicit Daemon(const std::string& host, const std::string& token = {})
      : server_(options(host, token), routes()) {
    server_.start();
    http.listen = host + ":" + std::to_string(server_.port());
    http.token = token;
  }

  HttpConfig http;

 private:
  static HttpServerOptions options(const std::string& host, const std::string& token) {
    HttpServerOptions options;
    options.listen = host + ":0";
    options.token = token;
    return options;
  }

  static Router routes() {
    Router router;
    add_status_routes(router, sample_report);
    return router;
  }

  HttpServer server_;
};

TEST_CASE("status prints a table for people") {
  const Daemon daemon{"127.0.0.1"};
  const auto result = run(daemon.http, false);
  CHECK(result.exit == kExitOk);
  CHECK(result.err.empty());
  CHECK(
      result.out ==
      "pipeline  shop, headgate 0.1.0, up 1 min 30 s\n"
      "state     polling, ready tables=2\n"
      "source    server 15.6, slot headgate_shop, WAL reserved, 4.0 KiB retained, - until it may "
      "be discarded\n"
      "  warning: capturing is 1 h behind\n"
      "    look at the job\n"
      "capture   cdc, received 16/B374D848, acknowledged 16/B374D000, 12 transactions, 34 changes\n"
      "\n"
      "SINK      TYPE      STATE      APPLIED      LAG     BEHIND   TRANSACTIONS  CHANGES\n"
      "business  sqlite    streaming  16/B374D848  0.0 s   0 B      12            34\n"
      "report    postgres  retrying   16/B374C848  10.2 s  4.0 KiB  10            30\n"
      "  error: connection refused\n");
}

TEST_CASE("status tells of paused tables below their sink") {
  StatusReport report = sample_report();
  const auto tables = std::make_shared<std::vector<TableStatus>>();
  tables->push_back({{"shop", "items"}, "paused", 0, ""});
  tables->back().paused = {"column n added", "drop it", "0/2B"};
  report.sinks[0].status.tables = tables;
  CHECK_THAT(status_table(status_json(report)),
             Catch::Contains("34\n"
                             "  table shop.items paused since 0/2B: column n added\n"
                             "    drop it\n"
                             "report "));
  tables->back().paused->refused = "no column n";
  CHECK_THAT(status_table(status_json(report)),
             Catch::Contains("    drop it\n"
                             "    the last copy was refused: no column n\n"));
}

TEST_CASE("status --json prints what the daemon sent") {
  const Daemon daemon{"127.0.0.1"};
  const auto result = run(daemon.http, true);
  CHECK(result.exit == kExitOk);
  CHECK(json::parse(result.out) == json::value(status_json(sample_report())));
}

TEST_CASE("status of no daemon is one message and 69") {
  HttpConfig http;
  {
    const Daemon daemon{"127.0.0.1"};
    http = daemon.http;
  }
  const auto result = run(http, GENERATE(false, true));
  CHECK(result.exit == kExitUnavailable);
  CHECK(result.out.empty());
  CHECK_THAT(result.err,
             Catch::StartsWith("headgate: no headgate daemon answers on " + http.listen));
}

TEST_CASE("status without a control channel says so") {
  HttpConfig http;
  http.listen.clear();
  const auto result = run(http, false);
  CHECK(result.exit == kExitUnavailable);
  CHECK_THAT(result.err, Catch::Contains("http.listen"));
}

TEST_CASE("a refusal names the remedy") {
  SECTION("no token configured here") {
    Daemon daemon{"0.0.0.0", "t0ken"};
    daemon.http.token.clear();
    const auto result = run(daemon.http, false);
    CHECK(result.exit == kExitOperator);
    CHECK_THAT(result.err, Catch::Contains("set http.token_file"));
  }
  SECTION("another token configured here") {
    Daemon daemon{"0.0.0.0", "t0ken"};
    daemon.http.token = "another";
    const auto result = run(daemon.http, false);
    CHECK(result.exit == kExitOperator);
    CHECK_THAT(result.err, Catch::Contains("wrong token"));
    CHECK_THAT(result.err, !Catch::Contains("another"));
  }
  SECTION("no token configured there") {
    const Daemon daemon{"0.0.0.0"};
    const auto result = run(daemon.http, false);
    CHECK(result.exit == kExitOperator);
    CHECK_THAT(result.err, Catch::Contains("set http.token_file and restart"));
  }
}

TEST_CASE("another program on that port is not taken for a daemon") {
  const std::string answer =
      GENERATE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
               "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "220 smtp.example ESMTP\r\n");
  const ScriptedPeer peer{answer};
  HttpConfig http;
  http.listen = peer.listen();
  CHECK(run(http, GENERATE(false, true)).exit == kExitOperator);
}

TEST_CASE("a daemon that is too busy is unavailable") {
  const ScriptedPeer peer{
      "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 19\r\n\r\n{\"error\":\"too many\"}"};
  HttpConfig http;
  http.listen = peer.listen();
  CHECK(run(http, false).exit == kExitUnavailable);
}

// A daemon of another version may leave out or add what it likes.
TEST_CASE("the table copes with a report that it does not know") {
  CHECK_THAT(status_table({}), Catch::StartsWith("pipeline  -, headgate -, up -\n"));
  const auto odd = json::parse(
      R"({"pipeline": 1, "capture": [], "sinks": [7, {"name": null, "lag_seconds": "x"}]})");
  CHECK_THAT(status_table(odd.as_object()), Catch::Contains("pipeline  1,"));
}

TEST_CASE("the table shows no control characters of others") {
  auto report = sample_report();
  report.sinks[1].status.error = "ERROR:\n\x1b[31mred";
  CHECK_THAT(status_table(status_json(report)), Catch::Contains("error: ERROR:  [31mred\n"));
}

TEST_CASE("lags are printed in the units of people") {
  struct Case {
    std::int64_t seconds;
    std::uint64_t bytes;
    std::string text;
  };
  const auto test = GENERATE(values<Case>({
      {59, 1023, "59.0 s  1023 B"},
      {61, 1024, "1 min 1 s  1.0 KiB"},
      {3 * 3600 + 120, 1536, "3 h 2 min  1.5 KiB"},
      {3 * 86400, std::uint64_t{5} << 30, "3 d 0 h  5.0 GiB"},
  }));
  auto report = sample_report();
  report.sinks.erase(report.sinks.begin());
  report.sinks[0].status.last_commit_time = report.now - std::chrono::seconds(test.seconds);
  report.sinks[0].status.applied =
      sample_position(report.capture.received.lsn.to_postgres() - test.bytes);
  CHECK_THAT(status_table(status_json(report)), Catch::Contains(test.text));
}

}  // namespace
}  // namespace headgate
