#include "sim_connection.hpp"

#include <chrono>
#include <string>

#include "base/error.hpp"

namespace headgate::sim {
namespace {

// Far more than any fetch needs.
constexpr std::size_t kCallsAtOnceMax = 2000;

}  // namespace

void SimConnection::meet_faults(const char* call) {
  if (dead_) {
    throw Error{ErrorKind::kTransient, "simulated: the process is gone"};
  }
  calls_at_once_ = last_call_ == world_.clock.now() ? calls_at_once_ + 1 : 0;
  last_call_ = world_.clock.now();
  if (calls_at_once_ > kCallsAtOnceMax) {
    world_.violated(std::string("the source is called again and again without a pause: ") + call);
    throw Killed{};
  }
  if (world_.random.chance(world_.rates.killed)) {
    world_.trace("daemon", "killed in {} of the source", call);
    throw Killed{};
  }
  if (world_.random.chance(world_.rates.slow)) {
    world_.clock.advance(std::chrono::milliseconds(world_.random.between(1, 20000)));
  }
  if (world_.random.chance(world_.rates.connection_lost)) {
    world_.trace("source", "{}: connection lost", call);
    throw Error{ErrorKind::kTransient, std::string("simulated failure of ") + call};
  }
}

void SimConnection::connect(const char* call) {
  meet_faults(call);
  incarnation_ = database_.incarnation();
}

void SimConnection::enter(const char* call) {
  meet_faults(call);
  if (incarnation_ != database_.incarnation()) {
    throw Error{ErrorKind::kTransient, "simulated: the server was restarted"};
  }
}

}  // namespace headgate::sim
