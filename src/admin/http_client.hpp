// Asks the daemon; used by the commands that talk to a running one.

#pragma once

#include <string>

#include "base/clock.hpp"

namespace headgate {

struct HttpClientOptions {
  // The daemon's `http.listen`.
  std::string listen = "127.0.0.1:9020";
  // Sent when not empty.
  std::string token;
  // From the first attempt to connect to the last byte of the answer. Looking up a host name comes
  // on top.
  Duration timeout = std::chrono::seconds(5);
};

struct HttpReply {
  unsigned status = 0;
  std::string body;  // at most 16 MiB
};

// GET `path` over a connection of its own. Any status is a reply.
//
// Throws Error{kTransient} when no daemon answers there, or not in time; Error{kOperator} when the
// Unix socket may not be opened, or what answers does not speak HTTP; Error{kConfig} when `listen`
// is no address.
HttpReply http_get(const HttpClientOptions& options, const std::string& path);

// POST of a JSON `body`; the same otherwise.
HttpReply http_post(const HttpClientOptions& options, const std::string& path,
                    const std::string& body);

}  // namespace headgate
