#include "support/wait_until.hpp"

#include <thread>

#include <fmt/format.h>

namespace headgate::test {

void wait_until(const std::string& what, Duration timeout, const std::function<bool()>& condition) {
  const SystemClock clock;
  const TimePoint start = clock.now();
  while (!condition()) {
    if (clock.now() - start > timeout) {
      throw WaitedTooLong(
          fmt::format("waited {} s in vain for {}",
                      std::chrono::duration_cast<std::chrono::seconds>(timeout).count(), what));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
}

}  // namespace headgate::test
