#include "support/tcp_gate_rules.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace headgate::test {

PatternSearch::PatternSearch(std::string pattern)
    : pattern_(std::move(pattern)), shorter_(pattern_.size(), 0) {
  HEADGATE_CHECK(!pattern_.empty(), "a pattern has at least one byte");
  for (std::size_t at = 1, length = 0; at < pattern_.size(); ++at) {
    while (length > 0 && pattern_[at] != pattern_[length]) {
      length = shorter_[length - 1];
    }
    length += pattern_[at] == pattern_[length] ? 1U : 0U;
    shorter_[at] = length;
  }
}

std::optional<std::size_t> PatternSearch::find(std::span<const char> bytes,
                                               std::size_t& matched) const {
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    while (matched > 0 && bytes[at] != pattern_[matched]) {
      matched = shorter_[matched - 1];
    }
    matched += bytes[at] == pattern_[matched] ? 1U : 0U;
    if (matched == pattern_.size()) {
      matched = 0;
      return at + 1;
    }
  }
  return std::nullopt;
}

Verdict TriggerWatch::look(std::span<const char> bytes, GateRules& rules) {
  Verdict verdict = look_for_pattern(bytes, rules);
  if (auto& trigger = rules.after_bytes; trigger && trigger->way == way_) {
    if (verdict.pass >= trigger->bytes_left) {
      verdict = {static_cast<std::size_t>(trigger->bytes_left), trigger->strike};
      trigger.reset();
    } else {
      trigger->bytes_left -= verdict.pass;
    }
  }
  return verdict;
}

Verdict TriggerWatch::look_for_pattern(std::span<const char> bytes, GateRules& rules) {
  auto& trigger = rules.at_pattern;
  if (!trigger || trigger->way != way_) {
    return {bytes.size(), std::nullopt};
  }
  if (trigger_ != trigger->number) {
    trigger_ = trigger->number;
    matched_ = 0;
  }
  std::size_t looked_at = 0;
  while (const auto end = trigger->search.find(bytes.subspan(looked_at), matched_)) {
    looked_at += *end;
    if (trigger->skip > 0) {
      --trigger->skip;
      continue;
    }
    const std::size_t size = trigger->search.size();
    const std::size_t pass = trigger->moment == Moment::kAfter ? looked_at
                             : looked_at > size                ? looked_at - size
                                                               : 0;
    const Verdict verdict{pass, trigger->strike};
    trigger.reset();
    return verdict;
  }
  return {bytes.size(), std::nullopt};
}

}  // namespace headgate::test
