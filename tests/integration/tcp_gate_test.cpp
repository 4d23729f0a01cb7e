// What a test may expect of the gate: each fault, alone, between two plain sockets.

#include "support/tcp_gate.hpp"

#include <arpa/inet.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

#include "support/random_seed.hpp"
#include "support/tcp_gate_rules.hpp"
#include "support/wait_until.hpp"

using namespace headgate::test;
using namespace std::chrono_literals;

namespace {

using headgate::Duration;
using headgate::SystemClock;
using headgate::TimePoint;

// Long enough on any machine; no test waits for it to pass.
constexpr Duration kPatience = 20s;

std::system_error failure(const char* doing) {
  return {errno, std::generic_category(), doing};
}

sockaddr_in loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  return address;
}

// One end of a TCP connection.
class Peer {
 public:
  explicit Peer(int fd) : fd_(fd) {}
  // Connects to `port`. Throws std::system_error with the reason.
  static Peer connect(int port) {
    Peer peer(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_in address = loopback(port);
    const void* place = &address;
    if (::connect(peer.fd_, static_cast<const sockaddr*>(place), sizeof address) != 0) {
      throw failure("connect");
    }
    return peer;
  }
  ~Peer() { close(); }
  Peer(Peer&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;
  Peer& operator=(Peer&&) = delete;

  void close() {
    if (fd_ >= 0) {
      ::close(std::exchange(fd_, -1));
    }
  }

  void option(int level, int name, int value) const {
    ::setsockopt(fd_, level, name, &value, sizeof value);
  }

  // Returns when the system has taken all of it. Throws when the connection has ended.
  void send(const std::string& bytes) const {
    for (std::size_t at = 0; at < bytes.size();) {
      const auto sent = ::send(fd_, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent < 0) {
        throw failure("send");
      }
      at += static_cast<std::size_t>(sent);
    }
  }

  // Parts of data that TCP has received.
  std::uint32_t segments() const {
    tcp_info info{};
    socklen_t size = sizeof info;
    ::getsockopt(fd_, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info.tcpi_data_segs_in;
  }

  void end_sending() const { ::shutdown(fd_, SHUT_WR); }

  bool readable(Duration timeout) const {
    pollfd waiting{fd_, POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(timeout);
    return ::poll(&waiting, 1, static_cast<int>(left.count())) > 0;
  }

  // Up to `size` bytes; fewer when the connection ends before, and end() then says how.
  std::string receive(std::size_t size) {
    std::string bytes;
    std::array<char, 65536> buffer;
    while (bytes.size() < size) {
      if (!readable(kPatience)) {
        throw WaitedTooLong("nothing comes");
      }
      const auto got = ::recv(fd_, buffer.data(), std::min(buffer.size(), size - bytes.size()), 0);
      if (got <= 0) {
        end_ = got == 0 ? "end" : errno == ECONNRESET ? "reset" : std::strerror(errno);
        break;
      }
      bytes.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return bytes;
  }

  // All that still comes.
  std::string receive_all() { return receive(SIZE_MAX); }

  // "end", "reset" or another reason; empty before it was met.
  const std::string& end() const { return end_; }

  // What the connection ends with, behind nothing.
  std::string wait_end() {
    CHECK(receive(1).empty());
    return end_;
  }

 private:
  int fd_;
  std::string end_;
};

class Listener {
 public:
  Listener() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    void* place = &address;
    if (::bind(fd_, static_cast<sockaddr*>(place), size) != 0 || ::listen(fd_, 16) != 0 ||
        ::getsockname(fd_, static_cast<sockaddr*>(place), &size) != 0) {
      throw failure("listen");
    }
    port_ = ntohs(address.sin_port);
  }
  ~Listener() { ::close(fd_); }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  int port() const { return port_; }

  Peer accept() const {
    if (!pending(kPatience)) {
      throw WaitedTooLong("nobody connects");
    }
    return Peer(::accept(fd_, nullptr, nullptr));
  }
  bool pending(Duration timeout) const {
    pollfd waiting{fd_, POLLIN, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(timeout);
    return ::poll(&waiting, 1, static_cast<int>(left.count())) > 0;
  }

 private:
  int fd_;
  int port_ = 0;
};

// A connection through a gate.
struct Line {
  Listener listener;
  TcpGate gate{listener.port()};
  Peer client = Peer::connect(gate.port());
  Peer server = listener.accept();

  // Sends from the client and returns what the server got.
  std::string pass(const std::string& bytes) {
    client.send(bytes);
    return server.receive(bytes.size());
  }
};

std::string random_bytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    byte = static_cast<char>(random());
  }
  return bytes;
}

std::string connect_failure(int port) {
  try {
    Peer::connect(port);
  } catch (const std::system_error& error) {
    return error.code() == std::errc::connection_refused ? "refused" : error.what();
  }
  return {};
}

}  // namespace

TEST_CASE("a gate with nothing switched on forwards both ways, counts, and passes each end on") {
  Line line;
  CHECK(line.pass("hello") == "hello");
  line.server.send("answer");
  CHECK(line.client.receive(6) == "answer");
  const std::string much = random_bytes(std::size_t{20} << 20, 1);
  std::string got;
  std::thread sender([&] {
    line.client.send(much);
    line.client.end_sending();
  });
  got = line.server.receive_all();
  sender.join();
  CHECK((got == much));  // not printed
  CHECK(line.server.end() == "end");

  // Half closed: the other way is still open.
  line.server.send("last words");
  CHECK(line.client.receive(10) == "last words");
  CHECK(line.gate.connections().size() == 1);
  line.server.close();
  CHECK(line.client.wait_end() == "end");
  wait_until("the gate to let go", kPatience, [&] { return line.gate.counters().open == 0; });
  const GateCounters counters = line.gate.counters();
  CHECK(counters.accepted == 1);
  CHECK(counters.cut == 0);
  CHECK(counters.to_server == 5 + much.size());
  CHECK(counters.to_client == 16);
}

TEST_CASE("a server that is not there, or resets, is seen so by the client") {
  Line line;
  line.client.send("unread");
  wait_until("the bytes to pass", kPatience, [&] { return line.gate.counters().to_server == 6; });
  REQUIRE(line.server.readable(kPatience));
  line.server.close();  // with unread bytes: a reset
  CHECK(line.client.wait_end() == "reset");

  std::optional<Listener> gone(std::in_place);
  TcpGate gate(gone->port());
  gone.reset();
  CHECK(Peer::connect(gate.port()).wait_end() == "reset");
}

TEST_CASE("refusing lets open connections go on and turns new ones away until admitting again") {
  Line line;
  line.gate.refuse();
  CHECK(connect_failure(line.gate.port()) == "refused");
  CHECK(line.pass("still here") == "still here");
  CHECK(connect_failure(line.gate.port()) == "refused");
  line.gate.admit();
  Peer second = Peer::connect(line.gate.port());
  Peer second_server = line.listener.accept();
  second.send("new");
  CHECK(second_server.receive(3) == "new");
  line.gate.refuse();
  line.gate.heal();
  CHECK(connect_failure(line.gate.port()).empty());
}

TEST_CASE("a cut ends all connections or a chosen one, by a reset or as a peer that closes") {
  Line line;
  Peer second = Peer::connect(line.gate.port());
  Peer second_server = line.listener.accept();
  SECTION("all, reset") {
    line.gate.cut(CutKind::kReset);
    CHECK(line.client.wait_end() == "reset");
    CHECK(line.server.wait_end() == "reset");
    CHECK(second.wait_end() == "reset");
    CHECK(line.gate.counters().cut == 2);
  }
  SECTION("all, closed") {
    line.gate.cut(CutKind::kClose);
    CHECK(line.client.wait_end() == "end");
    CHECK(line.server.wait_end() == "end");
    CHECK(second_server.wait_end() == "end");
  }
  SECTION("one") {
    second.send("abc");
    second_server.receive(3);
    wait_until("the count", kPatience, [&] { return line.gate.counters().to_server == 3; });
    const auto connections = line.gate.connections();
    REQUIRE(connections.size() == 2);
    CHECK(connections.at(0).number == 1);
    CHECK(connections.at(1).to_server == 3);
    line.gate.cut(connections.at(1).number, CutKind::kReset);
    CHECK(second.wait_end() == "reset");
    CHECK(line.pass("lives") == "lives");
    line.gate.cut(connections.at(1).number, CutKind::kReset);  // gone: nothing happens
    CHECK(line.gate.counters().cut == 1);
  }
}

TEST_CASE("a cut after so many bytes lets exactly these pass") {
  Line line;
  CHECK(line.pass("before it is armed") == "before it is armed");
  const auto armed_at = std::string("before it is armed").size();
  const auto bytes = GENERATE(1U, 999U, 200000U);
  line.gate.strike_after(Way::kToServer, bytes, Strike::kClose);
  line.server.send("the other way does not count");
  CHECK(line.client.receive(28).size() == 28);
  const std::string much = random_bytes(300000, 2);
  std::thread sender([&] {
    try {
      line.client.send(much);
    } catch (const std::system_error&) {
      // Cut while it sends.
    }
  });
  const std::string got = line.server.receive_all();
  sender.join();
  CHECK(got.size() == bytes);
  CHECK((got == much.substr(0, bytes)));
  CHECK(line.gate.counters().to_server == armed_at + bytes);
  CHECK(line.gate.counters().struck == 1);
  Peer again = Peer::connect(line.gate.port());  // once only
  Peer again_server = line.listener.accept();
  again.send(much.substr(0, 1000));
  CHECK(again_server.receive(1000).size() == 1000);
}

TEST_CASE("a cut at a pattern falls before or after it, and a disarmed one does not fall") {
  Line line;
  SECTION("before") {
    line.gate.strike_at(Way::kToClient, "COMMIT", Moment::kBefore, Strike::kClose);
    line.client.send("COMMIT");  // the other way does not count
    CHECK(line.server.receive(6) == "COMMIT");
    line.server.send("BEGIN COMMIT more");
    CHECK(line.client.receive_all() == "BEGIN ");
  }
  SECTION("after") {
    line.gate.strike_at(Way::kToClient, "COMMIT", Moment::kAfter, Strike::kClose);
    line.server.send("BEGIN COMMIT more");
    CHECK(line.client.receive_all() == "BEGIN COMMIT");
  }
  SECTION("after two others") {
    line.gate.strike_at(Way::kToClient, "COMMIT", Moment::kAfter, Strike::kClose, 2);
    line.server.send("COMMIT 1 COMMIT 2 COMMIT 3");
    CHECK(line.client.receive_all() == "COMMIT 1 COMMIT 2 COMMIT");
  }
  SECTION("disarmed") {
    line.gate.strike_at(Way::kToClient, "COMMIT", Moment::kAfter, Strike::kClose);
    line.gate.strike_after(Way::kToClient, 3, Strike::kClose);
    line.gate.disarm();
    line.server.send("COMMIT");
    CHECK(line.client.receive(6) == "COMMIT");
    return;
  }
  CHECK(line.gate.counters().struck == 1);
}

// Each part is sent only when the one before it has arrived, so that the gate reads it by itself.
TEST_CASE("a pattern that reads split is found, and what completes it is held back") {
  for (std::size_t split = 1; split < 6; ++split) {
    INFO("split after " << split << " bytes of the pattern");
    Line line;
    line.gate.strike_at(Way::kToServer, "COMMIT", Moment::kBefore, Strike::kClose);
    const std::string first = "xCOM" + std::string("COMMIT").substr(0, split);
    CHECK(line.pass(first) == first);
    line.client.send(std::string("COMMIT more").substr(split));
    CHECK(line.server.receive_all().empty());
    CHECK(line.gate.counters().struck == 1);
  }
  SECTION("byte by byte, with an end inside of a beginning") {
    Line line;
    line.gate.strike_at(Way::kToServer, "ababc", Moment::kAfter, Strike::kClose);
    for (const char byte : std::string("xabababab")) {
      CHECK(line.pass({byte}) == std::string{byte});
    }
    line.client.send("c");
    CHECK(line.server.receive_all() == "c");
  }
  SECTION("another connection's bytes do not complete it") {
    Line line;
    Peer second = Peer::connect(line.gate.port());
    Peer second_server = line.listener.accept();
    line.gate.strike_at(Way::kToServer, "COMMIT", Moment::kAfter, Strike::kClose);
    CHECK(line.pass("COM") == "COM");
    second.send("MIT");
    CHECK(second_server.receive(3) == "MIT");
    CHECK(line.pass("COM") == "COM");
    CHECK(line.gate.counters().struck == 0);
  }
}

// Against the standard library, on an alphabet small enough for many near misses.
TEST_CASE("the pattern search finds what std::string finds, however the bytes are split") {
  const std::uint64_t seed = random_seed("tcp_gate pattern search");
  INFO("HEADGATE_SEED=" << seed);
  std::mt19937_64 random(seed);
  const auto letters = [&](std::size_t size) {
    std::string text(size, 'a');
    for (char& letter : text) {
      letter = static_cast<char>('a' + random() % 2);
    }
    return text;
  };
  for (int round = 0; round < 3000; ++round) {
    const std::string pattern = letters(1 + random() % 6);
    const std::string text = letters(random() % 60);
    const PatternSearch search(pattern);
    std::vector<std::size_t> ends;
    std::size_t matched = 0;
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t size = std::min<std::size_t>(1 + random() % 9, text.size() - at);
      const auto end = search.find(std::span(text).subspan(at, size), matched);
      at += end ? *end : size;
      if (end) {
        ends.push_back(at);
      }
    }
    std::vector<std::size_t> wanted;
    for (std::size_t at = text.find(pattern); at != std::string::npos;
         at = text.find(pattern, at + pattern.size())) {
      wanted.push_back(at + pattern.size());
    }
    INFO("pattern " << pattern << " in " << text);
    REQUIRE(ends == wanted);
  }
}

TEST_CASE("held, a way forwards nothing, not even an end, while the other way goes on") {
  Line line;
  line.gate.hold(Way::kToServer);
  line.client.send("waits");
  line.server.send("passes");
  CHECK(line.client.receive(6) == "passes");
  CHECK_FALSE(line.server.readable(0ms));
  line.client.end_sending();
  line.server.send("passes too");
  CHECK(line.client.receive(10) == "passes too");
  CHECK_FALSE(line.server.readable(0ms));

  // New connections are accepted, and wait as well.
  Peer second = Peer::connect(line.gate.port());
  second.send("me too");
  wait_until("the connection", kPatience, [&] { return line.gate.counters().open == 2; });
  Peer second_server = line.listener.accept();
  CHECK_FALSE(second_server.readable(0ms));
  CHECK(line.gate.counters().to_server == 0);

  line.gate.release();
  CHECK(line.server.receive_all() == "waits");
  CHECK(line.server.end() == "end");
  CHECK(second_server.receive(6) == "me too");
}

TEST_CASE("held, an end with nothing before it waits too") {
  Line line;
  line.gate.hold(Way::kToServer);
  line.client.end_sending();
  CHECK_FALSE(line.server.readable(50ms));
  line.gate.release();
  CHECK(line.server.wait_end() == "end");
}

TEST_CASE("held both ways, a sender is stopped once the system's buffers are full") {
  Line line;
  line.gate.hold();
  const std::string much(std::size_t{64} << 20, 'x');
  std::atomic<bool> sent = false;
  std::thread sender([&] {
    line.client.send(much);
    sent = true;
  });
  CHECK_FALSE(line.server.readable(50ms));
  CHECK_FALSE(sent);
  line.gate.release();
  const std::string got = line.server.receive(much.size());
  sender.join();
  CHECK((got == much));
}

TEST_CASE("in a black hole TCP itself hears nothing, and goes on when it is lifted in time") {
  Line line;
  CHECK(line.pass("before") == "before");
  line.gate.black_hole();
  line.client.send("within");
  line.server.send("within");
  CHECK_FALSE(line.server.readable(50ms));
  CHECK_FALSE(line.client.readable(0ms));
  SECTION("released, the system sends it again") {
    line.gate.release();
    CHECK(line.server.receive(6) == "within");
    CHECK(line.client.receive(6) == "within");
    CHECK(line.pass("after") == "after");
  }
  SECTION("a time-out of TCP's own ends one side, while the other believes in it still") {
    line.client.option(IPPROTO_TCP, TCP_USER_TIMEOUT, 300);
    CHECK(line.client.receive(1).empty());
    CHECK(line.client.end() == std::strerror(ETIMEDOUT));
    CHECK_FALSE(line.server.readable(0ms));
    line.gate.release();
    CHECK(line.server.wait_end() == "reset");  // the gate's keep-alives meet nobody
  }
  SECTION("the end of a process is not heard of until it is released") {
    line.client.close();
    CHECK_FALSE(line.server.readable(50ms));
    line.gate.release();
    line.server.receive_all();  // nothing of it may be left: the client resets what comes to it
    CHECK_FALSE(line.server.end().empty());
  }
}

TEST_CASE("in a black hole a new connection is not answered") {
  Listener listener;
  TcpGate gate(listener.port());
  gate.black_hole();
  const auto connecting = [&](Duration timeout) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    Peer peer(fd);
    const sockaddr_in address = loopback(gate.port());
    const void* place = &address;
    ::connect(fd, static_cast<const sockaddr*>(place), sizeof address);
    pollfd waiting{fd, POLLOUT, 0};
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(timeout);
    return ::poll(&waiting, 1, static_cast<int>(left.count())) > 0;
  };
  CHECK_FALSE(connecting(50ms));
  gate.refuse();
  gate.admit();  // a new socket of the gate's is as deaf
  CHECK_FALSE(connecting(50ms));
  gate.release();
  CHECK(connecting(kPatience));
  CHECK(gate.counters().accepted <= 2);  // the first may have tried again in time
}

