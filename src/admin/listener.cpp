#include "admin/listener.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <chrono>
#include <filesystem>
#include <string>
#include <thread>

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/socket_base.hpp>
#include <fmt/format.h>

#include "base/error.hpp"

namespace headgate {
namespace {

namespace net = boost::asio;
using boost::system::error_code;

constexpr mode_t kSocketMode = 0660;

std::string remedy_for(const error_code& failure, const ListenAddress& address) {
  if (failure == net::error::address_in_use) {
    return "another process listens there, perhaps a second headgate: stop it, or set http.listen "
           "to a free port";
  }
  if (failure == boost::system::errc::address_not_available) {
    return "no interface of this machine has that address: correct http.listen";
  }
  if (failure == net::error::access_denied) {
    return address.is_unix() ? "make the folder writable for this user, or set http.listen to "
                               "another path"
                             : "ports below 1024 need a privilege: set http.listen to a higher one";
  }
  return "correct http.listen";
}

Error cannot_listen(const ListenAddress& address, const error_code& failure) {
  return Error{ErrorKind::kOperator,
               fmt::format("cannot listen on {}: {}", address.to_string(), failure.message()),
               remedy_for(failure, address)};
}

error_code last_failure() {
  return {errno, boost::system::system_category()};
}

// Held while a Unix socket is looked at, replaced and made to listen: otherwise two processes that
// start at once could both find a stale file, and the second would remove the first one's socket.
class FolderLock {
 public:
  explicit FolderLock(const ListenAddress& address) {
    const auto parent = std::filesystem::path(address.path).parent_path();
    const std::string folder = parent.empty() ? "." : parent.string();
    fd_ = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd_ < 0) {
      const auto failure = last_failure();
      throw Error{ErrorKind::kOperator,
                  fmt::format("cannot listen on {}: folder {}: {}", address.to_string(), folder,
                              failure.message()),
                  "create the folder and make it writable for this user, or correct http.listen"};
    }
    for (int attempt = 0; ::flock(fd_, LOCK_EX | LOCK_NB) != 0; ++attempt) {
      const auto failure = last_failure();
      if (failure != net::error::would_block || attempt == kAttemptsMax) {
        ::close(fd_);
        throw Error{ErrorKind::kOperator,
                    fmt::format("cannot listen on {}: cannot lock folder {}: {}",
                                address.to_string(), folder, failure.message()),
                    "another process holds a lock on it: use a folder of Headgate's own"};
      }
      std::this_thread::sleep_for(kPause);
    }
  }

  ~FolderLock() { ::close(fd_); }

  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;

 private:
  // Others hold it for microseconds; two seconds in all.
  static constexpr int kAttemptsMax = 100;
  static constexpr std::chrono::milliseconds kPause{20};

  int fd_ = -1;
};

void remove_stale_socket(net::io_context& context, const ListenAddress& address) {
  struct stat file = {};
  if (::lstat(address.path.c_str(), &file) != 0) {
    return;  // nothing there, or bind will say what is wrong
  }
  if (!S_ISSOCK(file.st_mode)) {
    throw Error{
        ErrorKind::kOperator,
        fmt::format("cannot listen on {}: the file exists and is no socket", address.to_string()),
        "remove it, or set http.listen to another path"};
  }
  net::local::stream_protocol::socket probe{context, net::local::stream_protocol{}};
  probe.non_blocking(true);  // a live process that accepts nothing must not hang us
  error_code failure;
  probe.connect(net::local::stream_protocol::endpoint{address.path}, failure);
  if (failure != net::error::connection_refused) {
    // Answered, busy, or not ours to open: in each case not ours to remove either.
    throw cannot_listen(address, failure == net::error::access_denied
                                     ? failure
                                     : error_code{net::error::address_in_use});
  }
  if (::unlink(address.path.c_str()) != 0 && errno != ENOENT) {
    throw cannot_listen(address, last_failure());
  }
}

}  // namespace

Listener::Listener(net::io_context& context, const ListenAddress& address)
    : address_(address), acceptor_(context) {
  if (address_.is_unix()) {
    const FolderLock lock{address_};
    remove_stale_socket(context, address_);
    listen_unix();
  } else {
    listen_tcp();
  }
}

Listener::~Listener() {
  struct stat file = {};
  if (file_inode_ != 0 && ::lstat(address_.path.c_str(), &file) == 0 &&
      file.st_dev == file_device_ && file.st_ino == file_inode_) {
    ::unlink(address_.path.c_str());
  }
}

void Listener::listen_tcp() {
  error_code failure;
  for (const auto& endpoint : endpoints_of(address_)) {
    acceptor_.close(failure);
    acceptor_.open(endpoint.protocol(), failure);
    if (!failure) {
      acceptor_.set_option(net::socket_base::reuse_address(true), failure);
    }
    if (!failure) {
      acceptor_.bind(endpoint, failure);
    }
    if (!failure) {
      acceptor_.listen(net::socket_base::max_listen_connections, failure);
    }
    if (!failure) {
      const auto bound = acceptor_.local_endpoint();
      port_ = port_of(bound);
      reach_ = is_loopback(bound) ? Reach::kLoopback : Reach::kNetwork;
      return;
    }
    // `localhost` may name an address of a family that is switched off. Any other failure is final:
    // two processes must not share one name by binding different addresses of it.
    if (failure != boost::system::errc::address_not_available &&
        failure != net::error::address_family_not_supported) {
      break;
    }
  }
  throw cannot_listen(address_, failure);
}

void Listener::listen_unix() {
  error_code failure;
  const StreamEndpoint endpoint = endpoints_of(address_).front();
  acceptor_.open(endpoint.protocol(), failure);
  if (!failure) {
    acceptor_.bind(endpoint, failure);
  }
  if (failure) {
    throw cannot_listen(address_, failure);
  }
  // From here on the file is ours to remove, whatever fails.
  struct stat file = {};
  const bool prepared = ::lstat(address_.path.c_str(), &file) == 0 &&
                        ::chmod(address_.path.c_str(), kSocketMode) == 0;
  if (!prepared) {
    failure = last_failure();
  } else {
    acceptor_.listen(net::socket_base::max_listen_connections, failure);
  }
  if (failure) {
    ::unlink(address_.path.c_str());
    throw cannot_listen(address_, failure);
  }
  file_device_ = file.st_dev;
  file_inode_ = file.st_ino;
  reach_ = Reach::kUnixSocket;
}

}  // namespace headgate
