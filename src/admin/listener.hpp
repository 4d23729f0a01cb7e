// The listening socket of the control channel, and the file of it when it is a Unix socket.

#pragma once

#include <sys/types.h>
#include <cstdint>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/io_context.hpp>

#include "admin/access_rules.hpp"
#include "admin/endpoints.hpp"
#include "admin/listen_address.hpp"

namespace headgate {

// Not thread-safe; `context` must outlive it.
class Listener {
 public:
  using Acceptor = boost::asio::basic_socket_acceptor<StreamProtocol>;

  // Binds and listens. A Unix socket's file that no process answers on is a dead process's: it is
  // replaced; one that is answered on is an error. Its mode is 0660 before anybody can connect.
  //
  // Throws Error{kOperator} that names address, reason and remedy when that fails.
  Listener(boost::asio::io_context& context, const ListenAddress& address);

  // Closes the socket and removes its file, unless another process has put its own there.
  ~Listener();

  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  Acceptor& acceptor() { return acceptor_; }

  // Who can reach it: decides what needs the token.
  Reach reach() const { return reach_; }

  // The port, also when the system chose it; 0 for a Unix socket.
  std::uint16_t port() const { return port_; }

 private:
  void listen_tcp();
  void listen_unix();

  ListenAddress address_;
  Acceptor acceptor_;
  Reach reach_ = Reach::kNetwork;
  std::uint16_t port_ = 0;
  // Which file is ours, so that the destructor removes no other; zero when there is none.
  dev_t file_device_ = 0;
  ino_t file_inode_ = 0;
};

}  // namespace headgate
