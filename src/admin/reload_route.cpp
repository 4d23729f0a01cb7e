#include "admin/reload_route.hpp"

#include <utility>

#include "admin/json_text.hpp"
#include "base/error.hpp"

namespace headgate {

void add_reload_route(Router& router, std::function<void()> reload) {
  router.add({HttpMethod::kPost, "/api/v1/reload", Access::kToken,
              [reload = std::move(reload)](const HttpRequest&) {
                try {
                  reload();
                } catch (const Error& error) {
                  return error_response(400, error.what(), error.hint());
                }
                HttpResponse response;
                response.status = 202;
                response.body = json_text({{"accepted", true}});
                return response;
              }});
}

}  // namespace headgate
