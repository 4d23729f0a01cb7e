#include "reload.hpp"

#include <boost/json/object.hpp>

#include "base/error.hpp"
#include "daemon_answer.hpp"

namespace headgate {

int reload_command(const HttpConfig& http, std::ostream& out, std::ostream& err) {
  return with_daemon(http, err, [&]() -> int {
    const HttpReply reply = http_post(client_options(http), "/api/v1/reload", "{}");
    if (reply.status == 400) {
      const auto answer = parse_object(reply.body).value_or(boost::json::object{});
      complain(err, text_of(answer, "error"), text_of(answer, "hint"));
      return kExitConfig;
    }
    if (reply.status != 202) {
      return refused(http, reply, err);
    }
    out << "reload: the daemon goes on with the file as it is now\n";
    return kExitOk;
  });
}

}  // namespace headgate
