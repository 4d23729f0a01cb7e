#include "base/step_outcome.hpp"

#include <catch2/catch.hpp>

namespace {

using headgate::StepOutcome;
using headgate::TimePoint;

TEST_CASE("a step outcome says whether and when to come again") {
  const TimePoint later{std::chrono::seconds(5)};
  CHECK(StepOutcome::worked().kind == StepOutcome::Kind::kWorked);
  CHECK(StepOutcome::finished().kind == StepOutcome::Kind::kFinished);
  CHECK(StepOutcome::waiting(later).kind == StepOutcome::Kind::kWaiting);
  CHECK(StepOutcome::waiting(later).wake_at == later);
}

}  // namespace
