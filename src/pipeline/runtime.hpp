// Owns which capturer reads, and hands over from one to the next.

#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/log.hpp"
#include "pipeline/capturer.hpp"
#include "pipeline/state_manager.hpp"

namespace headgate {

// Loops over the current capturer and follows its next_capturer. Keeps the state manager in step
// with it: `cdc` is polling, `snapshot` and `replay` are themselves.
//
// Not thread-safe; belongs to the capture step.
class Runtime {
 public:
  Runtime(StateManager& states, Logger log) : states_(states), log_(std::move(log)) {}

  // `capturer` must outlive the runtime.
  void add(Capturer& capturer);

  // Where reading begins; before the first open().
  void start_at(const StartPoint& start) { start_ = start; }

  // Takes wishes for copies from `control`, which must outlive the runtime, between two fetches.
  void listen_to(CopyControl& control) { control_ = &control; }

  // Opens the capturer that fits: the snapshot while some sink needs a copy, cdc otherwise. Begins
  // behind the last transaction that fetch() returned to its end, so it also mends a lost source.
  void open();

  // As Capturer::fetch. A capturer that names a next one is stopped after its last transactions
  // were returned, by the next call: that opens the next one behind them, and may fail without
  // taking them along.
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline);

  // Stops the current capturer and opens `name` where that one stood, by open_in_session().
  //
  // Throws Error{kOperator} for a name nobody has, or one that the state manager refuses now.
  void switch_to(std::string_view name);

  void acknowledge(const Position& durable);
  void keep_alive();
  void stop() noexcept;

  // Of the capturer that reads now; "" before open() and after stop().
  std::string_view current() const;

 private:
  // As switch_to(), opening by `opener`.
  void switch_to(std::string_view name, void (*opener)(Capturer&, const StartPoint&));
  void take_wishes();
  void remember(const Transaction& transaction);

  StateManager& states_;
  Logger log_;
  std::map<std::string, Capturer*, std::less<>> capturers_;
  Capturer* current_ = nullptr;
  CopyControl* control_ = nullptr;    // null: nobody may wish
  std::optional<CopyRequest> found_;  // of tables that have come to the source
  bool wished_ = false;               // what was requested last came from control_
  bool within_transaction_ = false;
  std::string next_;  // named by current_; empty: current_ goes on
  StartPoint start_;
  Position acknowledged_;  // told to the next capturer as well, which may be the first to listen
};

}  // namespace headgate
