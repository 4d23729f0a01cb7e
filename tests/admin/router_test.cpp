#include "admin/router.hpp"

#include <stdexcept>

#include <boost/json/parse.hpp>
#include <catch2/catch.hpp>

#include "base/check.hpp"
#include "base/error.hpp"

namespace headgate {
namespace {

HttpHandler says(std::string text) {
  return [text = std::move(text)](const HttpRequest&) {
    HttpResponse response;
    response.body = text;
    return response;
  };
}

HttpRequest request_for(std::string method, std::string path, std::string authorization = {}) {
  HttpRequest request;
  request.method = std::move(method);
  request.path = std::move(path);
  request.authorization = std::move(authorization);
  return request;
}

std::string allow(const HttpResponse& response) {
  return response.headers.empty() ? ""
                                  : response.headers[0].first + ": " + response.headers[0].second;
}

const AccessRules kUnix{Reach::kUnixSocket, "", "secret"};

TEST_CASE("a request goes to the route of its path and method") {
  Router router;
  router.add({HttpMethod::kGet, "/a", Access::kOpen, says("get a")});
  router.add({HttpMethod::kPost, "/a", Access::kToken, says("post a")});
  router.add({HttpMethod::kGet, "/b", Access::kOpen, says("get b")});

  CHECK(router.answer(request_for("GET", "/a"), kUnix).body == "get a");
  CHECK(router.answer(request_for("HEAD", "/a"), kUnix).body == "get a");
  CHECK(router.answer(request_for("POST", "/a", "Bearer secret"), kUnix).body == "post a");
  CHECK(router.answer(request_for("GET", "/b"), kUnix).body == "get b");
}

TEST_CASE("each route of a path keeps its own access") {
  Router router;
  router.add({HttpMethod::kGet, "/a", Access::kOpen, says("get")});
  router.add({HttpMethod::kPost, "/a", Access::kToken, says("post")});
  CHECK(router.answer(request_for("GET", "/a"), kUnix).status == 200);
  CHECK(router.answer(request_for("POST", "/a"), kUnix).status == 401);
}

TEST_CASE("an unknown path is 404, an unknown method 405 with what is allowed") {
  Router router;
  router.add({HttpMethod::kGet, "/a", Access::kOpen, says("get")});
  router.add({HttpMethod::kPost, "/a", Access::kToken, says("post")});
  router.add({HttpMethod::kPost, "/b", Access::kToken, says("post")});

  CHECK(router.answer(request_for("GET", "/"), kUnix).status == 404);
  CHECK(router.answer(request_for("GET", "/a/"), kUnix).status == 404);
  CHECK(router.answer(request_for("GET", "/A"), kUnix).status == 404);

  const auto put = router.answer(request_for("PUT", "/a"), kUnix);
  CHECK(put.status == 405);
  CHECK(allow(put) == "Allow: GET, HEAD, POST");
  const auto get = router.answer(request_for("GET", "/b"), kUnix);
  CHECK(get.status == 405);
  CHECK(allow(get) == "Allow: POST");
}

// From the network nobody learns which paths exist.
TEST_CASE("on the network an unknown path needs the token as well") {
  const AccessRules network{Reach::kNetwork, "", "secret"};
  const Router router;
  CHECK(router.answer(request_for("GET", "/x"), network).status == 401);
  CHECK(router.answer(request_for("GET", "/x", "Bearer secret"), network).status == 404);
}

TEST_CASE("what a handler throws is a 500 with its remedy") {
  Router router;
  router.add({HttpMethod::kGet, "/error", Access::kOpen, [](const HttpRequest&) -> HttpResponse {
                throw Error{ErrorKind::kOperator, "it broke", "mend it"};
              }});
  router.add({HttpMethod::kGet, "/other", Access::kOpen,
              [](const HttpRequest&) -> HttpResponse { throw std::runtime_error("say \"why\""); }});

  const auto error = router.answer(request_for("GET", "/error"), kUnix);
  CHECK(error.status == 500);
  CHECK(error.body == "{\"error\":\"it broke\",\"hint\":\"mend it\"}\n");
  const auto other = router.answer(request_for("GET", "/other"), kUnix);
  CHECK(other.status == 500);
  CHECK(boost::json::parse(other.body).at("error") == "say \"why\"");
}

TEST_CASE("a route that is declared twice is our bug") {
  Router router;
  router.add({HttpMethod::kGet, "/a", Access::kOpen, says("a")});
  CHECK_THROWS_AS(router.add({HttpMethod::kGet, "/a", Access::kToken, says("b")}), CheckFailure);
}

}  // namespace
}  // namespace headgate
