#include "base/deliberate_break.hpp"

#ifdef HEADGATE_BREAKS

#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <utility>

namespace headgate {
namespace {

constexpr std::array<std::pair<std::string_view, Break>, 17> kNames{{
    {"split_transaction", Break::kSplitTransaction},
    {"open_gate_early", Break::kOpenGateEarly},
    {"reorder", Break::kReorder},
    {"position_outside_tx", Break::kPositionOutsideTx},
    {"ack_before_durable", Break::kAckBeforeDurable},
    {"skip_flush", Break::kSkipFlush},
    {"apply_twice", Break::kApplyTwice},
    {"guess_lost_reply", Break::kGuessLostReply},
    {"skip_epoch_check", Break::kSkipEpochCheck},
    {"drop_row", Break::kDropRow},
    {"ignore_copy_point", Break::kIgnoreCopyPoint},
    {"forget_staging", Break::kForgetStaging},
    {"skip_gap_check", Break::kSkipGapCheck},
    {"forget_spill", Break::kForgetSpill},
    {"no_back_pressure", Break::kNoBackPressure},
    {"round_values", Break::kRoundValues},
    {"hold_log", Break::kHoldLog},
}};

std::optional<Break> chosen() {
  const char* name = std::getenv("HEADGATE_BREAK");
  if (name == nullptr || *name == '\0') {
    return std::nullopt;
  }
  for (const auto& [known, which] : kNames) {
    if (known == name) {
      return which;
    }
  }
  // A misspelt break would look like a suite that does not notice it.
  std::fprintf(stderr, "HEADGATE_BREAK: there is no break named \"%s\"\n", name);
  std::_Exit(64);
}

}  // namespace

bool broken(Break which) {
  static const std::optional<Break> active = chosen();
  return active == which;
}

}  // namespace headgate

#endif  // HEADGATE_BREAKS
