// The first copy from a SQL Server with `snapshot.mode: never`: no rows, but a position to begin
// at.

#pragma once

#include "base/log.hpp"
#include "pipeline/capturer.hpp"
#include "source/sqlserver/session.hpp"

namespace headgate::source::sqlserver {

// Hands over one empty copy that names every captured table, at the end of what is captured.
class StartHere final : public Capturer {
 public:
  // `session` must outlive the capturer.
  StartHere(Session& session, const Clock& clock) : session_(session), clock_(clock) {}

  std::string_view name() const override { return "snapshot"; }
  void open(const StartPoint& start) override;
  CaptureResult fetch(const FetchLimits& limits, TimePoint deadline) override;
  void acknowledge(const Position&) override {}
  void keep_alive() override {}
  void stop() noexcept override {}

 private:
  Session& session_;
  const Clock& clock_;
};

}  // namespace headgate::source::sqlserver
