#include "support/random_seed.hpp"

#include <cstdlib>
#include <iostream>
#include <random>

namespace headgate::test {

std::uint64_t random_seed(const std::string& test) {
  const std::uint64_t seed = number_from_environment("HEADGATE_SEED", std::random_device{}());
  std::cout << test << ": HEADGATE_SEED=" << seed << std::endl;
  return seed;
}

std::uint64_t number_from_environment(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text == nullptr || *text == '\0' ? otherwise : std::stoull(text);
}

}  // namespace headgate::test
