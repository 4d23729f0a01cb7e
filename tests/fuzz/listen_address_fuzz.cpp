// `http.listen`: what the configuration's check lets pass is what the server and the client take.

#include "admin/endpoints.hpp"
#include "admin/listen_address.hpp"
#include "base/error.hpp"
#include "config/listen_address.hpp"
#include "fuzz_target.hpp"

namespace headgate::fuzz {
namespace {

// Names would be looked up, and some spellings of an address are names to us.
bool is_plain_address(const ListenAddress& address) {
  return address.is_unix() || address.host.find(':') != std::string::npos ||
         address.host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace

HEADGATE_FUZZ_TARGET(listen_address) {
  if (input.find('\0') != input.npos) {
    return;  // a configuration's values hold none
  }
  const ExactCopy text(input);
  const config::ListenAddress judged = config::parse_listen_address(text.view());
  require(judged.problem.empty() || !judged.local, "what is no address is not called local");
  try {
    const ListenAddress address = parse_listen_address(text.view());
    const ListenAddress again = parse_listen_address(address.to_string());
    require(again.host == address.host && again.port == address.port && again.path == address.path,
            "an address reads back");
    if (judged.problem.empty() && is_plain_address(address)) {
      const StreamEndpoint endpoint = endpoints_of(address).at(0);
      require(judged.local == (address.is_unix() || is_loopback(endpoint)),
              "check and server agree about what is local");
      require(port_of(endpoint) == address.port, "the port stays");
    }
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::kConfig, "what is no address is a mistake in the file");
    require(!judged.problem.empty(), "what the check lets pass, the server takes");
  }
}

}  // namespace headgate::fuzz
