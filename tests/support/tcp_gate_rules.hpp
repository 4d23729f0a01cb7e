// What a TcpGate does to the bytes that pass, at present. Belongs to the gate's thread.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "support/tcp_gate.hpp"

namespace headgate::test {

// Finds a byte pattern in a stream that arrives in parts (Knuth, Morris and Pratt), so that no byte
// is looked at twice and none need be kept.
class PatternSearch {
 public:
  // REQUIRES: not empty.
  explicit PatternSearch(std::string pattern);

  std::size_t size() const { return pattern_.size(); }

  // Where in `bytes` the first match ends (one past its last byte), or nothing. `matched` is the
  // place in the stream: 0 at first, and what the last call left there; after a match it is 0
  // again.
  std::optional<std::size_t> find(std::span<const char> bytes, std::size_t& matched) const;

 private:
  std::string pattern_;
  std::vector<std::size_t> shorter_;  // longest proper prefix that is a suffix too, per length - 1
};

struct WayRules {
  bool held = false;
  Duration delay{};
  std::uint64_t bytes_per_second = 0;  // 0: no limit
};

struct ByteTrigger {
  Way way;
  std::uint64_t bytes_left;
  Strike strike;
};

struct PatternTrigger {
  Way way;
  PatternSearch search;
  Moment moment;
  Strike strike;
  unsigned skip;
  std::uint64_t number;  // tells it from an earlier one, of which streams may be in the middle
};

struct GateRules {
  std::array<WayRules, 2> ways{};
  bool black_hole = false;
  std::size_t piece_max = 0;  // 0: as it comes
  std::mt19937_64 random{};
  std::optional<ByteTrigger> after_bytes{};
  std::optional<PatternTrigger> at_pattern{};

  WayRules& of(Way way) { return ways.at(static_cast<std::size_t>(way)); }
  bool stands(Way way) { return black_hole || of(way).held; }
};

// What of some bytes may pass, and what strikes behind that.
struct Verdict {
  std::size_t pass = 0;
  std::optional<Strike> strike{};
};

// One stream's view of the triggers.
class TriggerWatch {
 public:
  explicit TriggerWatch(Way way) : way_(way) {}

  // Call for all bytes of the stream, in order. A trigger that comes to pass is gone from `rules`.
  Verdict look(std::span<const char> bytes, GateRules& rules);

 private:
  Verdict look_for_pattern(std::span<const char> bytes, GateRules& rules);

  Way way_;
  std::uint64_t trigger_ = 0;  // the PatternTrigger that `matched_` belongs to
  std::size_t matched_ = 0;
};

}  // namespace headgate::test
