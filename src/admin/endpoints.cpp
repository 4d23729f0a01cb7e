#include "admin/endpoints.hpp"

#include <sys/socket.h>
#include <algorithm>
#include <cstring>
#include <optional>
#include <string>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate {
namespace {

namespace net = boost::asio;

// Nothing for a Unix socket.
std::optional<net::ip::tcp::endpoint> as_tcp(const StreamEndpoint& endpoint) {
  const int family = endpoint.protocol().family();
  if (family != AF_INET && family != AF_INET6) {
    return std::nullopt;
  }
  net::ip::tcp::endpoint tcp;
  tcp.resize(endpoint.size());
  std::memcpy(tcp.data(), endpoint.data(), endpoint.size());
  return tcp;
}

}  // namespace

std::vector<StreamEndpoint> endpoints_of(const ListenAddress& address) {
  if (address.is_unix()) {
    return {StreamEndpoint{net::local::stream_protocol::endpoint{address.path}}};
  }
  net::io_context context;
  net::ip::tcp::resolver resolver{context};
  boost::system::error_code failure;
  const auto found = resolver.resolve(address.host, std::to_string(address.port),
                                      net::ip::tcp::resolver::numeric_service, failure);
  if (failure || found.empty()) {
    throw Error{ErrorKind::kOperator,
                fmt::format("http.listen: cannot find the address of \"{}\": {}", address.host,
                            failure ? failure.message() : "it has none"),
                "correct the name, or write its IP address"};
  }
  std::vector<net::ip::tcp::endpoint> tcp;
  for (const auto& entry : found) {
    tcp.push_back(entry.endpoint());
  }
  std::stable_partition(tcp.begin(), tcp.end(),
                        [](const auto& endpoint) { return endpoint.address().is_v4(); });
  return std::vector<StreamEndpoint>(tcp.begin(), tcp.end());
}

bool is_loopback(const StreamEndpoint& endpoint) {
  const auto tcp = as_tcp(endpoint);
  if (!tcp) {
    return false;
  }
  const auto address = tcp->address();
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return net::ip::make_address_v4(net::ip::v4_mapped, address.to_v6()).is_loopback();
  }
  return address.is_loopback();
}

std::uint16_t port_of(const StreamEndpoint& endpoint) {
  const auto tcp = as_tcp(endpoint);
  return tcp ? tcp->port() : std::uint16_t{0};
}

}  // namespace headgate
