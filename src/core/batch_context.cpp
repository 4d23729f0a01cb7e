#include "core/batch_context.hpp"

#include <utility>

#include <fmt/format.h>

namespace headgate {

BatchContext BatchContext::make(std::string skill_name, WallTime now) {
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
  return {std::move(skill_name), fmt::format("{}-{:08x}", milliseconds, TraceId::make(now).random),
          now};
}

}  // namespace headgate
