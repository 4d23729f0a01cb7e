// Whatever answers where `headgate status` asks.

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <array>
#include <cctype>
#include <filesystem>
#include <mutex>
#include <sstream>
#include <thread>

#include "base/error.hpp"
#include "cmd/headgate/status.hpp"
#include "fuzz_target.hpp"

namespace headgate::fuzz {
namespace {

// Takes one connection after the other on a Unix socket, sends each the same bytes and hangs up.
class Answerer {
 public:
  Answerer() {
    std::string folder = (std::filesystem::temp_directory_path() / "headgate-fuzz-XXXXXX").string();
    require(::mkdtemp(folder.data()) != nullptr, "there is a temporary folder");
    folder_ = folder;
    const std::string path = (folder_ / "socket").string();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    require(path.size() < sizeof address.sun_path, "the temporary folder's path is short");
    std::copy(path.begin(), path.end(), address.sun_path);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
                ::listen(listener_, 1) == 0,
            "there is a socket to listen on");
    thread_ = std::thread([this] { serve(); });
  }

  ~Answerer() {
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  Answerer(const Answerer&) = delete;
  Answerer& operator=(const Answerer&) = delete;

  std::string address() const { return "unix:" + (folder_ / "socket").string(); }

  void answer_with(std::string_view bytes) {
    const std::lock_guard lock(mutex_);
    answer_ = bytes;
  }

 private:
  void serve() {
    for (int peer = ::accept(listener_, nullptr, nullptr); peer >= 0;
         peer = ::accept(listener_, nullptr, nullptr)) {
      talk(peer);
      ::close(peer);
    }
  }

  void talk(int peer) {
    std::string bytes;
    {
      const std::lock_guard lock(mutex_);
      bytes = answer_;
    }
    // Its request is taken before we hang up: unread input would reset the connection.
    std::array<char, 4096> request{};
    std::string seen;
    while (seen.find("\r\n\r\n") == seen.npos) {
      const ssize_t size = ::recv(peer, request.data(), request.size(), 0);
      if (size <= 0) return;
      seen.append(request.data(), static_cast<std::size_t>(size));
    }
    for (std::string_view rest = bytes; !rest.empty();) {
      const ssize_t sent = ::send(peer, rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      rest.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  std::filesystem::path folder_;
  int listener_ = -1;
  std::mutex mutex_;
  std::string answer_;  // guarded by mutex_
  std::thread thread_;  // last: it uses the others
};

}  // namespace

HEADGATE_FUZZ_TARGET(http_client) {
  static Answerer answerer;
  answerer.answer_with(input);
  HttpConfig http;
  http.listen = answerer.address();
  http.token = kSecret;
  std::ostringstream out;
  std::ostringstream err;
  const int code = status_command(http, false, out, err);
  require(code == kExitOk || code == kExitUnavailable || code == kExitOperator,
          "an answer is a report, or a reason why there is none");
  require((code == kExitOk) == err.str().empty(), "trouble is told, and nothing else");
  for (const char c : out.str() + err.str()) {
    require(c == '\n' || std::iscntrl(static_cast<unsigned char>(c)) == 0,
            "nothing in an answer moves the cursor");
  }
  require(input.find(kSecret) != input.npos ||
              (out.str() + err.str()).find(kSecret) == std::string::npos,
          "the token is not shown");
}

}  // namespace headgate::fuzz
