#include "admin/router.hpp"

#include <exception>
#include <utility>

#include <fmt/format.h>

#include "base/check.hpp"
#include "base/error.hpp"

namespace headgate {
namespace {

std::string_view methods_of(HttpMethod method) {
  switch (method) {
    case HttpMethod::kGet:
      return "GET, HEAD";
    case HttpMethod::kPost:
      return "POST";
  }
  return {};
}

bool takes(const Route& route, std::string_view method) {
  switch (route.method) {
    case HttpMethod::kGet:
      return method == "GET" || method == "HEAD";
    case HttpMethod::kPost:
      return method == "POST";
  }
  return false;
}

HttpResponse method_not_allowed(const HttpRequest& request, const std::string& allowed) {
  HttpResponse response =
      error_response(405, fmt::format("{} does not take {}", request.path, request.method),
                     fmt::format("it takes {}", allowed));
  response.headers.emplace_back("Allow", allowed);
  return response;
}

HttpResponse run(const Route& route, const HttpRequest& request) {
  try {
    return route.handler(request);
  } catch (const Error& error) {
    return error_response(500, error.what(), error.hint());
  } catch (const std::exception& error) {
    return error_response(500, error.what());
  }
}

}  // namespace

void Router::add(Route route) {
  for (const auto& other : routes_) {
    HEADGATE_CHECK(other.path != route.path || other.method != route.method,
                   "a route is declared once");
  }
  routes_.push_back(std::move(route));
}

HttpResponse Router::answer(const HttpRequest& request, const AccessRules& rules) const {
  const Route* found = nullptr;
  std::string allowed;
  for (const auto& route : routes_) {
    if (route.path == request.path) {
      allowed += allowed.empty() ? "" : ", ";
      allowed += methods_of(route.method);
      found = takes(route, request.method) ? &route : found;
    }
  }
  // That a path is unknown, or takes another method, is as open as health on this machine.
  const Access access = found == nullptr ? Access::kOpen : found->access;
  if (auto refused = rules.refusal(request, access)) {
    return std::move(*refused);
  }
  if (found != nullptr) {
    return run(*found, request);
  }
  return allowed.empty() ? error_response(404, fmt::format("there is no {}", request.path))
                         : method_not_allowed(request, allowed);
}

}  // namespace headgate
