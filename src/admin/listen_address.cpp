#include "admin/listen_address.hpp"

#include <sys/un.h>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
// The kernel's limit, without the closing zero.
constexpr std::size_t kUnixPathMax = sizeof(sockaddr_un::sun_path) - 1;

Error not_an_address(std::string_view text) {
  return Error{ErrorKind::kConfig, fmt::format("http.listen: \"{}\" is not an address", text),
               "write host:port, [v6 address]:port or unix:/path, such as 127.0.0.1:9020"};
}

std::optional<std::uint16_t> parse_port(std::string_view digits) {
  std::uint16_t port = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, failure] = std::from_chars(digits.data(), end, port);
  if (digits.empty() || failure != std::errc{} || stop != end) {
    return std::nullopt;
  }
  return port;
}

ListenAddress parse_unix(std::string_view path) {
  if (path.empty()) {
    throw Error{ErrorKind::kConfig, "http.listen: unix: without a path",
                "write unix:/run/headgate/shop.sock"};
  }
  if (path.size() > kUnixPathMax) {
    throw Error{ErrorKind::kConfig,
                fmt::format("http.listen: the path of a Unix socket has at most {} bytes, not {}",
                            kUnixPathMax, path.size()),
                "choose a shorter path, such as unix:/run/headgate/shop.sock"};
  }
  ListenAddress address;
  address.path = path;
  return address;
}

}  // namespace

ListenAddress parse_listen_address(std::string_view text) {
  if (text.starts_with(kUnixPrefix)) {
    return parse_unix(text.substr(kUnixPrefix.size()));
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) {
    throw not_an_address(text);
  }
  std::string_view host = text.substr(0, colon);
  const auto port = parse_port(text.substr(colon + 1));
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) {
    host = host.substr(1, host.size() - 2);
  }
  // A v6 address needs its brackets: in ::1:9020 nobody can tell where the port begins.
  if (!port || host.empty() || bracketed != (host.find(':') != std::string_view::npos) ||
      host.find_first_of("[]/ ") != std::string_view::npos) {
    throw not_an_address(text);
  }
  ListenAddress address;
  address.host = host;
  address.port = *port;
  return address;
}

std::string ListenAddress::to_string() const {
  if (is_unix()) {
    return std::string(kUnixPrefix) + path;
  }
  const bool v6 = host.find(':') != std::string::npos;
  return v6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

}  // namespace headgate
