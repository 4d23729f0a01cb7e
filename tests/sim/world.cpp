#include "world.hpp"

#include <functional>
#include <mutex>
#include <utility>

#include <spdlog/details/null_mutex.h>
#include <spdlog/sinks/base_sink.h>

namespace headgate::sim {
namespace {

// Hands each log line on, as text without a time of its own.
class TraceSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit TraceSink(std::function<void(std::string)> keep) : keep_(std::move(keep)) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    keep_(std::string(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

  std::function<void(std::string)> keep_;
};

}  // namespace

World::World(std::uint64_t seed, bool traced)
    : random(seed),
      traced_(traced),
      log_(std::make_shared<spdlog::logger>(
          "sim",
          std::make_shared<TraceSink>([this](const std::string& line) { keep("log", line); }))) {
  log_->set_level(traced ? spdlog::level::debug : spdlog::level::off);
}

void World::keep(std::string_view actor, const std::string& what) {
  const auto since_start = clock.now().time_since_epoch() - Duration(std::chrono::hours(1));
  trace_.push_back(fmt::format("{:9.3f}s  {:<12} {}",
                               std::chrono::duration<double>(since_start).count(), actor, what));
}

void World::violated(const std::string& rule) {
  trace("VIOLATION", "{}", rule);
  if (!violation_) {
    violation_ = rule;
  }
}

void World::at_durable_operation() {
  if (kill_at_ == durable_operations_++) {
    trace("daemon", "killed at durable operation {}", *kill_at_);
    throw Killed{};
  }
}

}  // namespace headgate::sim
