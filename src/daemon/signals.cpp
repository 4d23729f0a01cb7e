#include "daemon/signals.hpp"

#include <csignal>
#include <ctime>
#include <utility>

namespace headgate {
namespace {

sigset_t handled_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

}  // namespace

Signals::Signals(Handlers handlers) : handlers_(std::move(handlers)) {
  const sigset_t set = handled_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  thread_ = std::thread([this] { loop(); });
}

Signals::~Signals() {
  ends_ = true;
  thread_.join();
}

void Signals::loop() {
  const sigset_t set = handled_signals();
  bool stopping = false;
  constexpr timespec kTick{0, 250'000'000};  // also bounds how long the destructor waits
  int ticks = 0;
  while (!ends_) {
    switch (sigtimedwait(&set, nullptr, &kTick)) {
      case SIGTERM:
      case SIGINT:
        (stopping ? handlers_.on_stop_again : handlers_.on_stop)();
        stopping = true;
        break;
      case SIGHUP:
        handlers_.on_reload();
        break;
      default:
        break;
    }
    if (++ticks % 4 == 0) {
      handlers_.on_tick();
    }
  }
}

}  // namespace headgate