TEST_CASE("sliced, the same bytes come in many small pieces") {
  Line line;
  line.gate.slice(7, 4);
  const std::string bytes = random_bytes(20000, 5);
  CHECK(line.pass(bytes) == bytes);
  // The system joins what it has not sent yet, the more the busier it is; unsliced it would be one.
  CHECK(line.server.segments() > 1);
  line.gate.slice(0);
  CHECK(line.pass(bytes) == bytes);
}

TEST_CASE("slow, each byte is late by the delay, while many are under way") {
  const SystemClock clock;
  Line line;
  line.gate.slow(Way::kToServer, 40ms);
  line.gate.slow(Way::kToClient, 20ms);
  TimePoint start = clock.now();
  CHECK(line.pass("ping") == "ping");
  line.server.send("pong");
  CHECK(line.client.receive(4) == "pong");
  CHECK(clock.now() - start >= 60ms);

  // Twenty parts that each take 40 ms, but not one after the other.
  start = clock.now();
  for (int part = 0; part < 20; ++part) {
    line.client.send("0123456789");
  }
  CHECK(line.server.receive(200).size() == 200);
  CHECK(clock.now() - start >= 40ms);
  CHECK(clock.now() - start < 20 * 40ms);
}

TEST_CASE("slow, a connection gets no more than its bytes per second") {
  const SystemClock clock;
  Line line;
  line.gate.slow(Way::kToServer, {}, 1'000'000);
  const TimePoint start = clock.now();
  const std::string bytes = random_bytes(200'000, 6);
  CHECK(line.pass(bytes) == bytes);
  CHECK(clock.now() - start >= 180ms);
  line.gate.heal();
  CHECK(line.pass(bytes) == bytes);
}

TEST_CASE("a strike may stall the network at one byte, and what is behind it passes later") {
  Line line;
  const Strike strike = GENERATE(Strike::kHold, Strike::kBlackHole);
  line.gate.strike_at(Way::kToServer, "BEGIN", Moment::kAfter, strike);
  line.client.send("one BEGIN two");
  CHECK(line.server.receive(9) == "one BEGIN");
  wait_until("the strike", kPatience, [&] { return line.gate.counters().struck == 1; });
  line.client.send(" three");
  line.server.send("answer");
  CHECK_FALSE(line.server.readable(50ms));
  CHECK_FALSE(line.client.readable(0ms));
  line.gate.release();
  CHECK(line.server.receive(10) == " two three");
  CHECK(line.client.receive(6) == "answer");
}

// Many threads steer while bytes pass; for ThreadSanitizer above all.
TEST_CASE("a gate may be steered from several threads at once") {
  Line line;
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 4; ++number) {
    threads.emplace_back([&line, number] {
      for (unsigned round = 0; round < 100; ++round) {
        switch ((number + round) % 5) {
          case 0:
            line.gate.hold();
            break;
          case 1:
            line.gate.slice(1 + round);
            break;
          case 2:
            line.gate.black_hole();
            break;
          case 3:
            line.gate.counters();
            line.gate.connections();
            break;
          default:
            line.gate.strike_at(Way::kToServer, "never", Moment::kBefore, Strike::kReset);
        }
        line.gate.release();
      }
    });
  }
  std::string sent;
  std::string got;
  for (int round = 0; round < 50; ++round) {
    sent += "some bytes";
    line.client.send("some bytes");
    got += line.server.receive(10);
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  line.gate.heal();
  CHECK(got == sent);
}

TEST_CASE("a gate that ends resets what is open") {
  Listener listener;
  std::optional<TcpGate> gate(std::in_place, listener.port());
  Peer client = Peer::connect(gate->port());
  Peer server = listener.accept();
  gate->slow(Way::kToServer, 1h);
  client.send("under way");
  gate.reset();
  CHECK(client.wait_end() == "reset");
  CHECK(server.wait_end() == "reset");
}
