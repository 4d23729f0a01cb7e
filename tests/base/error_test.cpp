#include "base/error.hpp"

#include <set>
#include <string>
#include <tuple>

#include <catch2/catch.hpp>

namespace {

using headgate::Error;
using headgate::ErrorKind;
using headgate::ExitCode;
using headgate::Reaction;

// The whole retry policy, spelt out a second time: who changes one has to mean it.
TEST_CASE("every kind of error has its name, its reaction and its exit code") {
  using Row = std::tuple<ErrorKind, std::string, Reaction, ExitCode>;
  const auto [kind, name, reaction,
              exit_code] = GENERATE(table<ErrorKind, std::string, Reaction, ExitCode>({
      Row{ErrorKind::kTransient, "transient", Reaction::kRetry, headgate::kExitUnavailable},
      Row{ErrorKind::kLocked, "locked", Reaction::kRetry, headgate::kExitUnavailable},
      Row{ErrorKind::kInDoubt, "in_doubt", Reaction::kAskSink, headgate::kExitUnavailable},
      Row{ErrorKind::kReread, "reread", Reaction::kRestart, headgate::kExitUnavailable},
      Row{ErrorKind::kPositionLost, "position_lost", Reaction::kStop, headgate::kExitPositionLost},
      Row{ErrorKind::kRow, "row", Reaction::kStop, headgate::kExitOperator},
      Row{ErrorKind::kSystemic, "systemic", Reaction::kRetryBudget, headgate::kExitStorage},
      Row{ErrorKind::kFenced, "fenced", Reaction::kStop, headgate::kExitTemporary},
      Row{ErrorKind::kOperator, "operator", Reaction::kStop, headgate::kExitOperator},
      Row{ErrorKind::kConfig, "config", Reaction::kStop, headgate::kExitConfig},
  }));
  CHECK(to_string(kind) == name);
  CHECK(reaction_to(kind) == reaction);
  CHECK(exit_code_for(kind) == exit_code);
}

TEST_CASE("exit codes are the documented numbers") {
  CHECK(headgate::kExitOk == 0);
  CHECK(headgate::kExitDiffers == 1);
  CHECK(headgate::kExitUsage == 64);
  CHECK(headgate::kExitUnavailable == 69);
  CHECK(headgate::kExitInternal == 70);
  CHECK(headgate::kExitStorage == 74);
  CHECK(headgate::kExitTemporary == 75);
  CHECK(headgate::kExitPositionLost == 76);
  CHECK(headgate::kExitOperator == 77);
  CHECK(headgate::kExitConfig == 78);
}

TEST_CASE("context goes in front of an error's message and keeps kind and hint") {
  const Error error(ErrorKind::kRow, "value too long", "widen the column");
  const Error outer = error.with_context("table shop.orders");
  CHECK(std::string(outer.what()) == "table shop.orders: value too long");
  CHECK(outer.kind() == ErrorKind::kRow);
  CHECK(outer.hint() == "widen the column");
  CHECK(outer.describe() == "table shop.orders: value too long (widen the column)");
}

TEST_CASE("an error without a hint is described without brackets") {
  CHECK(Error(ErrorKind::kTransient, "connection lost").describe() == "connection lost");
}

}  // namespace
