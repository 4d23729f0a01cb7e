// A network that fails on command: a proxy between the client under test and its server.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace headgate::test {

// One of the two directions through the gate.
enum class Way { kToServer, kToClient };

// How the gate ends a connection, towards both sides at once.
enum class CutKind {
  kReset,  // RST: a crashed machine that is back, a firewall that refuses
  kClose,  // FIN: a peer that ended. (A side with bytes on their way to us sees a reset.)
};

// What happens at a chosen byte.
enum class Strike {
  kReset,      // as cut(CutKind::kReset), for the connection of that byte
  kClose,      // as cut(CutKind::kClose)
  kHold,       // as hold(): every connection, both ways
  kBlackHole,  // as black_hole()
};

// Which side of a byte pattern a strike falls on.
enum class Moment {
  kBefore,  // nothing that completes the pattern passes, though an earlier read may have let its
            // first bytes through
  kAfter,   // its last byte passes, and nothing behind it
};

struct GateCounters {
  std::uint64_t accepted = 0;   // connections, also those that the server then refused
  std::uint64_t open = 0;       // of these, now
  std::uint64_t cut = 0;        // connections that the gate ended because it was told to
  std::uint64_t struck = 0;     // strike_after() and strike_at() that came to pass
  std::uint64_t to_server = 0;  // bytes handed to the server's socket, which may have them before
                                // they are counted
  std::uint64_t to_client = 0;
};

// One connection that is open now.
struct GateConnection {
  std::uint64_t number = 0;  // in the order of acceptance, from 1
  std::uint64_t to_server = 0;
  std::uint64_t to_client = 0;
};

// Listens on a port of its own on 127.0.0.1 and forwards each connection to the server. With
// nothing switched on it forwards in large pieces and adds little; it works with any protocol,
// since it knows none.
//
// One thread of the gate does all the work. Every call may come from any thread, and what it asks
// for is in force when it returns; bytes that were handed to the system before it still arrive.
// Faults add up, and heal() ends them all. Throws std::system_error when the system refuses.
class TcpGate {
 public:
  // `server_port` on 127.0.0.1; nobody need listen there yet.
  explicit TcpGate(int server_port);
  // Resets what is open.
  ~TcpGate();

  TcpGate(const TcpGate&) = delete;
  TcpGate& operator=(const TcpGate&) = delete;

  int port() const { return port_; }

  // New connections are refused, as by a machine whose server is down; open ones go on.
  void refuse();
  void admit();

  // Ends all open connections, or one; does nothing when that is gone.
  void cut(CutKind kind);
  void cut(std::uint64_t connection, CutKind kind);

  // Strikes right behind the `bytes`-th byte that passes that way from now on, on whichever
  // connection that is. Once; a second call replaces the first.
  void strike_after(Way way, std::uint64_t bytes, Strike strike);

  // Strikes where `pattern` passes that way on one connection, all of it from now on, after `skip`
  // others, and wherever reads split it. Occurrences do not overlap. Once; a second call replaces
  // the first.
  void strike_at(Way way, const std::string& pattern, Moment moment, Strike strike,
                 unsigned skip = 0);

  // Forgets strikes that have not come to pass.
  void disarm();

  // Nothing more is forwarded that way, nor is an end. TCP itself goes on: connections are accepted
  // and kept, what the system's buffers hold is acknowledged, keep-alives are answered. So does a
  // server that is stopped or a proxy that hangs.
  void hold(Way way);
  void hold();

  // As hold() both ways, but nothing is acknowledged or answered either, SYNs least of all, and
  // each side goes on believing in the other until a time-out of its own: a cable that is pulled.
  void black_hole();

  // Ends hold() and black_hole(); what waited goes on where both ends still live.
  void release();

  // Forwards in writes of 1 to `piece_max` bytes, by a generator of that seed; 0 ends it.
  void slice(std::size_t piece_max, std::uint64_t seed = 1);

  // Holds every byte back for `delay` (so a round trip costs twice that when set both ways, while
  // many bytes can be under way), and lets at most `bytes_per_second` of each connection pass; 0
  // for no limit. Connecting is not delayed.
  void slow(Way way, Duration delay, std::uint64_t bytes_per_second = 0);

  // Ends every fault; what was cut stays cut.
  void heal();

  GateCounters counters() const;
  std::vector<GateConnection> connections() const;

 private:
  class Core;

  std::unique_ptr<Core> core_;
  int port_ = 0;
};

}  // namespace headgate::test
