#include "config/sections.hpp"

namespace headgate::config {

void read_logging(const Section& root, Config& config) {
  const Section logging = root.section("logging");
  config.logging.level =
      logging.choice("level", config.logging.level, {"trace", "debug", "info", "warn", "error"});
  config.logging.format = logging.choice("format", config.logging.format, {"text", "json"});
  if (const auto file = logging.text("file")) {
    config.logging.file = file->value;
  }
}

}  // namespace headgate::config
