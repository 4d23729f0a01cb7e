// A request and its answer as routes see them: plain values, no socket and no HTTP library.

#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace headgate {

struct HttpRequest {
  std::string method;         // GET, HEAD, POST, … as sent
  std::string path;           // of the target, before its `?`; not decoded
  std::string query;          // after the `?`; not decoded
  std::string host;           // the Host header; empty when there is none or more than one
  std::string authorization;  // the Authorization header; never logged
  std::string body;
};

struct HttpResponse {
  unsigned status = 200;
  std::string body;
  std::string content_type = "application/json";
  // Further headers; they replace the server's own of the same name (a dashboard needs its own
  // Content-Security-Policy).
  std::vector<std::pair<std::string, std::string>> headers;
};

// Answers one request. Called on the server's thread, one at a time: it must be quick.
using HttpHandler = std::function<HttpResponse(const HttpRequest&)>;

// {"error": …, "hint": …}; the hint says what a person can do, and is left out when empty.
HttpResponse error_response(unsigned status, std::string_view error, std::string_view hint = {});

}  // namespace headgate
