// Waiting for a condition, never for a time.

#pragma once

#include <functional>
#include <stdexcept>
#include <string>

#include "base/clock.hpp"

namespace headgate::test {

class WaitedTooLong : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Asks again and again, some 50 times a second, until `condition` is true.
//
// Throws WaitedTooLong, naming `what`, when `timeout` has passed.
void wait_until(const std::string& what, Duration timeout, const std::function<bool()>& condition);

}  // namespace headgate::test
