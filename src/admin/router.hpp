// Which handler answers which path.

#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "admin/access_rules.hpp"
#include "admin/http_message.hpp"

namespace headgate {

enum class HttpMethod { kGet, kPost };

struct Route {
  HttpMethod method = HttpMethod::kGet;
  std::string path;  // compared whole
  Access access = Access::kToken;
  HttpHandler handler;
};

// A feature adds its routes before the server starts; the server knows none of them by name.
//
// Not thread-safe while routes are added; constant and safe from any thread afterwards.
class Router {
 public:
  // REQUIRES: no route of the same method and path.
  void add(Route route);

  // Answers `request`, or says why not: 401 and 403 by `rules`, 404 for an unknown path, 405 for a
  // method that the path does not know, 500 for what a handler throws. HEAD is GET: the caller
  // leaves the body out.
  HttpResponse answer(const HttpRequest& request, const AccessRules& rules) const;

 private:
  std::vector<Route> routes_;
};

}  // namespace headgate
