// Every target over its corpus, and over random changes of it: what a build without clang can do.
//
// A failure prints the input as hex digits; README.md says how to keep it.

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <iterator>
#include <set>

#include <catch2/catch.hpp>

#include "base/hex.hpp"
#include "fuzz_target.hpp"
#include "mutator.hpp"
#include "support/random_seed.hpp"

namespace headgate::fuzz {
namespace {

constexpr std::size_t kChangesPerTarget = 600;

const std::filesystem::path kCorpus = HEADGATE_FUZZ_CORPUS;

struct Seed {
  std::string name;
  std::string bytes;
};

// By name, so that a random seed means the same everywhere.
std::vector<Seed> seeds_of(const Target& target) {
  std::vector<Seed> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus / target.name)) {
    std::ifstream file(entry.path(), std::ios::binary);
    seeds.push_back(
        {entry.path().filename().string(), std::string(std::istreambuf_iterator<char>(file), {})});
  }
  std::sort(seeds.begin(), seeds.end(),
            [](const Seed& a, const Seed& b) { return a.name < b.name; });
  return seeds;
}

// What `target` makes of `input` that it should not; empty when all is well.
std::string complaint(const Target& target, const std::string& input) {
  try {
    target.entry(input);
    return {};
  } catch (const BrokenPromise& broken) {
    return "broken promise: " + broken.promise;
  } catch (const std::exception& error) {
    return std::string("escaped exception: ") + error.what();
  }
}

TEST_CASE("every seed, and every input that was once a finding, keeps all promises") {
  for (const Target& target : all_targets()) {
    for (const Seed& seed : seeds_of(target)) {
      INFO(target.name << "/" << seed.name);
      CHECK(complaint(target, seed.bytes) == "");
    }
  }
}

TEST_CASE("random changes of the seeds keep all promises") {
  // The same changes each time, so that a change of the code is judged by nothing but itself; new
  // ones in the long run, and from libFuzzer.
  const bool full = test::number_from_environment("HEADGATE_TEST_FULL", 0) != 0;
  const std::uint64_t random_seed = full ? test::random_seed("fuzz_corpus_test")
                                         : test::number_from_environment("HEADGATE_SEED", 1);
  for (const Target& target : all_targets()) {
    const std::vector<Seed> seeds = seeds_of(target);
    REQUIRE_FALSE(seeds.empty());
    Mutator mutator(random_seed);
    for (std::size_t i = 0; i < kChangesPerTarget; ++i) {
      const Seed& seed = seeds[mutator.pick(seeds.size())];
      const Seed& other = seeds[mutator.pick(seeds.size())];
      const std::string input = mutator.changed(seed.bytes, other.bytes);
      const std::string what = complaint(target, input);
      if (!what.empty()) {
        FAIL_CHECK(target.name << ", from " << seed.name << ": " << what << "\n" << to_hex(input));
        break;
      }
    }
  }
}

TEST_CASE("every target has a corpus, and it stays small") {
  constexpr std::size_t kFilesMax = 400;
  constexpr std::uintmax_t kBytesMax = 300 * 1024;
  std::set<std::string> names;
  for (const Target& target : all_targets()) {
    CHECK(names.insert(target.name).second);
  }
  std::set<std::string> folders;
  for (const auto& entry : std::filesystem::directory_iterator(kCorpus)) {
    folders.insert(entry.path().filename().string());
  }
  CHECK(folders == names);

  std::size_t files = 0;
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(kCorpus)) {
    files += entry.is_regular_file() ? 1U : 0U;
    bytes += entry.is_regular_file() ? entry.file_size() : 0U;
  }
  CHECK(files <= kFilesMax);
  CHECK(bytes <= kBytesMax);
}

// The harness itself must be able to fail.
TEST_CASE("a broken promise and an escaped exception are complaints") {
  const Target breaks{"breaks", [](std::string_view input) { require(input != "bad", "not bad"); }};
  CHECK(complaint(breaks, "good") == "");
  CHECK(complaint(breaks, "bad") == "broken promise: not bad");
  const Target throws{"throws", [](std::string_view) { throw std::runtime_error("out"); }};
  CHECK(complaint(throws, "") == "escaped exception: out");
}

TEST_CASE("changes are random, repeatable and of every kind") {
  const std::string input = "one input with some length";
  std::set<std::string> seen;
  std::set<std::size_t> sizes;
  Mutator first(7);
  Mutator second(7);
  for (int i = 0; i < 200; ++i) {
    const std::string changed = first.changed(input, "another");
    CHECK(changed == second.changed(input, "another"));
    seen.insert(changed);
    sizes.insert(changed.size());
  }
  CHECK(seen.size() > 150);
  CHECK(*sizes.begin() < input.size());
  CHECK(*sizes.rbegin() > input.size());
  for (int i = 0; i < 200; ++i) {
    first.changed("", "");  // reads nothing that is not there
  }
}

}  // namespace
}  // namespace headgate::fuzz
