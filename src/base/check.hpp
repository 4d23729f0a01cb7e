// HEADGATE_CHECK guards our own invariants and stays on in release: stopping beats corrupting a
// sink. Bytes from outside never trip a check; they are an Error.

#pragma once

#include <stdexcept>
#include <string>

namespace headgate {

// Thrown when an invariant of ours does not hold: a bug. Nobody retries it; the process stops.
class CheckFailure : public std::logic_error {
 public:
  using std::logic_error::logic_error;
};

[[noreturn]] inline void check_failed(const char* expression, const char* file, int line,
                                      const char* meaning) {
  throw CheckFailure(std::string(file) + ":" + std::to_string(line) + ": " + meaning + " (" +
                     expression + ")");
}

}  // namespace headgate

// `meaning` says in words which rule was broken.
#define HEADGATE_CHECK(expression, meaning)                                 \
  do {                                                                      \
    if (!(expression)) {                                                    \
      ::headgate::check_failed(#expression, __FILE__, __LINE__, (meaning)); \
    }                                                                       \
  } while (false)
