// One connection through a TcpGate. Belongs to the gate's thread.

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include "support/tcp_gate_rules.hpp"

namespace headgate::test {

// Makes the system drop all that arrives at `socket` before TCP sees it, or ends that.
void set_deaf(int socket, bool deaf);

class GateLink;

// One way of a connection: reads, judges, holds back, writes.
class GatePipe {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  // All references must outlive the pipe.
  GatePipe(GateLink& link, Way way, GateRules& rules, std::uint64_t& bytes_of_all, Socket& from,
           Socket& to);

  // Does whatever the rules allow now: call at the start, and when they have changed.
  void go_on();
  // The link has been closed: waits for nothing more.
  void stop() { timer_.cancel(); }

  // Everything has passed, and the end too.
  bool finished() const { return finished_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct Chunk {
    std::vector<char> data;
    std::size_t begin;  // of what is not written yet
    std::size_t end;
    TimePoint due;
    std::optional<Strike> strike;  // behind its last byte
  };

  void read();
  void took(const boost::system::error_code& failure, std::size_t size);
  void enqueue(std::vector<char> data, std::size_t size, std::optional<Strike> strike);
  void write();
  void wrote(const boost::system::error_code& failure, std::size_t size);
  void end();
  void wait_until(TimePoint time);
  std::size_t piece_of(std::size_t size);

  GateLink& link_;
  Way way_;
  GateRules& rules_;
  std::uint64_t& bytes_of_all_;
  Socket& from_;
  Socket& to_;
  TriggerWatch watch_;
  boost::asio::steady_timer timer_;

  std::vector<char> buffer_;  // where a read goes
  std::vector<char> spare_;   // one that was written, to be used again
  std::deque<Chunk> queue_;
  std::size_t queued_ = 0;  // bytes in queue_
  std::uint64_t bytes_ = 0;
  TimePoint paced_until_{};  // for bytes_per_second

  bool reading_ = false;
  bool writing_ = false;
  bool waiting_ = false;
  bool ended_ = false;     // nothing more is read
  bool by_reset_ = false;  // ... because the peer has reset the connection
  bool finished_ = false;
};

// Held by the gate while it is open, and by the operations under way.
class GateLink : public std::enable_shared_from_this<GateLink> {
 public:
  using Socket = boost::asio::ip::tcp::socket;

  struct Owner {
    GateRules& rules;
    GateCounters& counters;
    std::function<void(std::uint64_t)> forget;  // the link with that number has ended
    std::function<void(Strike)> stall;          // kHold or kBlackHole, for all links
  };

  // What `owner` refers to must outlive the link.
  GateLink(std::uint64_t number, Socket client, const Owner& owner);

  // Connects to the server, and forwards from then on.
  void start(const boost::asio::ip::tcp::endpoint& server);

  // The rules have changed.
  void go_on();

  // Ends it at once; nothing that waits is forwarded. Does nothing when it has ended.
  void cut(CutKind kind);

  GateConnection state() const { return {number_, to_server_.bytes(), to_client_.bytes()}; }

 private:
  friend class GatePipe;

  void make_deaf(bool deaf);
  void pipe_finished();
  void carry_out(Strike strike);

  std::uint64_t number_;
  Owner owner_;
  Socket client_;
  Socket server_;
  GatePipe to_server_;
  GatePipe to_client_;
  bool connected_ = false;
  bool deaf_ = false;
  bool closed_ = false;
};

}  // namespace headgate::test
