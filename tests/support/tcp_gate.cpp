#include "support/tcp_gate.hpp"

#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/address_v4.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>

#include "support/tcp_gate_link.hpp"
#include "support/tcp_gate_rules.hpp"

namespace headgate::test {

namespace net = boost::asio;
using boost::system::error_code;
using net::ip::tcp;

// All of the gate that its thread works on.
class TcpGate::Core {
 public:
  explicit Core(int server_port)
      : server_(net::ip::address_v4::loopback(), static_cast<unsigned short>(server_port)),
        place_(io_) {
    // Never listens: it keeps the port ours while nobody does, which is what refusing takes.
    place_.open(tcp::v4());
    place_.set_option(tcp::acceptor::reuse_address(true));
    place_.bind({net::ip::address_v4::loopback(), 0});
    listen();
    thread_ = std::thread([this] { io_.run(); });
  }

  ~Core() {
    on_thread([this] {
      acceptor_.reset();
      cut_all(CutKind::kReset);
    });
    work_.reset();
    thread_.join();
  }

  Core(const Core&) = delete;
  Core& operator=(const Core&) = delete;

  int port() const { return place_.local_endpoint().port(); }

  // Runs `work` on the thread and returns what it does, once it is done.
  template <typename Work>
  auto on_thread(Work work) -> std::invoke_result_t<Work> {
    std::packaged_task<std::invoke_result_t<Work>()> task(std::move(work));
    auto done = task.get_future();
    net::post(io_, [task = std::move(task)]() mutable { task(); });
    return done.get();
  }

  // Changes the rules, and lets every connection act on them.
  template <typename Change>
  void change(Change change) {
    on_thread([this, &change] {
      change(rules_);
      act_on_rules();
    });
  }

  void listen() {
    if (acceptor_) {
      return;
    }
    acceptor_.emplace(io_);
    acceptor_->open(tcp::v4());
    acceptor_->set_option(tcp::acceptor::reuse_address(true));
    acceptor_->bind(place_.local_endpoint());
    deaf_ = false;
    if (rules_.black_hole) {
      set_deaf(acceptor_->native_handle(), true);
      deaf_ = true;
    }
    acceptor_->listen();
    accept(++listens_);
  }

  // Connections that wait to be accepted are reset by the system.
  void stop_listening() { acceptor_.reset(); }

  void cut_all(CutKind kind) {
    const auto links = links_;
    for (const auto& [number, link] : links) {
      ++counters_.cut;
      link->cut(kind);
    }
  }

  void cut(std::uint64_t number, CutKind kind) {
    if (const auto found = links_.find(number); found != links_.end()) {
      ++counters_.cut;
      const auto link = found->second;
      link->cut(kind);
    }
  }

  GateCounters counters() const {
    GateCounters counters = counters_;
    counters.open = links_.size();
    return counters;
  }

  std::vector<GateConnection> connections() const {
    std::vector<GateConnection> states;
    for (const auto& [number, link] : links_) {
      states.push_back(link->state());
    }
    return states;
  }

  std::uint64_t next_trigger() { return ++triggers_; }

 private:
  void act_on_rules() {
    if (acceptor_ && deaf_ != rules_.black_hole) {
      set_deaf(acceptor_->native_handle(), rules_.black_hole);
      deaf_ = rules_.black_hole;
    }
    const auto links = links_;  // one that ends leaves the original
    for (const auto& [number, link] : links) {
      link->go_on();
    }
  }

  void stall(Strike strike) {
    if (strike == Strike::kBlackHole) {
      rules_.black_hole = true;
    } else {
      rules_.of(Way::kToServer).held = true;
      rules_.of(Way::kToClient).held = true;
    }
    act_on_rules();
  }

  void accept(std::uint64_t listen) {
    acceptor_->async_accept([this, listen](const error_code& failure, tcp::socket client) {
      if (!acceptor_ || listen != listens_) {
        return;
      }
      if (!failure) {
        const std::uint64_t number = ++counters_.accepted;
        const auto link = std::make_shared<GateLink>(
            number, std::move(client),
            GateLink::Owner{rules_, counters_, [this](std::uint64_t ended) { links_.erase(ended); },
                            [this](Strike strike) { stall(strike); }});
        links_.emplace(number, link);
        link->start(server_);
      }
      accept(listen);
    });
  }

  // The thread's alone, but for construction and destruction.
  GateRules rules_;
  GateCounters counters_;
  std::uint64_t triggers_ = 0;
  std::uint64_t listens_ = 0;  // tells the present acceptor's news from those of one before it
  bool deaf_ = false;          // the acceptor
  std::map<std::uint64_t, std::shared_ptr<GateLink>> links_;
  tcp::endpoint server_;

  net::io_context io_{1};
  net::executor_work_guard<net::io_context::executor_type> work_ = net::make_work_guard(io_);
  tcp::acceptor place_;
  std::optional<tcp::acceptor> acceptor_;  // nothing while connections are refused
  std::thread thread_;
};

TcpGate::TcpGate(int server_port)
    : core_(std::make_unique<Core>(server_port)), port_(core_->port()) {}

TcpGate::~TcpGate() = default;

void TcpGate::refuse() {
  core_->on_thread([this] { core_->stop_listening(); });
}

void TcpGate::admit() {
  core_->on_thread([this] { core_->listen(); });
}

void TcpGate::cut(CutKind kind) {
  core_->on_thread([&] { core_->cut_all(kind); });
}

void TcpGate::cut(std::uint64_t connection, CutKind kind) {
  core_->on_thread([&] { core_->cut(connection, kind); });
}

void TcpGate::strike_after(Way way, std::uint64_t bytes, Strike strike) {
  core_->change([&](GateRules& rules) { rules.after_bytes = {way, bytes, strike}; });
}

void TcpGate::strike_at(Way way, const std::string& pattern, Moment moment, Strike strike,
                        unsigned skip) {
  core_->change([&](GateRules& rules) {
    rules.at_pattern = {way, PatternSearch(pattern), moment, strike, skip, core_->next_trigger()};
  });
}

void TcpGate::disarm() {
  core_->change([](GateRules& rules) {
    rules.after_bytes.reset();
    rules.at_pattern.reset();
  });
}

void TcpGate::hold(Way way) {
  core_->change([&](GateRules& rules) { rules.of(way).held = true; });
}

void TcpGate::hold() {
  core_->change([](GateRules& rules) {
    rules.of(Way::kToServer).held = true;
    rules.of(Way::kToClient).held = true;
  });
}

void TcpGate::black_hole() {
  core_->change([](GateRules& rules) { rules.black_hole = true; });
}

void TcpGate::release() {
  core_->change([](GateRules& rules) {
    rules.black_hole = false;
    for (WayRules& way : rules.ways) {
      way.held = false;
    }
  });
}

void TcpGate::slice(std::size_t piece_max, std::uint64_t seed) {
  core_->change([&](GateRules& rules) {
    rules.piece_max = piece_max;
    rules.random.seed(seed);
  });
}

void TcpGate::slow(Way way, Duration delay, std::uint64_t bytes_per_second) {
  core_->change([&](GateRules& rules) {
    rules.of(way).delay = delay;
    rules.of(way).bytes_per_second = bytes_per_second;
  });
}

void TcpGate::heal() {
  core_->change([](GateRules& rules) { rules = GateRules{}; });
  admit();
}

GateCounters TcpGate::counters() const {
  return core_->on_thread([this] { return core_->counters(); });
}

std::vector<GateConnection> TcpGate::connections() const {
  return core_->on_thread([this] { return core_->connections(); });
}

}  // namespace headgate::test
