// Signals as calls on one thread of our own, where any function may be called.

#pragma once

#include <atomic>
#include <functional>
#include <thread>

namespace headgate {

// Blocks SIGTERM, SIGINT and SIGHUP in the calling thread and all that it starts afterwards: make
// one before any other thread.
class Signals {
 public:
  struct Handlers {
    std::function<void()> on_stop;        // the first SIGTERM or SIGINT
    std::function<void()> on_stop_again;  // each further one
    std::function<void()> on_reload;      // SIGHUP
    std::function<void()> on_tick;        // about once a second
  };

  explicit Signals(Handlers handlers);

  // Ends the thread; the signals stay blocked.
  ~Signals();

  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

 private:
  void loop();

  Handlers handlers_;
  std::atomic<bool> ends_{false};
  std::thread thread_;
};

}  // namespace headgate
