#include "admin/http_message.hpp"

#include <boost/json/object.hpp>

#include "admin/json_text.hpp"

namespace headgate {

HttpResponse error_response(unsigned status, std::string_view error, std::string_view hint) {
  boost::json::object body{{"error", error}};
  if (!hint.empty()) {
    body["hint"] = hint;
  }
  HttpResponse response;
  response.status = status;
  response.body = json_text(body);
  return response;
}

}  // namespace headgate
