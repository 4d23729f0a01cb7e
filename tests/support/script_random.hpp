// The choices of a generated script: the same seed, the same script.

#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <random>
#include <vector>

namespace headgate::test {

class ScriptRandom {
 public:
  explicit ScriptRandom(std::uint64_t seed) : engine_(seed) {}

  // Both ends included.
  std::int64_t between(std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(engine_);
  }

  bool chance(int percent) { return between(1, 100) <= percent; }

  // 1 to `most`: 1 to 10 as often as 10 to 100.
  std::int64_t magnitude(std::int64_t most) {
    const double power = std::uniform_real_distribution<double>(
        0, std::log(static_cast<double>(most) + 0.99))(engine_);
    return static_cast<std::int64_t>(std::exp(power));
  }

  // REQUIRES: `items` is not empty.
  template <typename Items>
  decltype(auto) pick(Items& items) {
    return items[static_cast<std::size_t>(between(0, static_cast<std::int64_t>(items.size()) - 1))];
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace headgate::test
