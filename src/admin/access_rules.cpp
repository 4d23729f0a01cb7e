#include "admin/access_rules.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <openssl/crypto.h>

namespace headgate {
namespace {

constexpr std::string_view kScheme = "bearer ";

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return lower;
}

// In a time that does not depend on where they differ. Their lengths may show: they are no secret.
bool equal_secrets(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

// A Host header without its port and brackets; empty when it is malformed.
std::string host_name(std::string_view host) {
  std::string_view name;
  std::string_view rest;
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    if (end == std::string_view::npos) {
      return {};
    }
    name = host.substr(1, end - 1);
    rest = host.substr(end + 1);
  } else {
    const auto colon = host.find(':');
    name = host.substr(0, colon);
    rest = colon == std::string_view::npos ? std::string_view{} : host.substr(colon);
  }
  const bool port = rest.size() > 1 && rest.front() == ':' &&
                    rest.find_first_not_of("0123456789", 1) == std::string_view::npos;
  return rest.empty() || port ? lower_case(name) : std::string{};
}

HttpResponse unauthorized(std::string_view error) {
  HttpResponse response =
      error_response(401, error, "send `Authorization: Bearer TOKEN`, TOKEN from http.token_file");
  response.headers.emplace_back("WWW-Authenticate", R"(Bearer realm="headgate")");
  return response;
}

}  // namespace

AccessRules::AccessRules(Reach reach, std::string host, std::string token)
    : reach_(reach), host_(lower_case(host)), token_(std::move(token)) {}

std::optional<HttpResponse> AccessRules::refusal(const HttpRequest& request, Access access) const {
  if (has_token(request)) {
    return std::nullopt;
  }
  // A web page can point a name of its own at 127.0.0.1 and then read what answers there as if it
  // were its own server (DNS rebinding); it cannot change the Host header, which holds that name.
  if (reach_ == Reach::kLoopback && !names_this_machine(request)) {
    return error_response(403, "the Host header does not name this machine",
                          "use http://localhost or http://127.0.0.1, or send the token");
  }
  if (access == Access::kOpen && reach_ != Reach::kNetwork) {
    return std::nullopt;
  }
  if (token_.empty()) {
    return error_response(403, "this needs a token, and none is configured",
                          "set http.token_file and restart");
  }
  return unauthorized(request.authorization.empty() ? "this needs the token" : "wrong token");
}

bool AccessRules::has_token(const HttpRequest& request) const {
  const std::string_view given = request.authorization;
  return !token_.empty() && given.size() > kScheme.size() &&
         lower_case(given.substr(0, kScheme.size())) == kScheme &&
         equal_secrets(given.substr(kScheme.size()), token_);
}

bool AccessRules::names_this_machine(const HttpRequest& request) const {
  const std::string name = host_name(request.host);
  if (name == "localhost" || (!name.empty() && name == host_)) {
    return true;
  }
  // A literal address needs no name service, so nobody can point it elsewhere.
  boost::system::error_code failure;
  const auto address = boost::asio::ip::make_address(name, failure);
  return !failure && address.is_loopback();
}

}  // namespace headgate
