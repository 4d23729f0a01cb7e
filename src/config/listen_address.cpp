#include "config/listen_address.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <algorithm>
#include <cstddef>

#include "config/units.hpp"

namespace headgate::config {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

ListenAddress judge_unix(std::string_view path) {
  if (!path.starts_with('/')) {
    return {false, "is not unix: and an absolute path"};
  }
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return {false, "is longer than a Unix socket's path may be (107 bytes)"};
  }
  return {true, {}};
}

ListenAddress judge_v6(const std::string& host) {
  in6_addr address{};
  if (::inet_pton(AF_INET6, host.c_str(), &address) != 1) {
    return {false, "has no IPv6 address between its brackets"};
  }
  const bool mapped_loopback = IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr[12] == 127;
  return {IN6_IS_ADDR_LOOPBACK(&address) || mapped_loopback, {}};
}

ListenAddress judge_host(const std::string& host) {
  if (host.empty()) {
    return {false, "has no host (127.0.0.1 for this machine only, 0.0.0.0 for all)"};
  }
  if (host.find(':') != std::string::npos) {
    return {false, "needs brackets around an IPv6 address: [::1]:9020"};
  }
  in_addr address{};
  if (::inet_pton(AF_INET, host.c_str(), &address) == 1) {
    return {(ntohl(address.s_addr) >> 24U) == 127, {}};
  }
  const bool numeric = host.find_first_not_of("0123456789.") == std::string::npos;
  if (numeric || !std::all_of(host.begin(), host.end(), is_name_character)) {
    return {false, "has neither an address nor a host name before its port"};
  }
  return {host == "localhost", {}};
}

}  // namespace

ListenAddress parse_listen_address(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) {
    return judge_unix(text.substr(kUnixPrefix.size()));
  }
  const std::size_t colon = text.rfind(':');
  const std::size_t bracket = text.rfind(']');
  if (colon == text.npos || (bracket != text.npos && colon < bracket)) {
    return {false, "has no port (host:port, [v6]:port or unix:/path)"};
  }
  const auto port = parse_number(text.substr(colon + 1));
  if (!port || *port > 65535) {
    return {false, "has no port from 0 to 65535 after its last colon"};
  }
  const std::string_view host = text.substr(0, colon);
  if (host.starts_with('[') && host.ends_with(']')) {
    return judge_v6(std::string(host.substr(1, host.size() - 2)));
  }
  return judge_host(std::string(host));
}

}  // namespace headgate::config
