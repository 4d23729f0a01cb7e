#include <algorithm>

#include <fmt/format.h>

#include "config/listen_address.hpp"
#include "config/not_available.hpp"
#include "config/secret_file.hpp"
#include "config/sections.hpp"

namespace headgate::config {
namespace {

std::string read_token(const Section& http) {
  std::string token = read_secret_file(http, "token_file").value_or("");
  // It travels in an HTTP header.
  const bool sendable =
      std::all_of(token.begin(), token.end(), [](char c) { return c > 0x20 && c < 0x7F; });
  if (!sendable) {
    http.fail("token_file", "the token has blanks, line ends or other than ASCII characters");
  }
  return token;
}

}  // namespace

void read_http(const Section& root, Config& config) {
  const Section http = root.section("http");
  only_null(http, "tls_cert", "HTTPS");
  only_null(http, "tls_key", "HTTPS");
  config.http.token = read_token(http);

  const auto listen = http.text("listen");
  if (root.is_null("http") || http.is_null("listen")) {
    config.http.listen.clear();
  }
  if (!listen) {
    return;
  }
  const ListenAddress address = parse_listen_address(listen->value);
  if (!address.problem.empty()) {
    http.fail("listen", fmt::format("{} {}", listen->shown, address.problem));
  } else if (!address.local && !http.has("token_file")) {
    http.fail(
        "listen",
        fmt::format("{} can be reached from elsewhere, and there is no token_file", listen->shown),
        "name a file with a token in http.token_file, or listen on 127.0.0.1");
  }
  config.http.listen = listen->value;
}

}  // namespace headgate::config
