#include "admin/access_rules.hpp"

#include <catch2/catch.hpp>

namespace headgate {
namespace {

constexpr const char* kToken = "s3cret-token";

enum class Sent { kNothing, kWrong, kRight };

std::string authorization(Sent sent) {
  switch (sent) {
    case Sent::kNothing:
      return "";
    case Sent::kWrong:
      return "Bearer s3cret-tokem";
    case Sent::kRight:
      return "Bearer s3cret-token";
  }
  return "";
}

// 200 stands for "may go on".
unsigned decide(const AccessRules& rules, const HttpRequest& request, Access access) {
  const auto refused = rules.refusal(request, access);
  return refused ? refused->status : 200;
}

// The whole matrix of design section 10, with a Host header that is always in order.
TEST_CASE("who may ask what depends on address, route and token") {
  struct Case {
    Reach reach;
    Access access;
    bool configured;
    Sent sent;
    unsigned status;
  };
  const auto test = GENERATE(values<Case>({
      {Reach::kUnixSocket, Access::kOpen, false, Sent::kNothing, 200},
      {Reach::kUnixSocket, Access::kOpen, true, Sent::kNothing, 200},
      {Reach::kUnixSocket, Access::kOpen, true, Sent::kWrong, 200},
      {Reach::kUnixSocket, Access::kOpen, true, Sent::kRight, 200},
      {Reach::kUnixSocket, Access::kToken, false, Sent::kNothing, 403},
      {Reach::kUnixSocket, Access::kToken, false, Sent::kRight, 403},
      {Reach::kUnixSocket, Access::kToken, true, Sent::kNothing, 401},
      {Reach::kUnixSocket, Access::kToken, true, Sent::kWrong, 401},
      {Reach::kUnixSocket, Access::kToken, true, Sent::kRight, 200},
      {Reach::kLoopback, Access::kOpen, false, Sent::kNothing, 200},
      {Reach::kLoopback, Access::kOpen, true, Sent::kNothing, 200},
      {Reach::kLoopback, Access::kOpen, true, Sent::kWrong, 200},
      {Reach::kLoopback, Access::kOpen, true, Sent::kRight, 200},
      {Reach::kLoopback, Access::kToken, false, Sent::kNothing, 403},
      {Reach::kLoopback, Access::kToken, false, Sent::kRight, 403},
      {Reach::kLoopback, Access::kToken, true, Sent::kNothing, 401},
      {Reach::kLoopback, Access::kToken, true, Sent::kWrong, 401},
      {Reach::kLoopback, Access::kToken, true, Sent::kRight, 200},
      {Reach::kNetwork, Access::kOpen, false, Sent::kNothing, 403},
      {Reach::kNetwork, Access::kOpen, false, Sent::kRight, 403},
      {Reach::kNetwork, Access::kOpen, true, Sent::kNothing, 401},
      {Reach::kNetwork, Access::kOpen, true, Sent::kWrong, 401},
      {Reach::kNetwork, Access::kOpen, true, Sent::kRight, 200},
      {Reach::kNetwork, Access::kToken, false, Sent::kNothing, 403},
      {Reach::kNetwork, Access::kToken, false, Sent::kRight, 403},
      {Reach::kNetwork, Access::kToken, true, Sent::kNothing, 401},
      {Reach::kNetwork, Access::kToken, true, Sent::kWrong, 401},
      {Reach::kNetwork, Access::kToken, true, Sent::kRight, 200},
  }));
  CAPTURE(static_cast<int>(test.reach), static_cast<int>(test.access), test.configured,
          static_cast<int>(test.sent));
  const AccessRules rules{test.reach, "127.0.0.1", test.configured ? kToken : ""};
  HttpRequest request;
  request.host = "localhost:9020";
  request.authorization = authorization(test.sent);

  CHECK(decide(rules, request, test.access) == test.status);
}

TEST_CASE("a token is compared whole and in the Bearer scheme only") {
  const AccessRules rules{Reach::kUnixSocket, "", kToken};
  HttpRequest request;

  request.authorization =
      GENERATE("s3cret-token", "Basic s3cret-token", "Bearer", "Bearer ", "Bearer s3cret-toke",
               "Bearer s3cret-token2", "Bearer S3CRET-TOKEN", "Bearers3cret-token");
  CAPTURE(request.authorization);
  CHECK(decide(rules, request, Access::kToken) == 401);

  request.authorization = "bEARER s3cret-token";
  CHECK(decide(rules, request, Access::kToken) == 200);
}

// An empty token in the file must not be met by an empty one in the request.
TEST_CASE("no token is never the right token") {
  const AccessRules rules{Reach::kNetwork, "", ""};
  HttpRequest request;
  request.authorization = GENERATE("", "Bearer", "Bearer ", "Bearer  ");
  CHECK(decide(rules, request, Access::kOpen) == 403);
}

TEST_CASE("a refusal says what to do and never what the token is") {
  HttpRequest request;
  const auto without = AccessRules{Reach::kNetwork, "", ""}.refusal(request, Access::kOpen);
  REQUIRE(without);
  CHECK_THAT(without->body, Catch::Contains("http.token_file"));

  request.authorization = "Bearer wrong";
  const auto wrong = AccessRules{Reach::kNetwork, "", kToken}.refusal(request, Access::kOpen);
  REQUIRE(wrong);
  REQUIRE(wrong->headers.size() == 1);
  CHECK(wrong->headers[0].first == "WWW-Authenticate");
  CHECK_THAT(wrong->headers[0].second, Catch::StartsWith("Bearer"));
  CHECK_THAT(wrong->body, !Catch::Contains(kToken));
}

// DNS rebinding: a page of evil.example lets that name point to 127.0.0.1 and asks us from the
// browser of somebody on this machine.
TEST_CASE("on loopback the Host header must name this machine") {
  const AccessRules rules{Reach::kLoopback, "Db-Host", kToken};
  HttpRequest request;

  SECTION("these do") {
    request.host =
        GENERATE("localhost", "localhost:9020", "LOCALHOST:1", "127.0.0.1", "127.0.0.1:9020",
                 "127.1.2.3:9020", "[::1]", "[::1]:9020", "db-host:9020");
    CAPTURE(request.host);
    CHECK(decide(rules, request, Access::kOpen) == 200);
  }
  SECTION("these do not, unless the token comes with them") {
    request.host =
        GENERATE("", ":9020", "evil.example", "evil.example:9020", "localhost.evil.example",
                 "localhost:9020@evil.example", "127.0.0.1.evil.example", "192.0.2.1", "[::1",
                 "[::1]x", "::1", "localhost:", "localhost:9020:1", "[]");
    CAPTURE(request.host);
    CHECK(decide(rules, request, Access::kOpen) == 403);
    request.authorization = "Bearer s3cret-tokem";
    CHECK(decide(rules, request, Access::kOpen) == 403);
    request.authorization = "Bearer s3cret-token";
    CHECK(decide(rules, request, Access::kOpen) == 200);
  }
}

}  // namespace
}  // namespace headgate
