#include "interrupt.hpp"

#include <csignal>

namespace headgate::bench {

namespace {

volatile std::sig_atomic_t interrupted = 0;

void remember(int) {
  interrupted = 1;
}

}  // namespace

void catch_interrupts() {
  std::signal(SIGINT, remember);
  std::signal(SIGTERM, remember);
}

void check_interrupted() {
  if (interrupted != 0) {
    throw Interrupted();
  }
}

}  // namespace headgate::bench
