// A connection of one daemon to the simulated source.

#pragma once

#include <cstddef>

#include "source_database.hpp"
#include "world.hpp"

namespace headgate::sim {

// What all parts of the simulated source share: a connection that may be lost at every call.
class SimConnection {
 public:
  SimConnection(World& world, SourceDatabase& database) : world_(world), database_(database) {}

  void die() { dead_ = true; }

 protected:
  ~SimConnection() = default;

  void connect(const char* call);
  void enter(const char* call);
  bool dead() const { return dead_; }

  World& world_;
  SourceDatabase& database_;

 private:
  void meet_faults(const char* call);

  bool dead_ = false;
  std::size_t incarnation_ = 0;
  TimePoint last_call_{};
  std::size_t calls_at_once_ = 0;  // since time last passed
};

}  // namespace headgate::sim
