#include "config/listen_address.hpp"

#include <catch2/catch.hpp>

namespace headgate::config {
namespace {

TEST_CASE("listen addresses are judged, and whether others can reach them") {
  struct Case {
    std::string text;
    bool good;
    bool local;
  };
  const Case cases[] = {
      {"127.0.0.1:9020", true, true},
      {"127.1.2.3:0", true, true},
      {"localhost:65535", true, true},
      {"[::1]:9020", true, true},
      {"[::ffff:127.0.0.1]:9020", true, true},
      {"unix:/run/headgate/shop.sock", true, true},
      {"0.0.0.0:9020", true, false},
      {"[::]:9020", true, false},
      {"192.168.1.2:80", true, false},
      {"db1.example.com:9020", true, false},
      {"localhost.evil.example:9020", true, false},
      {"", false, false},
      {"9020", false, false},
      {":9020", false, false},
      {"127.0.0.1", false, false},
      {"127.0.0.1:", false, false},
      {"127.0.0.1:65536", false, false},
      {"127.0.0.1:http", false, false},
      {"127.0.0.1:-1", false, false},
      {"127.0.0:9020", false, false},
      {"256.0.0.1:9020", false, false},
      {"::1:9020", false, false},
      {"[::1]", false, false},
      {"[::1]9020", false, false},
      {"[127.0.0.1]:9020", false, false},
      {"[]:9020", false, false},
      {"ho st:9020", false, false},
      {"http://localhost:9020", false, false},
      {"unix:", false, false},
      {"unix:relative.sock", false, false},
      {"unix:/" + std::string(107, 'x'), false, false},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    const ListenAddress address = parse_listen_address(c.text);
    CHECK(address.problem.empty() == c.good);
    CHECK(address.local == c.local);
  }
}

}  // namespace
}  // namespace headgate::config
