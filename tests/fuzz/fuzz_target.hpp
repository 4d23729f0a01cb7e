// What every fuzz target is made of. README.md says how they are run.
//
// A target is one file with one HEADGATE_FUZZ_TARGET. Built by the preset `fuzz`, it becomes
// libFuzzer's entry point of a program of its own; in every other build all targets are linked into
// fuzz_corpus_test, which finds them in all_targets().

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace headgate::fuzz {

// Marks what must never be shown: seeds put it where a secret belongs, and targets look for it.
inline constexpr std::string_view kSecret = "hunter2";

// The code under test did not keep a promise. No std::exception, so that a target which expects
// errors never takes it for one.
struct BrokenPromise {
  std::string promise;
};

inline void require(bool kept, std::string_view promise) {
  if (!kept) {
    throw BrokenPromise{std::string(promise)};
  }
}

// A copy that ends where its memory ends, so that AddressSanitizer sees a read beyond.
class ExactCopy {
 public:
  explicit ExactCopy(std::string_view bytes)
      : memory_(new char[bytes.size()]), size_(bytes.size()) {
    std::copy(bytes.begin(), bytes.end(), memory_.get());
  }
  std::string_view view() const { return {memory_.get(), size_}; }

 private:
  std::unique_ptr<char[]> memory_;
  std::size_t size_;
};

// Takes fields off the front of an input. Past its end there are zeros and empty texts: every input
// means something.
class InputReader {
 public:
  explicit InputReader(std::string_view input) : rest_(input) {}

  unsigned byte() { return static_cast<unsigned char>(take(1)[0]); }

  // Up to the next line end, which is dropped.
  std::string line() {
    const std::size_t end = rest_.find('\n');
    std::string text(rest_.substr(0, end));
    rest_.remove_prefix(end == std::string_view::npos ? rest_.size() : end + 1);
    return text;
  }

  bool empty() const { return rest_.empty(); }
  std::string_view rest() const { return rest_; }

 private:
  std::string take(std::size_t size) {
    std::string bytes(rest_.substr(0, size));
    rest_.remove_prefix(bytes.size());
    bytes.resize(size);
    return bytes;
  }

  std::string_view rest_;
};

// Takes any bytes. Returns when every promise was kept; throws BrokenPromise, or whatever the code
// under test let out, when not.
using Entry = void (*)(std::string_view input);

struct Target {
  std::string name;
  Entry entry;
};

// In fuzz_corpus_test: those that are linked in, in no particular order.
inline std::vector<Target>& all_targets() {
  static std::vector<Target> targets;
  return targets;
}

struct Registration {
  Registration(const char* name, Entry entry) { all_targets().push_back({name, entry}); }
};

// libFuzzer keeps the input of a process that aborts.
inline int run_or_abort(Entry entry, const std::uint8_t* data, std::size_t size) {
  try {
    entry({reinterpret_cast<const char*>(data), size});
    return 0;
  } catch (const BrokenPromise& broken) {
    std::fprintf(stderr, "broken promise: %s\n", broken.promise.c_str());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "escaped exception: %s\n", error.what());
  }
  std::abort();
}

}  // namespace headgate::fuzz

// Begins the entry function of the target NAME; its parameter is `std::string_view input`. Stands
// once in a file, in namespace headgate::fuzz.
#ifdef HEADGATE_LIBFUZZER
#define HEADGATE_FUZZ_TARGET(name)                                                    \
  static void fuzz_##name(std::string_view input);                                    \
  extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) { \
    return run_or_abort(fuzz_##name, data, size);                                     \
  }                                                                                   \
  static void fuzz_##name(std::string_view input)
#else
#define HEADGATE_FUZZ_TARGET(name)                            \
  static void fuzz_##name(std::string_view input);            \
  static const Registration registration(#name, fuzz_##name); \
  static void fuzz_##name(std::string_view input)
#endif
