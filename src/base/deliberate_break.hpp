// Faults that test builds can be told to have, one at a time, with the environment variable
// HEADGATE_BREAK=NAME. Each makes one invariant false in one place; tests/breaks proves that the
// suite notices. Release builds (HEADGATE_BREAKS off) know neither the names nor the variable.

#pragma once

namespace headgate {

// In the order of the invariants that they break.
enum class Break {
  kSplitTransaction,   // split_transaction (I1): a batch is committed in two halves
  kOpenGateEarly,      // open_gate_early (I1): one table read past a commit is enough for the gate
  kReorder,            // reorder (I2): the first two transactions of a batch change places
  kPositionOutsideTx,  // position_outside_tx (I3): the position is written after the data's commit
  kAckBeforeDurable,   // ack_before_durable (I3): what is applied is taken for durable
  kSkipFlush,          // skip_flush (I3): what was never synced is reported as durable
  kApplyTwice,         // apply_twice (I3): what the sink holds already is not skipped
  kGuessLostReply,     // guess_lost_reply (I3): a COMMIT in doubt is taken for done
  kSkipEpochCheck,     // skip_epoch_check (I4): a process that was taken over goes on writing
  kDropRow,            // drop_row (I5): the last row of a batch is left out
  kIgnoreCopyPoint,    // ignore_copy_point (I5): chunks stand anywhere in the stream
  kForgetStaging,      // forget_staging (I5): changes do not reach the rows copied so far
  kSkipGapCheck,       // skip_gap_check (I7): what the source has discarded is not missed
  kForgetSpill,        // forget_spill (I8): what was spilled to disk is not read again
  kNoBackPressure,     // no_back_pressure (I8): queues take whatever comes
  kRoundValues,        // round_values (I9): floating-point numbers lose digits
  kHoldLog,            // hold_log (I10): nothing is ever acknowledged
};

#ifdef HEADGATE_BREAKS
// Thread-safe. Ends the process with a message when HEADGATE_BREAK holds a name that is not above.
bool broken(Break which);
#else
constexpr bool broken(Break) {
  return false;
}
#endif

}  // namespace headgate
