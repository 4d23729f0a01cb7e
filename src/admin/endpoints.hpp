// A ListenAddress as socket addresses. TCP and Unix sockets share one type from here on, so that
// server and client have one code path each.

#pragma once

#include <cstdint>
#include <vector>

#include <boost/asio/generic/stream_protocol.hpp>

#include "admin/listen_address.hpp"

namespace headgate {

using StreamProtocol = boost::asio::generic::stream_protocol;
using StreamEndpoint = StreamProtocol::endpoint;

// All socket addresses of `address`, IPv4 first: a server on `localhost` is looked for at
// 127.0.0.1. Asks the resolver when the host is a name, which may take as long as the system allows
// it to.
//
// Throws Error{kOperator} when the name is unknown.
std::vector<StreamEndpoint> endpoints_of(const ListenAddress& address);

// True for 127.0.0.0/8, ::1 and the former written as IPv6.
bool is_loopback(const StreamEndpoint& endpoint);

// 0 for a Unix socket.
std::uint16_t port_of(const StreamEndpoint& endpoint);

}  // namespace headgate
