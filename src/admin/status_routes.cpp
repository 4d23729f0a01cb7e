#include "admin/status_routes.hpp"

#include <utility>

#include "admin/json_text.hpp"
#include "admin/status_json.hpp"

namespace headgate {
namespace {

HttpResponse json_response(unsigned status, const boost::json::value& body) {
  HttpResponse response;
  response.status = status;
  response.body = json_text(body);
  return response;
}

// Asks nobody: a pipeline that is stuck must not get its process killed by a liveness probe.
HttpResponse health(const HttpRequest&) {
  return json_response(200, {{"status", "ok"}});
}

HttpResponse ready(const StatusReport& report) {
  if (report.ready) {
    return json_response(200, {{"ready", true}});
  }
  return json_response(503, {{"ready", false}, {"state", report.state}, {"reason", report.reason}});
}

}  // namespace

void add_status_routes(Router& router, StatusProvider provider) {
  router.add({HttpMethod::kGet, "/health", Access::kOpen, health});
  router.add({HttpMethod::kGet, "/ready", Access::kOpen,
              [provider](const HttpRequest&) { return ready(provider()); }});
  router.add({HttpMethod::kGet, "/api/v1/tables", Access::kOpen, [provider](const HttpRequest&) {
                return json_response(200, tables_json(provider()));
              }});
  router.add({HttpMethod::kGet, "/api/v1/status", Access::kOpen,
              [provider = std::move(provider)](const HttpRequest&) {
                return json_response(200, status_json(provider()));
              }});
}

}  // namespace headgate
