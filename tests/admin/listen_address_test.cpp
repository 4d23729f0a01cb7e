#include "admin/listen_address.hpp"

#include <catch2/catch.hpp>

#include "admin/endpoints.hpp"
#include "base/error.hpp"

namespace headgate {
namespace {

TEST_CASE("a listen address is read in its three notations and printed back") {
  struct Case {
    std::string text;
    std::string host;
    std::uint16_t port;
    std::string path;
  };
  const auto& [text, host, port, path] = GENERATE(values<Case>({
      {"127.0.0.1:9020", "127.0.0.1", 9020, ""},
      {"localhost:0", "localhost", 0, ""},
      {"0.0.0.0:65535", "0.0.0.0", 65535, ""},
      {"[::1]:9020", "::1", 9020, ""},
      {"[fe80::1%eth0]:80", "fe80::1%eth0", 80, ""},
      {"unix:/run/headgate/shop.sock", "", 0, "/run/headgate/shop.sock"},
  }));

  const auto address = parse_listen_address(text);

  CHECK(address.host == host);
  CHECK(address.port == port);
  CHECK(address.path == path);
  CHECK(address.is_unix() == !path.empty());
  CHECK(address.to_string() == text);
}

TEST_CASE("what is no listen address is refused with an example") {
  const std::string text =
      GENERATE("", "9020", ":9020", "localhost", "localhost:", "localhost:x", "localhost:65536",
               "localhost:-1", "localhost:90 20", "::1:9020", "[::1]", "[::1]9020", "[]:1",
               "[localhost]:1", "unix:", "http://localhost:1", "local host:1");
  CAPTURE(text);
  try {
    parse_listen_address(text);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kConfig);
    CHECK_THAT(error.what(), Catch::StartsWith("http.listen: "));
    CHECK_FALSE(error.hint().empty());
  }
}

// The kernel has 108 bytes for it; a longer one would be cut.
TEST_CASE("the path of a Unix socket has a limit") {
  CHECK(parse_listen_address("unix:/" + std::string(106, 'x')).is_unix());
  CHECK_THROWS_AS(parse_listen_address("unix:/" + std::string(107, 'x')), Error);
}

TEST_CASE("loopback is told from the network") {
  const auto first = [](const char* text) {
    return endpoints_of(parse_listen_address(text)).front();
  };
  CHECK(is_loopback(first("127.0.0.1:1")));
  CHECK(is_loopback(first("127.8.9.1:1")));
  CHECK(is_loopback(first("[::1]:1")));
  CHECK(is_loopback(first("[::ffff:127.0.0.1]:1")));
  CHECK_FALSE(is_loopback(first("0.0.0.0:1")));
  CHECK_FALSE(is_loopback(first("[::]:1")));
  CHECK_FALSE(is_loopback(first("192.0.2.1:1")));
  CHECK_FALSE(is_loopback(first("[::ffff:192.0.2.1]:1")));
  CHECK(port_of(first("127.0.0.1:4711")) == 4711);
  CHECK(port_of(first("[::1]:4711")) == 4711);
  CHECK(port_of(first("unix:/x")) == 0);
}

}  // namespace
}  // namespace headgate
