#include "admin/snapshot_routes.hpp"

#include <optional>
#include <string>
#include <utility>

#include <boost/json.hpp>
#include <fmt/format.h>

#include "admin/json_text.hpp"

namespace headgate {
namespace {

namespace json = boost::json;

HttpResponse outcome(const std::string& obstacle) {
  if (!obstacle.empty()) {
    return error_response(409, obstacle, "see the state that `headgate status` shows");
  }
  HttpResponse response;
  response.status = 202;
  response.body = json_text({{"accepted", true}});
  return response;
}

std::optional<TableName> parse_name(const json::value& value) {
  const json::string* text = value.if_string();
  if (text == nullptr) {
    return std::nullopt;
  }
  const std::string name(*text);
  const auto dot = name.find('.');
  if (dot == std::string::npos || dot == 0 || dot + 1 == name.size()) {
    return std::nullopt;
  }
  return TableName{name.substr(0, dot), name.substr(dot + 1)};
}

HttpResponse start(const HttpRequest& request, CopyControl& control,
                   const std::function<bool(const TableName&)>& captures) {
  CopyRequest wish;
  if (!request.body.empty()) {
    json::error_code failure;
    const json::value body = json::parse(request.body, failure);
    if (failure || !body.is_object()) {
      return error_response(400, "the body is not a JSON object",
                            R"({"tables": ["schema.table"]})");
    }
    const json::value* tables = body.get_object().if_contains("tables");
    if (tables != nullptr && !tables->is_array()) {
      return error_response(400, "\"tables\" is not a list", R"({"tables": ["schema.table"]})");
    }
    for (const json::value& entry : tables == nullptr ? json::array{} : tables->get_array()) {
      const auto name = parse_name(entry);
      if (!name || !captures(*name)) {
        return error_response(
            400, fmt::format("{} is no table of this pipeline", json::serialize(entry)),
            "write schema.table, as the source has it; `tables` of the configuration must match "
            "it");
      }
      wish.tables.push_back(*name);
    }
  }
  return outcome(control.start(std::move(wish)));
}

}  // namespace

void add_snapshot_routes(Router& router, CopyControl& control,
                         std::function<bool(const TableName&)> captures) {
  const auto add = [&](const std::string& action, HttpHandler handler) {
    router.add(
        {HttpMethod::kPost, "/api/v1/snapshot/" + action, Access::kToken, std::move(handler)});
  };
  add("start", [&control, captures = std::move(captures)](const HttpRequest& request) {
    return start(request, control, captures);
  });
  add("pause", [&control](const HttpRequest&) { return outcome(control.pause()); });
  add("resume", [&control](const HttpRequest&) { return outcome(control.resume()); });
  add("cancel", [&control](const HttpRequest&) { return outcome(control.cancel()); });
}

}  // namespace headgate
