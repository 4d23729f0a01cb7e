// Ctrl-C ends a bench as an exception does, so that its servers and folders go with it.

#pragma once

#include <stdexcept>

namespace headgate::bench {

class Interrupted : public std::runtime_error {
 public:
  Interrupted() : std::runtime_error("interrupted") {}
};

// From here on, SIGINT and SIGTERM are remembered and do nothing else.
void catch_interrupts();

// Throws Interrupted when one has come. Called in every loop that waits.
void check_interrupted();

}  // namespace headgate::bench
