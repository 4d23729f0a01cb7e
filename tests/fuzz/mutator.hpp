// Random changes of an input, for runs without libFuzzer: no coverage to go by, but no clang
// needed.

#pragma once

#include <cstdint>
#include <random>
#include <string>

namespace headgate::fuzz {

// The same seed makes the same changes.
class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  // `input` after one to four changes, some of them with pieces of `other`.
  std::string changed(std::string input, const std::string& other);

  // From 0 to `below` - 1. REQUIRES: `below` is not 0.
  std::size_t pick(std::size_t below) { return random_() % below; }

 private:
  void change(std::string& input, const std::string& other);
  std::string piece_of(const std::string& text);

  std::mt19937_64 random_;
};

}  // namespace headgate::fuzz
