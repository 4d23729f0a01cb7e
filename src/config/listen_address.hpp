// The address that the HTTP interface listens on.

#pragma once

#include <string>
#include <string_view>

namespace headgate::config {

struct ListenAddress {
  // Only this machine can reach it: a Unix socket, or an address of the loopback interface.
  bool local = false;
  // What is wrong, as the end of a sentence that begins with the address; empty for a good one.
  std::string problem;
};

// Judges host:port, [v6]:port and unix:/path. Port 0 lets the system choose. Names are not looked
// up: `localhost` is local, any other may be anything.
ListenAddress parse_listen_address(std::string_view text);

}  // namespace headgate::config
