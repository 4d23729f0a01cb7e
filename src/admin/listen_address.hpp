// The address of the control channel as `http.listen` writes it.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace headgate {

// A plain value: either a host and a port, or the path of a Unix socket.
struct ListenAddress {
  std::string host;        // a name or an address, without brackets; empty for a Unix socket
  std::uint16_t port = 0;  // 0: the system chooses one (tests)
  std::string path;        // of a Unix socket; empty otherwise

  bool is_unix() const { return !path.empty(); }

  // As `http.listen` writes it, so that it can be pasted back.
  std::string to_string() const;
};

// Reads host:port, [v6]:port or unix:/path.
//
// Throws Error{kConfig} when `text` is none of these.
ListenAddress parse_listen_address(std::string_view text);

}  // namespace headgate
