// What a peer may send to the HTTP server: through its session, router and access rules.
//
// The first byte chooses from where the server can be reached and whether there is a token; what
// the peer sends is the rest.

#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <cctype>
#include <chrono>

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include "admin/http_session.hpp"
#include "admin/router.hpp"
#include "fuzz_target.hpp"

namespace headgate::fuzz {
namespace {

constexpr std::string_view kRowValues = "values of rows";

// A peer that has sent everything and then listens.
class Peer {
 public:
  Peer() {
    std::array<int, 2> ends{};
    require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0,
            "there is a pair of sockets");
    peer_ = ends[0];
    server_ = ends[1];
  }
  ~Peer() { ::close(peer_); }
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  // The server's end, which the caller closes.
  int server() const { return server_; }

  void send(std::string_view& bytes) {
    const ssize_t sent = ::send(peer_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    bytes.remove_prefix(sent > 0 ? static_cast<std::size_t>(sent) : 0);
    if (bytes.empty()) {
      ::shutdown(peer_, SHUT_WR);
    }
  }

  void read(std::string& answer) {
    std::array<char, 16384> buffer{};
    for (ssize_t size = 1; size > 0;) {
      size = ::recv(peer_, buffer.data(), buffer.size(), 0);
      answer.append(buffer.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
    }
  }

 private:
  int peer_ = -1;
  int server_ = -1;
};

// Everything that the server answers to `bytes`.
std::string answer_to(std::string_view bytes, const HttpHandler& handler) {
  const HttpLimits limits;
  std::size_t open = 0;
  std::string answer;
  Peer peer;
  boost::asio::io_context context;
  HttpSession::Socket socket(context, boost::asio::generic::stream_protocol(AF_UNIX, SOCK_STREAM),
                             peer.server());
  std::make_shared<HttpSession>(std::move(socket), handler, limits, open)->serve();
  while (!context.stopped()) {
    peer.send(bytes);
    if (context.poll() == 0) {
      context.run_one_for(std::chrono::milliseconds(1));
    }
    peer.read(answer);
  }
  peer.read(answer);
  require(open == 0, "a session ends with its connection");
  return answer;
}

bool has(std::string_view text, std::string_view part) {
  return text.find(part) != text.npos;
}

// Whether nobody can let a name service say so: an address, or the names that are known here.
bool may_be_this_machine(std::string host) {
  host.resize(std::min(host.rfind(':'), host.size()));
  std::transform(host.begin(), host.end(), host.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return host == "localhost" || host == "gate.example" || host.starts_with("[") ||
         host.find_first_not_of("0123456789.") == std::string::npos;
}

}  // namespace

HEADGATE_FUZZ_TARGET(http_session) {
  InputReader fields(input);
  const unsigned choice = fields.byte();
  const auto reach = static_cast<Reach>(choice % 3);
  const std::string token = (choice & 4U) != 0 ? "hunter2" : "";
  const std::string_view request = fields.rest().substr(0, std::size_t{256} * 1024);

  Router router;
  const auto answer_values = [](const HttpRequest&) {
    HttpResponse response;
    response.body = kRowValues;
    return response;
  };
  router.add({HttpMethod::kGet, "/health", Access::kOpen,
              [](const HttpRequest&) { return HttpResponse{}; }});
  router.add({HttpMethod::kGet, "/values", Access::kToken, answer_values});
  router.add({HttpMethod::kPost, "/values", Access::kToken, answer_values});
  const AccessRules rules(reach, "gate.example", token);

  std::size_t handled = 0;
  const std::string answer = answer_to(request, [&](const HttpRequest& seen) {
    ++handled;
    require(seen.path.starts_with('/') && !has(seen.path, "?"), "a path is one, without its query");
    for (const auto& field : {seen.host, seen.authorization, seen.path, seen.query}) {
      require(field.find_first_of(std::string_view("\r\n\0", 3)) == field.npos,
              "no field of a request reaches into the next");
    }
    const HttpResponse response = router.answer(seen, rules);
    const bool with_token = !token.empty() && has(seen.authorization, token);
    require(with_token || !has(response.body, kRowValues), "values need the token");
    require(with_token || reach != Reach::kNetwork || response.status >= 400,
            "on the network everything needs the token");
    require(with_token || reach != Reach::kLoopback || response.status != 200 ||
                may_be_this_machine(seen.host),
            "a page with a name of its own gets nothing");
    require(has(request, kSecret) || !has(response.body, kSecret), "no answer holds the token");
    return response;
  });
  require(answer.empty() || answer.starts_with("HTTP/1."), "an answer is HTTP");
  require(handled == 0 || !answer.empty(), "a request that was handled is answered");
  require(has(request, kSecret) || !has(answer, kRowValues),
          "values never go out without the token");
}

}  // namespace headgate::fuzz
