// The seed of a test that chooses by chance: new each time and printed; HEADGATE_SEED repeats it.

#pragma once

#include <cstdint>
#include <string>

namespace headgate::test {

// The value of HEADGATE_SEED if set, else a random one; prints `test` and the seed.
std::uint64_t random_seed(const std::string& test);

// An environment variable as a number; `otherwise` when it is not set.
std::uint64_t number_from_environment(const char* variable, std::uint64_t otherwise);

}  // namespace headgate::test
