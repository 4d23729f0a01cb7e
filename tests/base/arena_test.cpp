#include "base/arena.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

namespace {

using headgate::Arena;

// Sizes around and beyond the blocks' own, so that many blocks are opened.
std::vector<std::string> words() {
  std::vector<std::string> words;
  for (std::size_t i = 0; i < 500; ++i) {
    words.emplace_back(i * 7 % 1500, static_cast<char>('a' + i % 26));
  }
  words.emplace_back(std::size_t{600} * 1024, 'z');
  words.emplace_back("last");
  return words;
}

TEST_CASE("copies in an arena stay where they are while it grows and when it is moved") {
  const auto originals = words();
  Arena arena;
  std::vector<std::string_view> copies;
  for (const std::string& word : originals) {
    copies.push_back(arena.copy(word));
  }
  const Arena moved = std::move(arena);
  for (std::size_t i = 0; i < originals.size(); ++i) {
    CHECK(copies[i] == originals[i]);
    CHECK((copies[i].empty() || copies[i].data() != originals[i].data()));
  }
}

TEST_CASE("an arena's arrays are aligned, cleared and apart from each other") {
  Arena arena;
  for (int round = 0; round < 200; ++round) {
    arena.copy("x");  // leaves the next free byte at an odd place
    const auto numbers = arena.array<std::uint64_t>(7);
    const auto wide = arena.array<long double>(1);
    CHECK(reinterpret_cast<std::uintptr_t>(numbers.data()) % alignof(std::uint64_t) == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(wide.data()) % alignof(long double) == 0);
    for (std::uint64_t& number : numbers) {
      CHECK(number == 0);
      number = ~std::uint64_t{0};
    }
    CHECK(wide[0] == 0.0L);
  }
}

TEST_CASE("nothing costs nothing in an arena") {
  Arena arena;
  CHECK(arena.copy("").empty());
  CHECK(arena.array<int>(0).empty());
  CHECK(arena.bytes_reserved() == 0);
}

TEST_CASE("an arena reports what it took: little for one word, never less than it holds") {
  Arena arena;
  arena.copy("x");
  CHECK(arena.bytes_reserved() <= 1024);
  std::size_t held = 1;
  for (const std::string& word : words()) {
    arena.copy(word);
    held += word.size();
    CHECK(arena.bytes_reserved() >= held);
  }
  CHECK(arena.bytes_reserved() < 4 * held);
}

TEST_CASE("an arena that was moved away is empty and can be used again") {
  Arena arena;
  const auto first = arena.copy("first");
  Arena moved = std::move(arena);
  CHECK(arena.bytes_reserved() == 0);
  const auto second = arena.copy("second");
  arena.array<std::uint64_t>(100);
  CHECK(first == "first");
  CHECK(second == "second");

  Arena assigned;
  assigned.copy("dropped");
  assigned = std::move(moved);
  CHECK(moved.bytes_reserved() == 0);
  CHECK(moved.copy("third") == "third");
  CHECK(first == "first");
}

}  // namespace
