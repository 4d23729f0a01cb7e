// Watches what a test program allocates.

#pragma once

#include <cstddef>

namespace headgate::test {

// The largest single allocation since it was set to 0: bytes from outside may not choose it.
extern std::size_t largest_allocation;

}  // namespace headgate::test
