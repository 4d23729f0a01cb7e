#include "support/tcp_gate_link.hpp"

#include <linux/filter.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <span>
#include <system_error>
#include <thread>
#include <utility>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/socket_base.hpp>
#include <boost/asio/write.hpp>

namespace headgate::test {

namespace net = boost::asio;
using boost::system::error_code;

namespace {

constexpr std::size_t kChunkBytes = std::size_t{256} * 1024;

// Bytes under way in one pipe. Enough that a delay of some milliseconds does not throttle a fast
// sender; little enough that a slow receiver is soon felt by the sender.
constexpr std::size_t kQueuedBytesMax = std::size_t{4} * 1024 * 1024;

// A rate is kept in steps of this; shorter ones would only cost time.
constexpr std::uint64_t kPacesPerSecond = 100;

// What we have sent and is not acknowledged when we go deaf would be sent again and again, and the
// peer would take that for a sign of life. Longer than any peer delays its acknowledgement.
constexpr Duration kAcknowledgedWithin = std::chrono::milliseconds(100);

TimePoint now() {
  return SystemClock().now();
}

void set_option(int socket, int level, int name, int value) {
  ::setsockopt(socket, level, name, &value, sizeof value);  // an ended one says so at the next read
}

// Small parts are sent at once. And a peer that gave up while nothing reached it is found within
// some seconds, as it would be on a network without a gate; one that still is out of reach gets two
// minutes.
void set_up(int socket) {
  set_option(socket, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPIDLE, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPINTVL, 1);
  set_option(socket, IPPROTO_TCP, TCP_KEEPCNT, 120);
  set_option(socket, SOL_SOCKET, SO_KEEPALIVE, 1);
}

void wait_acknowledged(int socket) {
  const TimePoint deadline = now() + kAcknowledgedWithin;
  int left = 0;
  while (::ioctl(socket, SIOCOUTQ, &left) == 0 && left > 0 && now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

}  // namespace

void set_deaf(int socket, bool deaf) {
  // A socket filter that takes none: "return 0". What it drops was never received as far as TCP
  // knows, so nothing is acknowledged, and it needs no privilege.
  sock_filter take_nothing{BPF_RET | BPF_K, 0, 0, 0};
  const sock_fprog program{1, &take_nothing};
  const int unused = 0;
  const int result =
      deaf ? ::setsockopt(socket, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program)
           : ::setsockopt(socket, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof unused);
  if (result != 0) {
    throw std::system_error(errno, std::generic_category(), "socket filter");
  }
}

GatePipe::GatePipe(GateLink& link, Way way, GateRules& rules, std::uint64_t& bytes_of_all,
                   Socket& from, Socket& to)
    : link_(link),
      way_(way),
      rules_(rules),
      bytes_of_all_(bytes_of_all),
      from_(from),
      to_(to),
      watch_(way),
      timer_(from.get_executor()) {}

void GatePipe::go_on() {
  read();
  write();
}

void GatePipe::read() {
  if (reading_ || ended_ || link_.closed_ || rules_.stands(way_) || queued_ >= kQueuedBytesMax) {
    return;
  }
  reading_ = true;
  if (buffer_.empty()) {
    buffer_ = std::move(spare_);
    buffer_.resize(kChunkBytes);
    spare_.clear();
  }
  from_.async_read_some(net::buffer(buffer_), [this, keep = link_.shared_from_this()](
                                                  const error_code& failure, std::size_t size) {
    reading_ = false;
    if (!link_.closed_) {
      took(failure, size);
      go_on();
    }
  });
}

void GatePipe::took(const error_code& failure, std::size_t size) {
  if (failure) {
    ended_ = true;
    by_reset_ = failure != net::error::eof;
    return;
  }
  for (std::size_t at = 0; at < size;) {
    const std::span<const char> rest(buffer_.data() + at, size - at);
    const Verdict verdict = watch_.look(rest, rules_);
    if (at == 0 && verdict.pass == size) {
      enqueue(std::move(buffer_), size, verdict.strike);
      buffer_.clear();
      return;
    }
    const auto part = rest.first(verdict.pass);
    enqueue({part.begin(), part.end()}, part.size(), verdict.strike);
    at += part.size();
    if (ended_) {
      return;  // the rest has nowhere to go
    }
  }
}

void GatePipe::enqueue(std::vector<char> data, std::size_t size, std::optional<Strike> strike) {
  queued_ += size;
  queue_.push_back({std::move(data), 0, size, now() + rules_.of(way_).delay, strike});
  ended_ = strike == Strike::kReset || strike == Strike::kClose;
}

void GatePipe::write() {
  // Strikes behind what has been written.
  while (!writing_ && !link_.closed_ && !queue_.empty() &&
         queue_.front().begin == queue_.front().end) {
    const auto strike = queue_.front().strike;
    spare_ = std::move(queue_.front().data);
    queue_.pop_front();
    if (strike) {
      link_.carry_out(*strike);
    }
  }
  if (writing_ || link_.closed_ || rules_.stands(way_)) {
    return;
  }
  if (queue_.empty()) {
    end();
    return;
  }
  const Chunk& chunk = queue_.front();
  if (const TimePoint due = std::max(chunk.due, paced_until_); due > now()) {
    wait_until(due);
    return;
  }
  const std::size_t size = piece_of(chunk.end - chunk.begin);
  writing_ = true;
  net::async_write(
      to_, net::buffer(chunk.data.data() + chunk.begin, size),
      [this, keep = link_.shared_from_this()](const error_code& failure, std::size_t written) {
        writing_ = false;
        if (!link_.closed_) {
          wrote(failure, written);
          go_on();
        }
      });
}

void GatePipe::wrote(const error_code& failure, std::size_t size) {
  if (failure) {
    link_.cut(CutKind::kReset);
    return;
  }
  bytes_ += size;
  bytes_of_all_ += size;
  queued_ -= size;
  if (const auto rate = rules_.of(way_).bytes_per_second; rate > 0) {
    const std::chrono::duration<double> cost(static_cast<double>(size) / static_cast<double>(rate));
    paced_until_ = std::max(paced_until_, now()) + std::chrono::duration_cast<Duration>(cost);
  }
  queue_.front().begin += size;
}

// What follows the last byte.
void GatePipe::end() {
  if (!ended_ || finished_) {
    return;
  }
  if (by_reset_) {
    link_.cut(CutKind::kReset);
    return;
  }
  error_code ignored;  // the peer may have gone meanwhile
  to_.shutdown(Socket::shutdown_send, ignored);
  finished_ = true;
  link_.pipe_finished();
}

void GatePipe::wait_until(TimePoint time) {
  if (waiting_) {
    return;
  }
  waiting_ = true;
  timer_.expires_at(std::chrono::time_point_cast<std::chrono::steady_clock::duration>(time));
  timer_.async_wait([this, keep = link_.shared_from_this()](const error_code&) {
    waiting_ = false;
    go_on();
  });
}

std::size_t GatePipe::piece_of(std::size_t size) {
  if (const auto rate = rules_.of(way_).bytes_per_second; rate > 0) {
    size = std::min<std::size_t>(size, std::max<std::uint64_t>(1, rate / kPacesPerSecond));
  }
  if (rules_.piece_max > 0) {
    size = std::min(size,
                    std::uniform_int_distribution<std::size_t>(1, rules_.piece_max)(rules_.random));
  }
  return size;
}

GateLink::GateLink(std::uint64_t number, Socket client, const Owner& owner)
    : number_(number),
      owner_(owner),
      client_(std::move(client)),
      server_(client_.get_executor()),
      to_server_(*this, Way::kToServer, owner_.rules, owner_.counters.to_server, client_, server_),
      to_client_(*this, Way::kToClient, owner_.rules, owner_.counters.to_client, server_, client_) {
}

void GateLink::start(const net::ip::tcp::endpoint& server) {
  set_up(client_.native_handle());
  server_.open(server.protocol());
  set_up(server_.native_handle());
  make_deaf(owner_.rules.black_hole);
  server_.async_connect(server, [this, keep = shared_from_this()](const error_code& failure) {
    if (closed_) {
      return;
    }
    if (failure) {
      cut(CutKind::kReset);
      return;
    }
    connected_ = true;
    go_on();
  });
}

void GateLink::go_on() {
  if (closed_) {
    return;
  }
  make_deaf(owner_.rules.black_hole);
  if (connected_) {
    to_server_.go_on();
  }
  if (connected_ && !closed_) {
    to_client_.go_on();
  }
}

void GateLink::make_deaf(bool deaf) {
  if (deaf == deaf_) {
    return;
  }
  deaf_ = deaf;
  for (Socket* socket : {&client_, &server_}) {
    const int handle = socket->native_handle();
    if (deaf) {
      wait_acknowledged(handle);
    }
    // Ours would reach the peer, which is not to hear of us either.
    set_option(handle, SOL_SOCKET, SO_KEEPALIVE, deaf ? 0 : 1);
    set_deaf(handle, deaf);
  }
}

void GateLink::cut(CutKind kind) {
  if (closed_) {
    return;
  }
  closed_ = true;
  for (Socket* socket : {&client_, &server_}) {
    error_code ignored;  // gone already
    if (kind == CutKind::kReset) {
      socket->set_option(net::socket_base::linger(true, 0), ignored);
    }
    socket->close(ignored);
  }
  to_server_.stop();
  to_client_.stop();
  owner_.forget(number_);
}

void GateLink::carry_out(Strike strike) {
  ++owner_.counters.struck;
  switch (strike) {
    case Strike::kReset:
    case Strike::kClose:
      ++owner_.counters.cut;
      cut(strike == Strike::kReset ? CutKind::kReset : CutKind::kClose);
      return;
    case Strike::kHold:
    case Strike::kBlackHole:
      owner_.stall(strike);
      return;
  }
}

void GateLink::pipe_finished() {
  if (to_server_.finished() && to_client_.finished()) {
    cut(CutKind::kClose);
  }
}

}  // namespace headgate::test
